"""What a trip puts on record."""

from ald.plant.model import InterlockAction
from ald.records.event import InterlockCleared, InterlockTripped, RunStarted, StateChanged
from unit.engine.programs import MS, S, wait
from unit.engine.test_interlock import cool, heat, ready


def test_a_trip_is_on_record_once_and_before_what_it_brings_about():
    world = heat(ready(cool()).start(wait(60_000))).run_for(5 * S)
    (tripped,) = world.events(InterlockTripped)
    aborting = next(e for e in world.events(StateChanged) if e.state.value == "Aborting")
    assert world.journal.index(tripped) < world.journal.index(aborting)
    assert (aborting.reason, aborting.message) == ("Interlock", tripped.message)


def test_a_violation_shorter_than_its_time_leaves_no_record():
    world = heat(ready(cool(for_ns=1 * S))).run_for(500 * MS)
    heat(world, 20.0).run_for(3 * S)
    assert world.events(InterlockTripped) == []
    assert world.events(InterlockCleared) == []


def test_trips_without_a_run_belong_to_none():
    world = heat(ready(cool(InterlockAction.BLOCK))).run_for(1 * S)
    heat(world, 20.0).run_for(1 * S)
    world.start(wait(10))
    assert world.events(RunStarted)
    (tripped,) = world.events(InterlockTripped)
    (cleared,) = world.events(InterlockCleared)
    assert (tripped.run, cleared.run) == ("", "")
