"""The configuration on the volume is the one with which a run begins."""

import threading

import pytest
from msgspec.structs import replace

from ald.engine.effects import Journal, UsePlant
from ald.gateway.driver import plant_file
from ald.gateway.driver.files import read_plant, write_plant
from ald.gateway.driver.plant_file import PlantFile
from ald.records.event import RunStarted
from fixtures.wait import eventually
from unit.engine.programs import PLANT, wait
from unit.engine.world import World

OTHER = replace(PLANT, generation=PLANT.generation + 1)


def begun():
    """Return the state after a run has begun, and what began it."""
    world = World().ready().start(wait(10))
    started = next(event for event in world.journal if isinstance(event, RunStarted))
    return world.state, (Journal(event=started),)


def refused_late(path, plant):
    write_plant(path, plant)
    raise OSError(5, "Input/output error")


def test_a_configuration_that_was_refused_after_the_volume_had_it_is_taken_back_before_a_run(
    tmp_path, monkeypatch
):
    path = tmp_path / "plant.bin"
    volume, (state, start) = PlantFile(path), begun()
    volume.before(state, (UsePlant(plant=PLANT),))
    monkeypatch.setattr(plant_file, "write_plant", refused_late)
    with pytest.raises(OSError, match="Input/output"):
        volume.before(state, (UsePlant(plant=OTHER),))
    assert read_plant(path) == OTHER, "and the next executor would shut the valves of that one"
    with pytest.raises(OSError, match="Input/output"):
        volume.before(state, start)
    monkeypatch.setattr(plant_file, "write_plant", write_plant)
    volume.before(state, start)
    assert read_plant(path) == PLANT
    volume.close()


def test_no_run_begins_while_a_configuration_may_yet_come_to_a_volume_that_hangs(
    tmp_path, monkeypatch
):
    path, goes_on = tmp_path / "plant.bin", threading.Event()
    volume, (state, start) = PlantFile(path), begun()
    volume.before(state, (UsePlant(plant=PLANT),))

    def slow(path, plant):
        assert goes_on.wait(20)
        write_plant(path, plant)

    monkeypatch.setattr(plant_file, "write_plant", slow)
    monkeypatch.setattr(plant_file, "WAITS_S", 0.01)
    with pytest.raises(OSError, match="not answered"):
        volume.before(state, (UsePlant(plant=OTHER),))
    with pytest.raises(OSError, match="still on its way"):
        volume.before(state, start)
    goes_on.set()
    monkeypatch.setattr(plant_file, "WAITS_S", 10.0)
    eventually(lambda: path.exists() and read_plant(path) == OTHER, within_s=10)
    volume.before(state, start)
    assert read_plant(path) == PLANT
    volume.close()
