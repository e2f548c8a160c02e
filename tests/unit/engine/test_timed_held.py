"""A run that is held, paused or stopped between the width of a pulse that the PLC times and its trigger."""

import pytest

from ald.engine.inputs import ActionAsked, RecordRoom
from ald.records.event import HoldStarted, PulseOpening, RunOutcome, StepEnded
from ald.wire import RunAction
from unit.engine.programs import (
    MS,
    PLANT,
    UID,
    S,
    assign,
    flow,
    purge,
    timed,
    together,
    valve,
    wait,
    wait_for,
)
from unit.engine.world import World

TIMED = timed(PLANT, "tma")
TMA = 8


def world(**more) -> World:
    return World(TIMED, **more).ready()


def valve_edges(given: World) -> list[tuple[int, bool]]:
    return [(at, bit) for at, address, bit in given.trace if address == TMA]


def held_before_the_trigger(*steps, **more):
    """Return a world in which something has come in the way while the width of the next pulse was written."""
    seen = world(round_trip_ns=50 * MS).start(purge(300), *steps, **more)
    while not seen.events(PulseOpening):
        seen.run_for(MS)
    seen.give(RecordRoom(at_ns=seen.now, ok=False))
    seen.run_for(5 * S)
    assert seen.machine == "Held"
    assert not valve_edges(seen)
    return seen


def make_room(seen: World) -> World:
    seen.give(RecordRoom(at_ns=seen.now, ok=True))
    return seen


def ask(seen: World, action: RunAction) -> World:
    seen.give(ActionAsked(at_ns=seen.now, uid=UID, action=action, by="anna", reason=""))
    return seen


def test_an_obstacle_that_comes_while_the_width_is_written_holds_the_run_before_the_trigger():
    seen = held_before_the_trigger(valve("tma", 5), wait(100))
    assert [hold.reason for hold in seen.events(HoldStarted)] == ["RecordFull"]
    due_ns = seen.now
    assert make_room(seen).run_until_ended().outcome is RunOutcome.COMPLETED
    (opened, _), (closed, _) = valve_edges(seen)
    assert closed - opened == 5 * MS
    assert len(seen.events(PulseOpening)) == len(seen.pulses) == 1
    assert [e.at_ns - due_ns for e in seen.events(StepEnded)][-1] >= 105 * MS, "the rest moves"


def test_a_run_held_before_its_trigger_may_be_paused_there_and_goes_on_with_the_pulse():
    seen = held_before_the_trigger(valve("tma", 5), wait(100))
    make_room(ask(seen, RunAction.PAUSE)).run_for(2 * S)
    assert [hold.reason for hold in seen.events(HoldStarted)] == ["RecordFull", "Paused"]
    assert not valve_edges(seen)
    assert ask(seen, RunAction.RUN).run_until_ended().outcome is RunOutcome.COMPLETED
    assert len(valve_edges(seen)) == 2


def test_a_stop_does_not_wait_for_what_stands_in_the_way_of_a_trigger():
    seen = held_before_the_trigger(valve("tma", 5), wait(100), cleanup=[flow(5.0)])
    make_room(ask(seen, RunAction.STOP).run_for(1 * S))
    ended = seen.run_until_ended()
    assert ended.outcome is RunOutcome.STOPPED
    assert "anna" in ended.message
    assert not valve_edges(seen)
    assert seen.value("mfc.setpoint") == 5.0


@pytest.mark.parametrize("action", [RunAction.STOP, RunAction.PAUSE])
def test_what_is_asked_while_the_width_is_written_fails_nothing(action):
    seen = world(round_trip_ns=50 * MS).start(purge(300), valve("tma", 5), wait(100))
    while not seen.events(PulseOpening):
        seen.run_for(MS)
    ask(seen, action).run_for(2 * S)
    if action is RunAction.PAUSE:
        assert not valve_edges(seen)
        ask(seen, RunAction.RUN)
    seen.run_until_ended()
    expected = RunOutcome.COMPLETED if action is RunAction.PAUSE else RunOutcome.STOPPED
    assert seen.outcome is expected
    assert len(valve_edges(seen)) == 2


def test_a_branch_is_held_before_its_trigger_and_what_runs_beside_it_before_its_next_step():
    seen = held_before_the_trigger(together([valve("tma", 5)], [wait(500), wait(200)]))
    assert len(seen.events(StepEnded)) == 2
    assert make_room(seen).run_until_ended().outcome is RunOutcome.COMPLETED
    (opened, _), (closed, _) = valve_edges(seen)
    assert closed - opened == 5 * MS


@pytest.mark.parametrize("is_stopped", [True, False])
def test_a_branch_that_is_held_before_its_trigger_ends_with_the_others(is_stopped):
    branches = together(
        [valve("tma", 5)], [wait_for("value('mfc.flow') > 400.0", ("mfc.flow",), 0, 1000)]
    )
    seen = held_before_the_trigger(branches, cleanup=[flow(5.0)])
    if is_stopped:
        ask(seen, RunAction.STOP)
    make_room(seen.run_for(1 * S))
    assert seen.run_until_ended().outcome is RunOutcome.STEP_FAILED
    assert not valve_edges(seen)


def test_a_stop_ends_branches_one_of_which_is_held_before_its_trigger():
    seen = held_before_the_trigger(together([valve("tma", 5)], [wait(60_000)]), cleanup=[flow(5.0)])
    make_room(ask(seen, RunAction.STOP).run_for(1 * S))
    assert seen.run_until_ended().outcome is RunOutcome.STOPPED
    assert not valve_edges(seen)
    assert seen.value("mfc.setpoint") == 5.0


@pytest.mark.parametrize("is_paused", [True, False])
def test_a_value_that_does_not_come_keeps_the_next_pulse_from_its_trigger(is_paused):
    seen = world(round_trip_ns=50 * MS)
    seen.overrides["heater.setpoint"] = 0.0
    seen.start(purge(300), assign(50.0), valve("tma", 5), wait(100), cleanup=[flow(5.0)])
    while not seen.events(PulseOpening):
        seen.run_for(MS)
    if is_paused:
        ask(seen, RunAction.PAUSE)
    else:
        seen.give(RecordRoom(at_ns=seen.now, ok=False))
    make_room(seen.run_for(2 * S))
    ended = seen.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert "heater.setpoint reads 0" in ended.message
    assert not valve_edges(seen)
    assert len(seen.pulses) == 1
    assert seen.value("mfc.setpoint") == 5.0
