"""Stopping a run: after the present step, with the cleanup; twice, late, held, or for another run."""

import pytest

from ald.engine.inputs import ActionAsked, RecordRoom
from ald.engine.status import driver_status
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.records.event import RunEnded, RunOutcome, StateChanged, StepStarted
from ald.wire import RunAction
from unit.engine.programs import MS, OTHER_UID, UID, S, assign, loop, purge, valve, wait
from unit.engine.world import World

CYCLE = (valve("tma", 40), purge(500), valve("water", 25), purge(800))
CLEANUP = (assign(25.0),)


def ask(world, action=RunAction.STOP, uid=UID):
    world.give(ActionAsked(at_ns=world.now, uid=uid, action=action, by="anna", reason="enough"))


def running(*steps, cleanup=CLEANUP):
    return World().ready().start(*steps, cleanup=cleanup)


@pytest.mark.requirement("REC-03")
@pytest.mark.parametrize("after_ms", [0, 100, 301, 320, 345, 600, 870, 1200])
def test_a_stop_at_any_time_ends_the_present_step_whole_and_then_runs_the_cleanup(after_ms):
    world = running(purge(300), loop(5, *CYCLE))
    world.run_for(after_ms * MS)
    begun = len(world.events(StepStarted))
    ask(world)
    ended = world.run_until_ended()
    assert (ended.outcome, ended.by) == (RunOutcome.STOPPED, "anna")
    assert "enough" in ended.message
    assert len(world.events(StepStarted)) == begun + 1
    assert world.events(StepStarted)[-1].name == "assign"
    assert ended.leaves_done == begun + 1
    assert [p.error_ns for p in world.pulses] == [0] * len(world.pulses)
    assert world.value("heater.setpoint") == 25.0
    assert world.machine == "Idle"
    reasons = [e.reason for e in world.events(StateChanged)]
    assert "Stopping" in reasons


def test_a_stop_is_said_at_once_though_the_step_goes_on():
    world = running(wait(1000), wait(1000)).run_for(100 * MS)
    ask(world)
    status = driver_status(world.state, NO_LINK, NO_SCAN)
    assert status.run is not None
    assert status.run.action is RunAction.STOP
    assert "stops after step wait" in status.run.message
    assert "stops after step wait" in status.message


def test_stopping_twice_stops_once_and_nothing_takes_it_back():
    world = running(wait(500), wait(500)).run_for(100 * MS)
    for action in (RunAction.STOP, RunAction.STOP, RunAction.RUN):
        ask(world, action)
    world.run_for(2 * S)
    assert [e.outcome for e in world.events(RunEnded)] == [RunOutcome.STOPPED]


def test_a_stop_in_the_last_step_or_in_the_cleanup_comes_too_late_to_leave_anything_out():
    for after_ms in (100, 600):
        world = running(wait(500), cleanup=(wait(500),)).run_for(after_ms * MS)
        ask(world)
        ended = world.run_until_ended()
        assert (ended.outcome, ended.leaves_done) == (RunOutcome.COMPLETED, 2)


def test_a_stop_of_another_run_or_of_none_changes_nothing():
    world = running(wait(500))
    ask(world, uid=OTHER_UID)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    ask(world)
    assert world.machine == "Idle"


def test_an_abort_after_a_stop_wins_at_once_and_leaves_the_cleanup_out():
    world = running(wait(500), wait(500)).run_for(100 * MS)
    ask(world)
    world.abort(by="anna", reason="now")
    ask(world)
    world.run_for(100 * MS)
    assert world.outcome is RunOutcome.ABORTED
    assert world.value("heater.setpoint") == 0.0


def test_a_run_held_for_its_flow_is_stopped_without_waiting_for_it():
    world = World(follow_flow=False).ready()
    world.overrides["mfc.flow"] = 0.0
    world.start(purge(300), valve("tma", 40), cleanup=CLEANUP).run_for(2 * S)
    assert world.machine == "Held"
    ask(world)
    ended = world.run_until_ended(5 * S)
    assert ended.outcome is RunOutcome.STOPPED
    assert world.pulses == []
    assert world.value("heater.setpoint") == 25.0
    assert world.machine == "Idle"


def test_the_cleanup_of_a_run_stopped_without_its_purge_still_opens_nothing_unpurged():
    world = World(follow_flow=False).ready()
    world.overrides["mfc.flow"] = 0.0
    world.start(purge(300), valve("tma", 40), cleanup=(purge(300), valve("tma", 40)))
    world.run_for(2 * S)
    ask(world)
    world.run_for(5 * S)
    assert world.machine == "Held"
    assert world.pulses == []


def test_a_run_held_for_want_of_record_is_stopped_once_there_is_room():
    world = running(wait(500), wait(500))
    world.give(RecordRoom(at_ns=world.now, ok=False))
    world.run_for(1 * S)
    ask(world)
    assert world.machine == "Held"
    world.give(RecordRoom(at_ns=world.now, ok=True))
    ended = world.run_until_ended()
    assert (ended.outcome, ended.leaves_done) == (RunOutcome.STOPPED, 2)


def test_a_step_that_fails_after_a_stop_is_told_as_failed():
    world = World().ready()
    world.fates.append(lambda w: "refuse" if getattr(w.target, "bits", ()) == (True,) else None)
    world.start(purge(300), valve("tma", 40), wait(500), cleanup=CLEANUP)
    world.run_for(305 * MS)
    ask(world)
    assert world.run_until_ended().outcome is RunOutcome.STEP_FAILED


def said(world):
    return driver_status(world.state, NO_LINK, NO_SCAN).message


def test_a_pause_that_is_taken_back_is_said_no_more():
    world = running(purge(300), valve("tma", 2000)).run_for(500 * MS)
    ask(world, RunAction.PAUSE)
    assert "pauses at the next hold point" in said(world)
    ask(world, RunAction.RUN)
    assert said(world) == "the run goes on"


def test_what_holds_a_run_is_said_though_somebody_asks_for_something():
    world = running(wait(500), wait(500))
    world.give(RecordRoom(at_ns=world.now, ok=False))
    world.run_for(1 * S)
    for action in (RunAction.PAUSE, RunAction.RUN, RunAction.STOP):
        ask(world, action)
        assert "events find no room on record" in said(world)


def test_why_the_cleanup_runs_is_said_though_somebody_asks_for_something():
    world = World().ready()
    world.fates.append(lambda w: "refuse" if getattr(w.target, "bits", ()) == (True,) else None)
    world.start(purge(300), valve("tma", 40), cleanup=(wait(5000),)).run_for(1 * S)
    for action in (RunAction.PAUSE, RunAction.RUN):
        ask(world, action)
        assert "valve tma did not open" in said(world)
