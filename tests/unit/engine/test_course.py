"""From leaf to leaf: schedule, cleanup, room on record."""

import pytest
from msgspec.structs import replace

from ald.engine.inputs import ActionAsked, RecordRoom
from ald.engine.leaf import LATE_NS
from ald.engine.status import driver_status
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.records.event import (
    HoldEnded,
    HoldStarted,
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
    flow,
    loop,
    purge,
    together,
    valve,
    wait,
)
from unit.engine.world import World


def states(world):
    return [e.state.value for e in world.events(StateChanged)]


def test_steps_are_named_by_kind_with_the_iterations_around_them():
    world = World().ready().start(flow(20.0), loop(2, purge(300), valve("tma", 10)), wait(1))
    world.run_until_ended()
    assert [(e.step, e.iterations) for e in world.events(StepStarted)] == [
        ("set", ()),
        ("purge", (1,)),
        ("valve", (1,)),
        ("purge", (2,)),
        ("valve", (2,)),
        ("wait", ()),
    ]


def test_a_run_passes_completing_and_ends_idle():
    world = World().ready().start(wait(10), cleanup=[wait(10)])
    world.run_until_ended()
    assert states(world)[-3:] == ["Execute", "Completing", "Idle"]


def test_a_small_delay_is_caught_up_so_that_nothing_drifts():
    world = World(late_ns=LATE_NS // 2).ready()
    began = world.now
    world.start(*[wait(200)] * 20)
    world.run_until_ended()
    assert world.events(StepEnded)[-1].at_ns - began == 20 * 200 * MS + LATE_NS // 2


def test_a_long_delay_moves_the_schedule_instead_of_cutting_steps_short():
    world = World(late_ns=2 * LATE_NS).ready()
    world.start(*[wait(200)] * 20)
    world.run_until_ended()
    ended = [e.at_ns for e in world.events(StepEnded)]
    began = [e.at_ns for e in world.events(StepStarted)]
    assert min(e - b for b, e in zip(began, ended, strict=True)) >= 200 * MS


def test_a_step_that_fails_in_the_cleanup_ends_in_the_safe_state():
    world = World().ready()
    world.fates.append(lambda w: "refuse" if w.lane.value == "recipe" else None)
    world.start(wait(10), cleanup=[assign(50.0)])
    world.run_for(1 * S)
    assert world.outcome is RunOutcome.STEP_FAILED
    assert states(world)[-4:] == ["Completing", "Aborting", "Stopped", "Idle"]
    assert world.value("mfc.setpoint") == 20.0


def test_without_room_on_record_the_run_holds_between_steps_and_goes_on_when_there_is_room():
    world = World().ready().start(flow(20.0), purge(300), valve("tma", 500), purge(300))
    world.run_for(500 * MS)
    world.give(RecordRoom(at_ns=world.now, ok=False))
    assert world.events(HoldStarted) == []
    world.run_for(1 * S)
    assert world.events(HoldStarted)[0].reason == "RecordFull"
    assert not world.open_valves
    assert world.pulses[0].error_ns == 0
    world.give(RecordRoom(at_ns=world.now, ok=True))
    assert len(world.events(HoldEnded)) == 1
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_hold_in_the_cleanup_goes_on_in_the_cleanup():
    world = World().ready().start(wait(10), cleanup=[wait(100), wait(100)])
    world.run_for(50 * MS)
    world.give(RecordRoom(at_ns=world.now, ok=False))
    world.run_for(200 * MS)
    world.give(RecordRoom(at_ns=world.now, ok=True))
    world.run_until_ended()
    assert states(world)[-5:] == ["Completing", "Held", "Execute", "Completing", "Idle"]


def unseen(*steps):
    """Return a run whose scans stop as it begins; after 2 s without one the machine counts as unseen."""
    world = World(replace(PLANT, max_scan_gap_ns=2 * S)).ready().start(*steps)
    world.scanning = False
    return world


def test_without_a_scan_for_the_longest_gap_the_run_holds_before_its_next_step():
    world = unseen(*[wait(500) for _ in range(8)])
    world.run_for(1900 * MS)
    assert world.machine == "Execute"
    world.run_for(1 * S)
    assert world.machine == "Held"
    status = driver_status(world.state, NO_LINK, NO_SCAN)
    assert status.run is not None
    assert "no scan has succeeded for 2s (maxScanGap)" in status.run.held
    assert status.scan.gaps == 1
    world.scanning = True
    world.run_for(200 * MS)
    assert world.machine == "Execute"
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.state.scan_gaps == 1


def test_a_step_that_is_under_way_is_not_broken_off_for_want_of_a_scan():
    world = unseen(wait(10), valve("vent", 4000), wait(10))
    world.run_for(4 * S)
    assert world.open_valves == {"vent"}
    world.run_for(1 * S)
    assert (world.open_valves, world.machine) == (set(), "Held")
    assert abs(world.pulses[0].error_ns) < 10 * MS


def test_a_run_that_stays_unseen_ends_in_the_safe_state():
    world = unseen(wait(3000), wait(10))
    assert world.run_until_ended(within_ns=120 * S).outcome is RunOutcome.HOLD_TIMEOUT


def refusing(world, bit):
    world.fates.append(
        lambda w: (
            "refuse" if w.lane.value == "recipe" and getattr(w.target, "bits", ()) == bit else None
        )
    )
    return world


@pytest.mark.parametrize("is_beside", [False, True])
def test_a_pulse_that_fails_in_the_cleanup_is_on_record_once(is_beside):
    world = refusing(World().ready(), (True,))
    pulse = together([valve("tma", 40)], [wait(10)]) if is_beside else valve("tma", 40)
    world.start(purge(300), cleanup=[pulse])
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert (len(world.pulses), ended.pulses) == (1, 1)
    errors = [e.error for e in world.events(StepEnded)]
    assert errors.count("valve tma did not open: refused") == 1
    assert len(world.events(StepEnded)) == len(world.events(StepStarted))


def test_a_value_that_does_not_show_while_a_valve_is_open_in_the_cleanup_ends_its_pulse_once():
    world = World().ready()
    world.overrides["heater.setpoint"] = 0.0
    world.start(purge(300), cleanup=[assign(50.0), valve("tma", 1000)])
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert (len(world.pulses), ended.pulses) == (1, 1)
    assert len(world.events(StepEnded)) == len(world.events(StepStarted))


def test_the_end_names_what_failed_first_though_the_cleanup_failed_too():
    world = refusing(World().ready(), (True,))
    world.start(purge(300), valve("tma", 40), cleanup=[valve("vent", 40)])
    ended = world.run_until_ended()
    assert "step dose-vent: valve vent did not open" in ended.message
    assert "in the cleanup after: step dose-tma: valve tma did not open" in ended.message


def test_the_end_of_a_stopped_run_whose_cleanup_failed_says_that_it_was_stopped():
    world = refusing(World().ready(), (True,)).start(
        wait(100), wait(100), cleanup=[valve("vent", 40)]
    )
    stop = ActionAsked(at_ns=world.now, uid=UID, action=RunAction.STOP, by="anna", reason="enough")
    world.give(stop)
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert "in the cleanup after: stopped after 1 steps: enough (by anna)" in ended.message


def test_a_run_whose_last_set_point_no_scan_shows_ends_after_the_longest_hold():
    world = unseen(assign(33.0))
    world.run_for(3 * S)
    assert world.machine == "Held"
    ended = world.run_until_ended(within_ns=120 * S)
    assert (ended.outcome, world.machine) == (RunOutcome.HOLD_TIMEOUT, "Idle")


def test_a_run_whose_last_set_point_shows_after_the_longest_gap_is_completed():
    world = unseen(assign(33.0))
    world.run_for(3 * S)
    world.scanning = True
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert states(world)[-5:] == ["Completing", "Held", "Execute", "Completing", "Idle"]
