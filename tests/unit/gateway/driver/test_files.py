"""Checked files on the volume."""

import pytest

from ald.engine.trace import open_run
from ald.errors import CorruptRecordError
from ald.gateway.driver import files
from unit.engine.programs import MS, PLANT, purge, valve
from unit.engine.world import World


def test_a_plant_comes_back_as_it_was(tmp_path):
    assert files.read_plant(tmp_path / "p") is None
    files.write_plant(tmp_path / "p", PLANT)
    assert files.read_plant(tmp_path / "p") == PLANT
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


@pytest.mark.parametrize("at", [0, 9, 14, 40, -1])
def test_one_changed_byte_anywhere_is_noticed(tmp_path, at):
    path = tmp_path / "p"
    files.write_plant(path, PLANT)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptRecordError, match="damaged"):
        files.read_plant(path)


@pytest.mark.parametrize("size", [0, 10, 100])
def test_a_file_cut_short_is_noticed(tmp_path, size):
    path = tmp_path / "p"
    files.write_plant(path, PLANT)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CorruptRecordError):
        files.read_plant(path)


def test_a_file_of_another_kind_is_refused_and_a_ledger_comes_back_as_it_was(tmp_path):
    world = World().ready().start(purge(300), valve("tma", 10))
    world.run_for(10 * MS)
    path = tmp_path / "r"
    assert files.read_ledger(path) is None
    ledger = files.Ledger(open=open_run(world.state), uids=world.state.started_uids)
    files.write_ledger(path, ledger)
    assert files.read_ledger(path) == ledger
    with pytest.raises(CorruptRecordError):
        files.read_plant(path)


def test_a_file_that_cannot_be_read_counts_as_damaged(tmp_path):
    path = tmp_path / "p"
    path.mkdir()
    with pytest.raises(CorruptRecordError, match="cannot be read"):
        files.read_plant(path)
