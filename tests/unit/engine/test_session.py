"""Starts, configurations, connections, clearing, shutdown."""

import pytest
from msgspec.structs import replace

from ald.engine.effects import UsePlant, Write
from ald.engine.inputs import (
    ClearAsked,
    ClockStep,
    OpenPulse,
    PlantGiven,
    RunGiven,
    ShutdownAsked,
)
from ald.engine.trace import open_run, unsafe
from ald.errors import RefusedError
from ald.plant.model import Mode, digest
from ald.records.event import (
    Cleared,
    ClockStepped,
    PulseDone,
    RunEnded,
    RunOutcome,
    SafeStateReached,
    SessionEnded,
    SessionStarted,
    StepEnded,
    WriteOutcome,
    Written,
)
from ald.wire import Reached
from unit.engine.programs import MS, PLANT, UID, S, assign, loop, purge, valve, wait
from unit.engine.world import World


def given(world, plant, *, plant_digest=None, confirmed=True):
    plant_digest = plant_digest or digest(plant)
    world.give(
        PlantGiven(at_ns=world.now, plant=plant, plant_digest=plant_digest, confirmed=confirmed)
    )


def writes(world):
    return [e for e in world.log if isinstance(e, Write)]


def crashed(after_ms):
    """A run cut off by the death of its executor: what durable state says, and the world it leaves."""
    world = World().ready().start(purge(300), valve("tma", 400), purge(300), wait(9000))
    world.run_for(after_ms * MS)
    found = open_run(world.state)
    assert found is not None
    return world, found


def test_with_no_run_open_a_start_moves_the_valves_and_leaves_the_rest_as_it_is():
    world = World()
    world.coils[8] = True
    world.connect()
    world.run_for(100 * MS)
    assert not world.open_valves
    assert {w.target for w in world.events(Written)} == {"valve.tma", "valve.water", "valve.spare"}
    assert "no run was on" in world.events(SessionStarted)[0].found


def test_neighbouring_valves_are_shut_by_one_write():
    world = World()
    world.connect()
    world.run_for(100 * MS)
    (write,) = writes(world)
    assert write.target.bits == (False, False, False)


@pytest.mark.requirement("INT-12")
@pytest.mark.parametrize(("after_ms", "ordinal"), [(100, 1), (400, 2), (2000, 4)])
def test_a_run_open_at_a_crash_is_ended_exactly_and_the_machine_made_wholly_safe(after_ms, ordinal):
    _, found = crashed(after_ms)
    world = World(open_run=found)
    (ended,) = world.events(RunEnded)
    assert ended.outcome is RunOutcome.GATEWAY_RESTARTED
    assert ended.run == UID
    assert f"number {ordinal}" in ended.message
    assert world.machine == "Aborting"
    assert world.events(StepEnded)[0].ordinal == ordinal
    world.connect()
    world.run_for(100 * MS)
    assert world.events(SafeStateReached)[0].confirmed
    assert world.machine == "Stopped"
    assert world.value("mfc.setpoint") == 20.0
    given(world, PLANT)
    assert world.machine == "Idle"


def test_a_pulse_open_at_a_crash_is_on_record_as_of_unknown_end():
    _, found = crashed(400)
    assert isinstance(found.pulse, OpenPulse)
    assert found.pulse.opened_sent_ns > 0
    world = World(open_run=found)
    (pulse,) = world.events(PulseDone)
    assert (pulse.valve, pulse.outcome) == ("tma", WriteOutcome.UNKNOWN)
    assert world.events(RunEnded)[0].pulses == 1


def test_a_run_of_which_only_the_beginning_is_known_ends_without_claiming_a_position():
    _, found = crashed(400)
    world = World(open_run=replace(found, is_exact=False))
    (ended,) = world.events(RunEnded)
    assert ended.outcome is RunOutcome.GATEWAY_RESTARTED
    assert not ended.exact
    assert f"any of its {found.leaves_total} steps may have begun" in ended.message
    assert "number" not in ended.message
    # Its first step may have ended long ago, as the record says then.
    assert (world.events(StepEnded), world.events(PulseDone)) == ([], [])
    last = world.state.last_run
    assert last is not None
    assert (last.step, last.path, last.iterations) == ("", "", ())
    assert last.reached == Reached(), "nobody is told where to go on"
    assert "lost" in world.events(SessionStarted)[0].found
    world.connect()
    world.run_for(100 * MS)
    assert world.events(SafeStateReached)[0].confirmed
    assert world.value("mfc.setpoint") == 20.0, "the whole safe state"


def test_after_a_crash_without_the_plc_the_machine_latches_until_cleared():
    _, found = crashed(400)
    world = World(open_run=found)
    world.run_for(11 * S)
    assert world.machine == "Aborted"
    world.connect()
    world.run_for(100 * MS)
    given(world, PLANT)
    assert world.machine == "Aborted"
    world.give(ClearAsked(at_ns=world.now, by="me", comment="looked"))
    assert world.machine == "Idle"
    assert world.events(Cleared)[0].by == "me"


def test_a_run_known_from_before_the_crash_is_never_started_again():
    before, found = crashed(400)
    order = next(i for i in before.inputs if isinstance(i, RunGiven)).order
    world = World(open_run=found).ready()
    world.give(RunGiven(at_ns=world.now, order=order))
    assert world.state.run is None


def test_a_run_that_ended_before_a_restart_is_still_shown_and_not_started_again():
    before = World().ready().start(wait(10))
    before.run_until_ended()
    world = World(started_uids=before.state.started_uids, last_run=before.state.last_run).ready()
    assert world.state.last_run == before.state.last_run
    world.start(wait(10))
    assert world.state.run is None


def test_without_configuration_nothing_is_written_and_the_reason_is_shown():
    world = World(plant=None)
    world.run_for(20 * S)
    assert (world.machine, world.state.reason) == ("Stopped", "NoPlant")
    assert writes(world) == []


def test_a_run_open_at_a_crash_ends_even_when_the_configuration_is_lost():
    _, found = crashed(400)
    world = World(plant=None, open_run=found)
    assert world.outcome is RunOutcome.GATEWAY_RESTARTED
    world.run_for(11 * S)
    assert world.machine == "Aborted"
    given(world, PLANT)
    world.connect()
    world.run_for(100 * MS)
    assert world.events(SafeStateReached)[-1].confirmed


def test_when_it_is_not_known_whether_a_run_was_on_the_whole_safe_state_is_written():
    calm, doubtful = World(), World(is_doubtful=True)
    for world in (calm, doubtful):
        world.connect()
        world.run_for(100 * MS)
    assert {type(w.target).__name__ for w in writes(calm)} == {"Coils"}
    assert {type(w.target).__name__ for w in writes(doubtful)} == {"Coils", "Words"}
    assert "damaged" in doubtful.events(SessionStarted)[0].found
    assert doubtful.ready().machine == "Idle"


def test_a_volume_that_lost_everything_has_the_machine_made_safe_with_the_next_configuration():
    world = World(plant=None, is_doubtful=True)
    world.run_for(1 * S)
    given(world, PLANT)
    world.connect()
    world.run_for(100 * MS)
    assert world.events(SafeStateReached)[-1].confirmed
    assert {type(w.target).__name__ for w in writes(world)} == {"Coils", "Words"}


def test_idle_needs_the_operators_confirmation():
    world = World()
    world.connect()
    world.run_for(100 * MS)
    assert (world.machine, world.state.reason) == ("Stopped", "NotConfirmed")
    given(world, PLANT, confirmed=False)
    assert world.machine == "Stopped"
    given(world, PLANT)
    assert world.machine == "Idle"


def test_a_configuration_with_another_digest_than_its_own_is_refused():
    world = World().ready()
    with pytest.raises(RefusedError, match="digest"):
        given(world, PLANT, plant_digest="0" * 64)


def test_a_new_configuration_waits_for_the_run_and_then_needs_a_connection_of_its_own():
    world = World().ready().start(wait(1000))
    other = replace(PLANT, generation=2)
    with pytest.raises(RefusedError) as refused:
        given(world, other)
    assert refused.value.reason == "RunActive"
    world.run_until_ended()
    given(world, other)
    assert [e.plant for e in world.log if isinstance(e, UsePlant)] == [other]
    assert world.machine == "Stopped"
    world.connect()
    world.run_for(200 * MS)
    assert world.machine == "Idle"


def test_in_mode_observe_nothing_is_ever_written():
    plant = replace(PLANT, mode=Mode.OBSERVE)
    world = World(plant)
    world.connect()
    given(world, plant)
    world.run_for(1 * S)
    world.disconnect()
    world.connect()
    world.abort(uid="")
    world.run_for(1 * S)
    assert writes(world) == []
    assert (world.machine, world.state.reason) == ("Stopped", "ObserveMode")
    world.give(ShutdownAsked(at_ns=world.now, reason="SIGTERM"))
    assert world.exited


def test_a_stop_without_a_run_writes_the_whole_safe_state():
    world = World().ready()
    world.abort(uid="")
    world.run_for(100 * MS)
    assert world.value("mfc.setpoint") == 20.0
    assert world.machine == "Idle"


def test_an_abort_of_another_run_changes_nothing():
    world = World().ready().start(wait(1000))
    world.abort(uid="another")
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_only_aborted_is_cleared():
    world = World().ready()
    with pytest.raises(RefusedError) as refused:
        world.give(ClearAsked(at_ns=world.now, by="me", comment=""))
    assert refused.value.reason == "NotAborted"


def test_a_lost_link_when_idle_stops_and_the_next_connection_resets():
    world = World().ready()
    world.disconnect()
    assert (world.machine, world.state.reason) == ("Stopped", "LinkDown")
    world.connect()
    assert world.run_for(100 * MS).machine == "Idle"
    assert {w.target.partition(".")[0] for w in world.events(Written)} == {"valve"}


def test_a_step_of_the_wall_clock_moves_wall_times_and_no_duration():
    world = World().ready().start(purge(300), loop(3, valve("tma", 20), purge(300)))
    world.run_for(500 * MS)
    world.give(ClockStep(at_ns=world.now, step_ns=-3600 * S))
    world.run_until_ended()
    assert world.events(ClockStepped)[0].step_ns == -3600 * S
    first, second, third = world.pulses
    assert second.due_ns - first.due_ns == third.due_ns - second.due_ns == 320 * MS
    assert third.wall_ns < first.wall_ns


def test_a_shutdown_when_idle_shuts_the_valves_and_ends():
    world = World().ready()
    world.give(ShutdownAsked(at_ns=world.now, reason="SIGTERM"))
    world.give(ShutdownAsked(at_ns=world.now, reason="SIGTERM"))
    world.run_for(100 * MS)
    assert world.exited
    assert [e.reason for e in world.events(SessionEnded)] == ["SIGTERM"]
    assert {w.target.partition(".")[0] for w in world.events(Written)} == {"valve"}


def test_a_shutdown_without_the_plc_does_not_wait_for_ever():
    world = World().ready().start(purge(300), valve("tma", 400))
    world.run_for(400 * MS)
    world.disconnect()
    world.give(ShutdownAsked(at_ns=world.now, reason="SIGTERM"))
    assert world.events(SessionEnded) == []
    world.run_for(11 * S)
    assert world.exited
    assert world.outcome is RunOutcome.LINK_LOST


def test_a_kept_valve_that_a_pulse_had_open_at_a_crash_is_shut():
    before = World().ready().start(valve("vent", 400))
    before.run_for(100 * MS)
    assert before.open_valves == {"vent"}
    after = World(open_run=open_run(before.state))
    after.coils.update(before.coils)
    after.connect()
    after.run_for(1 * S)
    assert after.open_valves == set()


def test_a_kept_valve_is_shut_after_a_crash_when_only_the_volume_knows_which_valves_the_run_opens():
    before = World().ready().start(purge(300), valve("vent", 400))
    found = open_run(before.state)
    assert found is not None
    after = World(open_run=replace(found, pulse=None, valves=("tma", "vent")))
    after.coils[PLANT.valves[3].coil] = True
    after.connect()
    after.run_for(1 * S)
    assert after.open_valves == set()


def test_a_new_configuration_waits_for_a_safe_state_on_its_way_so_that_no_valve_is_forgotten():
    world = World().ready().start(purge(300), valve("tma", 4000))
    world.run_for(500 * MS)
    world.disconnect()
    observe = replace(PLANT, mode=Mode.OBSERVE, generation=2)
    with pytest.raises(RefusedError) as refused:
        given(world, observe)
    assert refused.value.reason == "SafeStatePending"
    world.connect()
    world.run_for(1 * S)
    assert world.open_valves == set()
    given(world, observe)
    assert world.machine == "Stopped"


def test_after_a_safe_state_that_could_not_be_confirmed_a_new_configuration_is_taken():
    world = World().ready().start(purge(300), valve("tma", 4000))
    world.run_for(500 * MS)
    world.disconnect()
    world.run_for(11 * S)
    assert world.machine == "Aborted"
    given(world, replace(PLANT, mode=Mode.OBSERVE, generation=2))
    world.give(ClearAsked(at_ns=world.now, by="t", comment="looked"))
    assert world.machine == "Stopped"


def test_stopping_again_and_again_does_not_keep_the_outputs_from_being_written():
    world = World(round_trip_ns=60 * MS).ready()
    world.words[0], world.coils[0] = 0, True
    for after_ms in range(0, 2000, 50):
        world.at(after_ms * MS, lambda: stop(world))
    world.run_for(1900 * MS)
    assert not world.coils[0]


def test_a_shutdown_does_not_wait_for_a_safe_state_that_the_plc_refuses_for_ever():
    world = World().ready()
    world.fates.append(lambda write: "refuse")
    stop(world)
    world.run_for(12 * S)
    assert world.machine == "Aborted"
    world.give(ShutdownAsked(at_ns=world.now, reason="SIGTERM"))
    world.run_for(11 * S)
    assert world.exited


def stop(world):
    world.abort(uid="", reason="stop")


def test_a_safe_state_that_was_never_confirmed_is_written_whole_by_the_next_executor():
    before = World().ready().start(assign(1.0, "heater.power"), valve("vent", 4000))
    before.run_for(100 * MS)
    before.disconnect()
    assert before.events(RunEnded)
    after = World(unsafe=unsafe(before.state))
    after.coils.update(before.coils)
    after.connect()
    after.run_for(1 * S)
    assert after.open_valves == set()
    assert not after.coils[0]


def test_a_restart_does_not_clear_what_somebody_has_to_clear():
    before = World().ready().start(valve("tma", 40))
    assert before.run_until_ended().outcome is RunOutcome.SAFETY_VIOLATION
    assert before.machine == "Aborted"
    after = World(unsafe=unsafe(before.state)).ready()
    assert after.machine == "Aborted"
    after.give(ClearAsked(at_ns=after.now, by="t", comment="looked"))
    assert after.machine == "Idle"
    assert unsafe(after.state) is None
