"""Whole runs on virtual time: what a recipe does, and what every way of ending it leaves behind."""

import pytest

from ald.engine.effects import Journal, Write
from ald.engine.inputs import ShutdownAsked
from ald.records.event import (
    PulseOpening,
    RunEnded,
    RunOutcome,
    SafeStateReached,
    StepEnded,
    StepStarted,
    WriteOutcome,
)
from unit.engine.programs import MS, OTHER_UID, S, assign, loop, purge, valve, wait
from unit.engine.world import World

CYCLE = (valve("tma", 40), purge(500), valve("water", 25), purge(800))


def aborted(world: World) -> None:
    world.abort(by="tester", reason="enough")


def test_a_run_opens_each_valve_as_often_as_its_recipe_says_and_ends_completed():
    world = World().ready().start(purge(300), loop(10, *CYCLE))
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.COMPLETED
    assert ended.leaves_done == 41
    assert [p.valve for p in world.pulses] == ["tma", "water"] * 10
    assert len(world.trace) == 40
    assert world.machine == "Idle"
    assert not world.open_valves


@pytest.mark.requirement("REC-06")
def test_thousands_of_cycles_do_not_drift_and_no_pulse_misses_its_width():
    world = World(round_trip_ns=7 * MS).ready().start(purge(300), loop(2000, *CYCLE))
    began = world.now
    ended = world.run_until_ended(3 * 3600 * S)
    assert ended.worst_error_ns == 0
    first, last = world.pulses[0], world.pulses[-1]
    assert last.due_ns - first.due_ns == 1999 * 1365 * MS + 540 * MS
    assert last.due_ns - began == 300 * MS + 1999 * 1365 * MS + 540 * MS


def test_a_late_opening_moves_the_closing_with_it():
    world = World(late_ns=4 * MS).ready().start(purge(300), valve("tma", 40))
    world.run_until_ended()
    (pulse,) = world.pulses
    assert pulse.opened_sent_ns - pulse.due_ns >= 4 * MS
    assert pulse.closed_sent_ns - pulse.opened_sent_ns == 44 * MS
    assert pulse.error_ns == 4 * MS


def test_every_opening_is_on_record_before_its_write_and_has_its_end_after():
    world = World().ready().start(purge(300), loop(3, *CYCLE))
    world.run_until_ended()
    on_record: set[int] = set()
    opened = 0
    for effect in world.log:
        match effect:
            case Journal(event=PulseOpening(ordinal=ordinal)):
                on_record.add(ordinal)
            case Write(target=target) if getattr(target, "bits", ()) == (True,):
                opened += 1
                assert len(on_record) == opened
    ordinals = [p.ordinal for p in world.pulses]
    assert ordinals == sorted(on_record)


@pytest.mark.requirement("REC-02")
def test_leaves_are_counted_through_nested_loops():
    steps = (
        assign(100.0),
        loop(10, purge(300), valve("tma", 10), purge(300), valve("water", 10)),
        loop(3, purge(300), valve("tma", 10)),
        wait(10),
    )
    world = World().ready().start(*steps)
    ended = world.run_until_ended()
    assert ended.leaves_done == 48
    assert [e.ordinal for e in world.events(StepStarted)] == list(range(1, 49))
    assert [e.ordinal for e in world.events(StepEnded)] == list(range(1, 49))


@pytest.mark.requirement("REC-03")
@pytest.mark.parametrize("after_ms", [0, 1, 305, 310, 320, 341, 345, 600])
def test_an_abort_at_any_time_shuts_every_valve_within_two_round_trips(after_ms):
    world = World().ready().start(purge(300), valve("tma", 40), purge(500), valve("water", 25))
    world.run_for(after_ms * MS)
    aborted(world)
    world.run_for(10 * MS)
    assert not world.open_valves
    world.run_for(1 * S)
    assert world.outcome is RunOutcome.ABORTED
    assert world.machine == "Idle"
    assert len(world.events(PulseOpening)) == len(world.pulses)
    assert world.value("mfc.setpoint") == 20.0
    assert world.events(SafeStateReached)[-1].confirmed


@pytest.mark.requirement("REC-03")
def test_aborting_twice_ends_the_run_once_and_the_next_one_starts():
    world = World().ready().start(loop(5, *CYCLE[1:2]))
    world.run_for(700 * MS)
    aborted(world)
    aborted(world)
    world.run_for(1 * S)
    assert [e.outcome for e in world.events(RunEnded)] == [RunOutcome.ABORTED]
    world.start(purge(300), valve("tma", 10), uid=OTHER_UID)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_pulse_cut_short_is_on_record_with_the_time_at_which_the_safe_state_shut_it():
    world = World().ready().start(purge(300), valve("tma", 400))
    world.run_for(400 * MS)
    aborted(world)
    world.run_for(1 * S)
    (pulse,) = world.pulses
    assert pulse.outcome is WriteOutcome.CONFIRMED
    assert pulse.closed_ack_ns > pulse.closed_sent_ns > pulse.opened_ack_ns > 0
    assert pulse.error_ns < 0
    assert world.events(StepEnded)[-1].error == "enough"


def test_a_lost_link_ends_the_run_and_the_safe_state_is_the_first_thing_after_the_next_connection():
    world = World().ready().start(purge(300), valve("tma", 400))
    world.run_for(400 * MS)
    world.disconnect()
    assert world.outcome is RunOutcome.LINK_LOST
    assert world.pulses[0].outcome is WriteOutcome.UNKNOWN
    assert world.machine == "Aborting"
    world.run_for(2 * S)
    world.connect()
    world.run_for(50 * MS)
    assert not world.open_valves
    assert world.machine == "Idle"


def test_a_safe_state_not_confirmed_in_time_latches_until_somebody_clears_it():
    world = World().ready().start(purge(300), valve("tma", 400))
    world.run_for(400 * MS)
    world.disconnect()
    world.run_for(11 * S)
    assert world.machine == "Aborted"
    assert not world.events(SafeStateReached)[-1].confirmed
    world.connect()
    world.run_for(50 * MS)
    assert not world.open_valves
    assert world.events(SafeStateReached)[-1].confirmed
    assert world.machine == "Aborted"


@pytest.mark.parametrize("fate", ["mute", "lost"])
def test_an_opening_of_unknown_outcome_is_never_sent_again(fate):
    world = World().ready()
    world.fates.append(lambda w: fate if getattr(w.target, "bits", ()) == (True,) else None)
    world.start(purge(300), valve("tma", 3000))
    world.run_for(2 * S)
    assert world.outcome is RunOutcome.LINK_LOST
    world.fates.clear()
    world.connect()
    world.run_for(1 * S)
    assert not world.open_valves
    assert len([t for t in world.trace if t[2]]) == (1 if fate == "mute" else 0)


def test_a_refused_closing_is_a_safety_violation_and_latches():
    world = World().ready()
    world.fates.append(lambda w: "refuse" if getattr(w.target, "bits", ()) == (False,) else None)
    world.start(purge(300), valve("tma", 30))
    world.run_for(1 * S)
    world.fates.clear()
    world.run_for(1 * S)
    assert world.outcome is RunOutcome.SAFETY_VIOLATION
    assert world.machine == "Aborted"
    assert not world.open_valves


def test_a_refused_opening_fails_the_step_and_the_cleanup_runs():
    world = World().ready()
    world.fates.append(lambda w: "refuse" if getattr(w.target, "bits", ()) == (True,) else None)
    world.start(purge(300), valve("tma", 30), wait(1000), cleanup=[assign(25.0)])
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert "dose-tma: valve tma did not open" in ended.message
    assert ended.timing.whole == 0, "what never opened has no width"
    assert world.value("heater.setpoint") == 25.0
    assert world.machine == "Idle"


def test_the_cleanup_runs_once_after_success_and_never_after_an_abort():
    world = World().ready().start(wait(100), cleanup=[assign(25.0)])
    world.run_until_ended()
    assert world.value("heater.setpoint") == 25.0
    world = World().ready().start(wait(100), cleanup=[assign(25.0)])
    aborted(world)
    world.run_for(1 * S)
    assert world.value("heater.setpoint") == 0.0


def test_a_shutdown_ends_the_run_makes_the_machine_safe_and_says_good_bye_last():
    world = World().ready().start(purge(300), valve("tma", 400))
    world.run_for(400 * MS)
    world.give(ShutdownAsked(at_ns=world.now, reason="SIGTERM"))
    world.run_for(100 * MS)
    assert world.outcome is RunOutcome.SHUTDOWN
    assert not world.open_valves
    assert world.exited
    assert type(world.journal[-1]).__name__ == "SessionEnded"
