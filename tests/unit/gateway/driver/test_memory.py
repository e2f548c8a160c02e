"""What one executor leaves to the next, whichever instruction the kill hits."""

import pytest
from msgspec.structs import replace

from ald.engine.inputs import OpenLeaf
from ald.engine.trace import open_run
from ald.gateway.driver.memory import SLOT_BYTES, Remembered, RunMemory
from ald.program.model import BRANCHES_MAX, LOOP_DEPTH_MAX
from unit.engine.programs import MS, purge, valve
from unit.engine.world import World


def a_run(after_ms=310):
    world = World().ready().start(purge(300), valve("tma", 100))
    world.run_for(after_ms * MS)
    found = open_run(world.state)
    assert found is not None
    return found


def again(path):
    return RunMemory(path)


def test_a_new_memory_is_blank_and_remembers_what_it_is_told(tmp_path):
    memory = RunMemory(tmp_path / "m")
    assert memory.is_blank
    run = a_run()
    memory.remember(Remembered(run=run))
    assert again(tmp_path / "m").open_run(7) == run
    assert not again(tmp_path / "m").is_blank


def test_forgetting_is_remembered_too(tmp_path):
    memory = RunMemory(tmp_path / "m")
    memory.remember(Remembered(run=a_run()))
    memory.remember(Remembered(run=None))
    assert again(tmp_path / "m").open_run(7) is None
    assert not again(tmp_path / "m").is_blank


@pytest.mark.parametrize(
    ("begins_at", "ends_at", "last_record", "is_on"),
    [
        (5, 0, 4, False),  # killed before the record that begins the run
        (5, 0, 5, True),
        (5, 90, 89, True),  # killed before the record that ends it
        (5, 90, 90, False),
        (5, 90, 200, False),
        (5, 0, 0, True),  # the ring is new: it says nothing about the old one
    ],
)
def test_a_run_is_on_from_its_first_record_to_its_last(
    tmp_path, begins_at, ends_at, last_record, is_on
):
    memory = RunMemory(tmp_path / "m")
    memory.remember(Remembered(run=a_run(), begins_at=begins_at, ends_at=ends_at))
    assert (again(tmp_path / "m").open_run(last_record) is not None) is is_on


def test_a_write_torn_at_any_byte_leaves_the_one_before_it(tmp_path):
    path = tmp_path / "m"
    memory = RunMemory(path)
    first = a_run()
    memory.remember(Remembered(run=first))
    before = path.read_bytes()
    memory.remember(Remembered(run=replace(first, ordinal=99)))
    after = path.read_bytes()
    changed = [i for i in range(2 * SLOT_BYTES) if before[i] != after[i]]
    for cut in range(changed[0], changed[-1], 7):
        path.write_bytes(after[:cut] + before[cut:])
        found = again(path).open_run(1)
        assert found is not None
        assert found.ordinal == first.ordinal
    path.write_bytes(after)
    found = again(path).open_run(1)
    assert found is not None
    assert found.ordinal == 99


def test_a_pulse_in_each_of_eight_branches_of_the_deepest_recipe_finds_room(tmp_path):
    run = a_run()
    assert run.pulse is not None
    name = "/".join("n" * 63 for _ in range(LOOP_DEPTH_MAX + 3))
    path = "spec.cleanup[49]" + ".loop.steps[199]" * LOOP_DEPTH_MAX
    pulse = replace(
        run.pulse,
        path=f"{path}.together.branches[7].steps[49]",
        name=name,
        valve="v" * 63,
        iterations=(1_000_000,) * LOOP_DEPTH_MAX,
    )
    identity = replace(run.run, namespace="n" * 63, name="r" * 253)
    leaves = tuple(OpenLeaf(ordinal=1 << 40, pulse=pulse) for _ in range(BRANCHES_MAX))
    longest = replace(run, run=identity, step=name, path=path, pulse=None, beside=leaves)
    memory = RunMemory(tmp_path / "m")
    memory.remember(Remembered(run=longest))
    assert again(tmp_path / "m").open_run(7) == longest


def test_what_was_never_put_on_record_did_not_happen(tmp_path):
    earlier, later = a_run(100), a_run(310)
    memory = RunMemory(tmp_path / "m")
    memory.remember(Remembered(run=earlier, begins_at=5, since=7))
    memory.remember(Remembered(run=later, begins_at=5, since=9))
    assert again(tmp_path / "m").open_run(8) == earlier
    assert again(tmp_path / "m").open_run(9) == later
    # A ring that is new says nothing about what the old one held.
    assert again(tmp_path / "m").open_run(0) == later
    assert memory.open_run(8) == earlier
