"""Pausing and going on: where a run may stand still, what goes on meanwhile, and what is left of a step's time."""

import pytest
from msgspec.structs import replace

from ald.engine.inputs import ActionAsked, RecordRoom, WatchdogSeen
from ald.engine.status import driver_status
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.records.event import (
    HoldEnded,
    HoldStarted,
    PulseOpening,
    RunEnded,
    RunOutcome,
    StateChanged,
    StepEnded,
    StepStarted,
)
from ald.wire import RunAction
from unit.engine.programs import (
    MS,
    PLANT,
    UID,
    S,
    assign,
    loop,
    purge,
    ramp,
    valve,
    wait,
    wait_for,
)
from unit.engine.world import World

CYCLE = (valve("tma", 40), purge(500), valve("water", 25), purge(800))
HOT = ("value('heater.temperature') > 100.0", ("heater.temperature",))


def ask(world, action, uid=UID):
    world.give(ActionAsked(at_ns=world.now, uid=uid, action=action, by="anna", reason=""))


def pause(world):
    ask(world, RunAction.PAUSE)
    return world


def go_on(world):
    ask(world, RunAction.RUN)
    return world


def progress(world):
    run = driver_status(world.state, NO_LINK, NO_SCAN).run
    assert run is not None
    return run


@pytest.mark.requirement("REC-03")
@pytest.mark.parametrize("after_ms", [0, 100, 302, 305, 320, 345, 600, 860, 875, 1200])
def test_a_pause_at_any_time_lets_a_pulse_end_and_changes_none(after_ms):
    world = World().ready().start(purge(300), loop(3, *CYCLE))
    world.run_for(after_ms * MS)
    pause(world).run_for(100 * MS)
    assert world.machine == "Held"
    assert not world.open_valves
    assert len(world.events(PulseOpening)) == len(world.pulses)
    before = len(world.events(StepStarted))
    world.run_for(20 * S)
    assert len(world.events(StepStarted)) == before
    go_on(world)
    ended = world.run_until_ended()
    assert (ended.outcome, ended.leaves_done) == (RunOutcome.COMPLETED, 13)
    assert [p.valve for p in world.pulses] == ["tma", "water"] * 3
    assert [p.error_ns for p in world.pulses] == [0] * 6
    assert (len(world.events(HoldStarted)), len(world.events(HoldEnded))) == (1, 1)


def test_a_pause_is_taken_where_the_step_only_lets_time_pass_and_the_rest_of_it_is_left():
    world = World().ready().start(wait(1000), wait(1000))
    began = world.now
    pause(world.run_for(400 * MS))
    assert world.machine == "Held"
    world.run_for(7 * S)
    go_on(world)
    assert world.machine == "Execute"
    world.run_until_ended()
    assert [e.at_ns - began for e in world.events(StepEnded)] == [8 * S, 9 * S]


def test_the_schedule_and_the_estimated_end_slip_by_the_pause():
    world = World().ready().start(wait(1000), wait(1000))
    world.run_for(400 * MS)
    before = progress(world).estimated_end_wall_ns
    pause(world).run_for(7 * S)
    go_on(world)
    assert progress(world).estimated_end_wall_ns - before == 7 * S
    world.run_for(700 * MS)
    assert progress(world).estimated_end_wall_ns - before == 7 * S


def test_the_status_says_what_is_held_by_whom_and_until_when():
    world = World().ready().start(wait(1000), wait(1000)).run_for(400 * MS)
    paused_ns = world.now
    pause(world).run_for(1 * S)
    run = progress(world)
    assert "paused in step wait by anna" in run.held
    assert (run.action, run.hold_reason) == (RunAction.PAUSE, "Paused")
    assert run.held_since_wall_ns == paused_ns + 5000 * S
    assert run.held_until_wall_ns == paused_ns + 5060 * S


def test_a_pause_asked_for_in_a_pulse_is_told_until_it_is_there():
    world = World().ready().start(purge(300), valve("tma", 2000), wait(100)).run_for(500 * MS)
    pause(world)
    assert world.machine == "Execute"
    assert "pauses at the next hold point" in progress(world).message
    world.run_for(3 * S)
    assert "paused before step wait" in progress(world).held
    assert progress(world).message == ""


def test_gas_and_heat_stay_as_they_are_while_a_purge_is_paused():
    world = World().ready().start(assign(200.0), purge(5000), wait(10)).run_for(1 * S)
    pause(world).run_for(10 * S)
    assert (world.value("mfc.setpoint"), world.value("heater.setpoint")) == (20.0, 200.0)
    go_on(world)
    world.run_for(3900 * MS)
    assert world.value("mfc.setpoint") == 20.0
    world.run_for(200 * MS)
    assert world.outcome is RunOutcome.COMPLETED
    assert world.value("mfc.setpoint") == 0.0


def test_in_a_paused_purge_only_measured_flow_counts():
    # Without a flow meter the time of the pause is none; what is counted is what the step itself lasts.
    for gas, counted in (("Ar", 300), ("N2", 2000)):
        world = World().ready().start(purge(300, gas=gas), valve("tma", 10), wait(10))
        pause(world.run_for(100 * MS)).run_for(2 * S)
        go_on(world).run_for(190 * MS)
        found = world.state.exposures["precursors"]
        since = found.since_ns if found.since_ns is not None else world.now
        total = found.counted_ns + world.now - since
        assert (total <= counted * MS) is (gas == "Ar"), (gas, total)
        assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_flow_that_fails_in_a_pause_is_not_counted_and_holds_the_run_afterwards():
    world = World().ready().start(purge(300), valve("tma", 10))
    pause(world.run_for(100 * MS))
    world.overrides["mfc.flow"] = 0.0
    world.run_for(5 * S)
    go_on(world).run_for(1 * S)
    assert world.machine == "Held"
    assert progress(world).hold_reason == "PurgeFlowLow"
    assert world.pulses == []
    del world.overrides["mfc.flow"]
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_ramp_stands_where_it_is_and_goes_on_from_there():
    world = World().ready().start(ramp(100.0, 10.0))
    pause(world.run_for(4500 * MS)).run_for(10 * S)
    stood = world.value("heater.setpoint")
    assert stood == pytest.approx(40.0, abs=0.5)
    go_on(world).run_for(1 * S)
    assert stood < world.value("heater.setpoint") <= stood + 11.0
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.value("heater.setpoint") == 100.0


def test_a_condition_is_neither_met_nor_too_late_in_a_pause_and_must_be_true_anew():
    world = World().ready().start(wait_for(*HOT, stable_ms=1000, timeout_ms=3000))
    world.overrides["heater.temperature"] = 150.0
    world.run_for(500 * MS)
    pause(world).run_for(20 * S)
    assert world.machine == "Held"
    resumed = world.now
    go_on(world)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.events(StepEnded)[0].at_ns - resumed >= 1 * S


def test_a_pause_ends_in_an_abort_after_the_machine_s_maximum():
    world = World(replace(PLANT, max_hold_ns=2 * S)).ready().start(wait(1000))
    pause(world.run_for(100 * MS)).run_for(3 * S)
    assert world.outcome is RunOutcome.HOLD_TIMEOUT
    assert world.state.last_run is not None
    assert "paused" in world.state.last_run.message


def test_pausing_and_going_on_twice_is_the_same_as_once():
    world = World().ready().start(wait(1000), wait(1000)).run_for(400 * MS)
    pause(pause(world).run_for(1 * S)).run_for(1 * S)
    go_on(go_on(world)).run_for(100 * MS)
    assert (len(world.events(HoldStarted)), len(world.events(HoldEnded))) == (1, 1)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_pause_taken_back_before_the_hold_point_holds_nothing():
    world = World().ready().start(purge(300), valve("tma", 2000), wait(100)).run_for(500 * MS)
    go_on(pause(world))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.events(HoldStarted) == []


@pytest.mark.parametrize("after_ms", [100, 320])
def test_a_stop_of_a_paused_run_ends_the_present_step_and_cleans_up(after_ms):
    world = World().ready().start(purge(300), loop(3, *CYCLE), cleanup=(assign(25.0),))
    pause(world.run_for(after_ms * MS)).run_for(2 * S)
    ask(world, RunAction.STOP)
    ended = world.run_until_ended(5 * S)
    assert ended.outcome is RunOutcome.STOPPED
    assert world.value("heater.setpoint") == 25.0
    assert world.machine == "Idle"


def test_an_abort_of_a_paused_run_wins_at_once():
    world = World().ready().start(wait(1000), cleanup=(assign(25.0),))
    pause(world.run_for(100 * MS))
    world.abort(by="anna", reason="now")
    world.run_for(50 * MS)
    assert [e.outcome for e in world.events(RunEnded)] == [RunOutcome.ABORTED]
    assert world.value("heater.setpoint") == 0.0


def test_the_cleanup_is_not_paused():
    world = World().ready().start(wait(100), cleanup=(wait(500), wait(500))).run_for(200 * MS)
    pause(world)
    assert "the cleanup is not paused" in progress(world).message
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.events(HoldStarted) == []


def test_a_run_held_for_its_flow_is_paused_when_the_flow_is_back():
    world = World().ready().start(purge(300), valve("tma", 10))
    world.overrides["mfc.flow"] = 0.0
    world.run_for(2 * S)
    pause(world).run_for(1 * S)
    assert progress(world).hold_reason == "PurgeFlowLow"
    del world.overrides["mfc.flow"]
    world.run_for(1 * S)
    assert progress(world).hold_reason == "Paused"
    assert world.pulses == []
    go_on(world)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_run_held_for_want_of_record_is_paused_when_there_is_room():
    world = World().ready().start(wait(100), wait(100))
    world.give(RecordRoom(at_ns=world.now, ok=False))
    pause(world.run_for(1 * S))
    world.give(RecordRoom(at_ns=world.now, ok=True))
    assert progress(world).hold_reason == "Paused"
    go_on(world)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_set_point_that_is_lost_in_a_pause_fails_the_run_and_cleans_up():
    world = World().ready().start(assign(200.0), wait(1000), cleanup=(assign(25.0),))
    world.run_for(20 * MS)
    pause(world)
    world.overrides["heater.setpoint"] = 0.0
    world.run_for(300 * MS)
    del world.overrides["heater.setpoint"]
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert world.value("heater.setpoint") == 25.0


def test_the_machine_is_held_in_a_pause_and_executes_after_it():
    world = World().ready().start(wait(1000)).run_for(100 * MS)
    go_on(pause(world).run_for(1 * S))
    world.run_until_ended()
    states = [e.state.value for e in world.events(StateChanged)]
    assert states[-5:] == ["Execute", "Held", "Execute", "Completing", "Idle"]


def test_a_heartbeat_or_room_on_record_does_not_end_a_pause_between_two_steps():
    world = World().ready().start(purge(300), valve("tma", 40), wait(100)).run_for(320 * MS)
    pause(world).run_for(1 * S)
    world.give(WatchdogSeen(at_ns=world.now, ok=True))
    world.give(RecordRoom(at_ns=world.now, ok=True))
    assert progress(world).hold_reason == "Paused"
    assert world.machine == "Held"
