"""The safe state on request: in every state, twice, and Aborted until somebody clears the machine, whatever dies meanwhile."""

import pytest
from msgspec.structs import replace

from ald.engine import trace
from ald.engine.inputs import ClearAsked, SafeStateAsked
from ald.errors import RefusedError
from ald.plant.model import Mode
from ald.records.event import RunEnded, RunOutcome, SafeStateReached, StateChanged
from unit.engine.programs import MS, PLANT, S, assign, purge, valve
from unit.engine.world import World


def ask(world):
    world.give(SafeStateAsked(at_ns=world.now, by="anna", comment="smells"))
    return world


def clear(world):
    world.give(ClearAsked(at_ns=world.now, by="anna", comment="aired"))
    return world


@pytest.mark.parametrize("after_ms", [0, 100, 310, 330, 345, 600])
def test_a_run_ends_aborted_at_once_and_the_machine_waits_for_somebody(after_ms):
    world = World().ready().start(purge(300), valve("tma", 40), purge(500), cleanup=[assign(25.0)])
    world.run_for(after_ms * MS)
    ask(world).run_for(10 * MS)
    assert not world.open_valves
    world.run_for(1 * S)
    assert [(e.outcome, e.by) for e in world.events(RunEnded)] == [(RunOutcome.ABORTED, "anna")]
    assert "smells" in world.events(RunEnded)[0].message
    assert world.machine == "Aborted"
    assert world.value("heater.setpoint") == 0.0
    assert world.value("mfc.setpoint") == 20.0
    clear(world).run_for(1 * S)
    assert world.machine == "Idle"


def test_without_a_run_the_whole_safe_state_is_written_and_latches():
    world = World().ready()
    ask(world).run_for(1 * S)
    assert world.machine == "Aborted"
    assert world.value("mfc.setpoint") == 20.0
    assert world.events(SafeStateReached)[-1].confirmed
    assert "smells" in world.state.message


def test_asking_again_writes_again_and_changes_no_state():
    world = World().ready()
    ask(ask(world)).run_for(1 * S)
    ask(world).run_for(1 * S)
    assert world.machine == "Aborted"
    assert [e.state.value for e in world.events(StateChanged)][-2:] == ["Aborting", "Aborted"]
    assert clear(world).run_for(1 * S).machine == "Idle"


def test_an_abort_on_its_way_is_made_to_latch():
    world = World().ready().start(purge(300))
    world.run_for(100 * MS)
    world.abort(by="anna", reason="enough")
    ask(world).run_for(1 * S)
    assert world.outcome is RunOutcome.ABORTED
    assert world.machine == "Aborted"


def test_a_stop_without_a_run_on_its_way_is_made_to_latch():
    world = World().ready()
    world.abort(uid="", by="anna", reason="ald stop")
    ask(world).run_for(1 * S)
    assert world.machine == "Aborted"


def test_without_a_connection_it_is_the_first_thing_after_the_next_one():
    world = World().ready()
    world.disconnect()
    ask(world).run_for(1 * S)
    assert world.machine == "Aborting"
    world.connect()
    world.run_for(50 * MS)
    assert world.machine == "Aborted"
    assert world.value("mfc.setpoint") == 20.0


def test_an_executor_that_dies_in_the_middle_of_it_leaves_the_latch_to_the_next():
    world = World().ready().start(purge(300), valve("tma", 400)).run_for(400 * MS)
    ask(world)
    left = trace.open_run(world.state)
    assert left is not None
    later = World(open_run=left)
    later.connect()
    later.run_for(1 * S)
    assert later.machine == "Aborted"


@pytest.mark.parametrize("plant", [None, "observe"])
def test_where_nothing_may_be_written_it_is_refused(plant):
    changed = None if plant is None else replace(PLANT, mode=Mode.OBSERVE)
    with pytest.raises(RefusedError, match="nothing is written"):
        ask(World(changed))
