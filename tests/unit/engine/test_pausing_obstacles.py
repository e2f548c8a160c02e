"""A paused run for which something else stands in the way: it says both, and goes on when both are gone."""

import pytest
from msgspec.structs import replace

from ald.engine.inputs import ActionAsked, RecordRoom, WatchdogSeen
from ald.engine.status import driver_status
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.plant.model import Interlock, InterlockAction
from ald.records.event import HoldEnded, HoldStarted, RunOutcome, StateChanged, StepEnded
from ald.wire import RunAction
from unit.engine.programs import MS, PLANT, UID, S, assign, purge, ramp, together, valve, wait
from unit.engine.world import World


def cool(action):
    return Interlock(
        name="too-hot", permissive="value('heater.temperature') < 300.0", for_ns=0, action=action
    )


GUARDED = replace(PLANT, interlocks=(cool(InterlockAction.HOLD),))
BLOCKED = replace(PLANT, interlocks=(cool(InterlockAction.BLOCK),))


def ask(world, action, by="anna"):
    world.give(ActionAsked(at_ns=world.now, uid=UID, action=action, by=by, reason=""))
    return world


def pause(world):
    return ask(world, RunAction.PAUSE)


def go_on(world):
    return ask(world, RunAction.RUN)


def stop(world):
    return ask(world, RunAction.STOP)


def heat(world, value=350.0):
    world.overrides["heater.temperature"] = value
    return world.run_for(200 * MS)


def cool_down(world):
    return heat(world, 20.0)


def told(world):
    status = driver_status(world.state, NO_LINK, NO_SCAN)
    assert status.run is not None
    return status, status.run


def interlocked(world, on):
    return heat(world) if on else cool_down(world)


def unwatched(world, on):
    world.give(WatchdogSeen(at_ns=world.now, ok=not on))
    return world


def usurped(world, on):
    world.give(WatchdogSeen(at_ns=world.now, ok=True, is_foreign=on))
    return world


def full(world, on):
    world.give(RecordRoom(at_ns=world.now, ok=not on))
    return world


def blind(world, on):
    world.scanning = not on
    return world.run_for((11 if on else 1) * S)


OBSTACLES = [
    pytest.param(interlocked, "Interlock", "too-hot is violated", id="interlock"),
    pytest.param(unwatched, "WatchdogLost", "has not acknowledged the heartbeat", id="watchdog"),
    pytest.param(usurped, "ForeignMaster", "somebody else writes", id="master"),
    pytest.param(full, "RecordFull", "no room on record", id="record"),
]


@pytest.mark.parametrize(("make", "reason", "words"), OBSTACLES)
@pytest.mark.parametrize("steps", [(wait(1000), wait(1000)), (purge(1000),), (ramp(20.0, 20.0),)])
def test_a_paused_run_says_what_else_is_in_the_way_and_run_waits_until_it_is_gone(
    make, reason, words, steps
):
    world = World(GUARDED).ready().start(*steps).run_for(400 * MS)
    pause(world).run_for(1 * S)
    make(world, True)
    status, run = told(world)
    assert (run.hold_reason, run.hold_obstacle) == ("Paused", reason)
    for said in (run.held, status.message):
        assert "paused in step" in said
        assert words in said
    go_on(world).run_for(5 * S)
    status, run = told(world)
    assert (run.hold_reason, status.reason, world.machine) == (reason, reason, "Held")
    assert words in run.held
    assert "paused" not in run.held
    assert world.events(StepEnded) == []
    assert world.events(HoldEnded) == []
    make(world, False)
    assert world.machine == "Execute"
    assert world.run_until_ended(3 * S).outcome is RunOutcome.COMPLETED
    assert len(world.events(HoldEnded)) == 1


def test_the_time_that_it_stood_still_is_left_afterwards():
    world = World(GUARDED).ready().start(wait(1000), wait(1000))
    began = world.now
    pause(world.run_for(400 * MS))
    go_on(heat(world.run_for(1 * S)))
    world.run_for(3 * S)
    cool_down(world)
    resumed = world.events(HoldEnded)[0].at_ns
    world.run_until_ended()
    first, _ = world.events(StepEnded)
    assert first.at_ns - resumed == 600 * MS
    assert resumed - began > 4 * S


def test_a_pause_between_two_steps_goes_on_only_when_the_obstacle_is_gone():
    world = World(GUARDED).ready().start(purge(300), valve("tma", 40), wait(100)).run_for(320 * MS)
    pause(world).run_for(1 * S)
    assert "paused before step wait" in told(heat(world))[1].held
    go_on(world).run_for(1 * S)
    assert told(world)[1].hold_reason == "Interlock"
    states = [e.state.value for e in world.events(StateChanged)]
    assert states[-1] == "Held"
    cool_down(world)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_pause_before_a_pulse_names_what_blocks_openings_and_one_before_another_step_does_not():
    world = World(BLOCKED).ready().start(assign(30.0), valve("vent", 40), wait(100), wait(100))
    heat(pause(world).run_for(1 * S))
    assert told(world)[1].hold_obstacle == "Interlock"
    cool_down(world)
    go_on(world).run_for(60 * MS)
    heat(pause(world).run_for(1 * S))
    assert told(world)[1].hold_obstacle == ""


def test_what_is_gone_while_the_run_is_paused_is_not_told_any_more_and_the_pause_stays():
    world = World(GUARDED).ready().start(wait(1000)).run_for(400 * MS)
    cool_down(heat(pause(world)))
    status, run = told(world)
    assert (run.hold_reason, run.hold_obstacle) == ("Paused", "")
    assert "too-hot" not in status.message
    assert [hold.reason for hold in world.events(HoldStarted)] == ["Paused"] * 3
    assert world.events(HoldEnded) == []


def test_what_stood_in_the_way_before_the_pause_is_told_from_its_beginning():
    world = heat(World(GUARDED).ready().start(wait(1000)).run_for(100 * MS))
    assert world.machine == "Execute"
    pause(world)
    assert told(world)[1].hold_obstacle == "Interlock"
    assert len(world.events(HoldStarted)) == 1


def test_a_run_that_is_paused_again_while_the_obstacle_stands_stays_paused_when_that_is_gone():
    world = World(GUARDED).ready().start(wait(1000)).run_for(400 * MS)
    go_on(heat(pause(world)))
    ask(world, RunAction.PAUSE, by="bob")
    assert "by bob" in told(world)[1].held
    cool_down(world)
    assert told(world)[1].hold_reason == "Paused"
    assert world.events(StepEnded) == []
    assert go_on(world).run_until_ended().outcome is RunOutcome.COMPLETED


def test_scans_that_stop_in_a_pause_are_told_although_nothing_else_happens():
    plant = replace(PLANT, heartbeat=None, allow_without_watchdog=True, max_scan_gap_ns=10 * S)
    world = World(plant).ready().start(wait(1000)).run_for(400 * MS)
    blind(pause(world), on=True)
    assert told(world)[1].hold_obstacle == "ScanGap"
    go_on(world).run_for(1 * S)
    assert told(world)[1].hold_reason == "ScanGap"
    blind(world, on=False)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_stop_ends_the_present_step_of_a_paused_run_and_its_cleanup_waits():
    world = World(GUARDED).ready().start(wait(1000), wait(1000), cleanup=(assign(25.0),))
    heat(pause(world.run_for(400 * MS)))
    stop(world).run_for(2 * S)
    assert len(world.events(StepEnded)) == 1
    assert (world.machine, told(world)[1].hold_reason) == ("Held", "Interlock")
    assert cool_down(world).run_until_ended().outcome is RunOutcome.STOPPED
    assert world.value("heater.setpoint") == 25.0


def test_branches_stand_still_until_both_are_gone():
    world = World(GUARDED).ready()
    world.start(together([wait(1000), wait(100)], [purge(700), wait(100)])).run_for(400 * MS)
    heat(pause(world).run_for(1 * S))
    assert told(world)[1].hold_obstacle == "Interlock"
    go_on(world).run_for(3 * S)
    assert world.events(StepEnded) == []
    resumed = cool_down(world).events(HoldEnded)[0].at_ns
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert [e.at_ns - resumed for e in world.events(StepEnded)][:2] == [303 * MS, 400 * MS]


def test_how_long_a_run_may_be_held_counts_from_the_beginning_of_the_pause():
    world = World(replace(GUARDED, max_hold_ns=3 * S)).ready().start(wait(1000)).run_for(400 * MS)
    go_on(heat(pause(world).run_for(2 * S)))
    ended = world.run_until_ended(1 * S)
    assert ended.outcome is RunOutcome.HOLD_TIMEOUT
    assert "too-hot" in ended.message
