"""Interlocks: when one is violated, when it trips, and what the three actions do to a run, a start and an idle machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ald.engine import interlock
from ald.engine.inputs import ActionAsked, ClearAsked, RunGiven
from ald.engine.status import driver_status
from ald.errors import RefusedError
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.plant.model import Interlock, InterlockAction, Mode
from ald.records.event import (
    HoldEnded,
    HoldStarted,
    InterlockCleared,
    InterlockTripped,
    PulseOpening,
    RunOutcome,
)
from ald.wire import RunAction
from unit.engine.programs import (
    MS,
    PLANT,
    UID,
    S,
    assign,
    compiled,
    loop,
    order,
    purge,
    valve,
    wait,
)
from unit.engine.world import World

COOL = "value('heater.temperature') < 300.0"


def plant(*interlocks, **changes):
    return replace(PLANT, interlocks=interlocks, **changes)


def cool(action=InterlockAction.ABORT, for_ns=0, name="too-hot", permissive=COOL):
    return Interlock(name=name, permissive=permissive, for_ns=for_ns, action=action)


def ready(*interlocks, **changes):
    return World(plant(*interlocks, **changes)).ready()


def heat(world, value=350.0):
    world.overrides["heater.temperature"] = value
    return world


def status(world):
    return driver_status(world.state, NO_LINK, NO_SCAN)


def test_a_violated_interlock_aborts_within_one_scan_and_two_round_trips():
    world = ready(cool()).start(purge(300), valve("tma", 4000))
    world.run_for(1 * S)
    assert world.open_valves == {"tma"}
    heat(world).run_for(100 * MS + 2 * world.round_trip_ns + 10 * MS)
    assert world.open_valves == set()
    assert world.outcome is RunOutcome.INTERLOCK


def test_an_abort_says_which_interlock_it_was_with_its_values_and_stays_until_it_is_cleared():
    world = heat(ready(cool()).start(wait(60_000)), 351.5).run_for(1 * S)
    assert world.machine == "Aborted"
    assert world.state.last_run.outcome is RunOutcome.INTERLOCK
    for said in (
        world.state.last_run.message,
        status(world).message,
        status(world).interlocks.message,
    ):
        assert "interlock too-hot is violated" in said
        assert "heater.temperature = 351.5" in said
    (tripped,) = world.events(InterlockTripped)
    assert (tripped.interlock, tripped.action, tripped.first_out) == ("too-hot", "Abort", "too-hot")
    assert tripped.readings == {"heater.temperature": 351.5}
    assert tripped.run == world.state.last_run.run.uid


def test_a_clear_is_refused_while_the_interlock_is_violated_and_leads_to_idle_after_it():
    world = heat(ready(cool())).run_for(1 * S)
    assert world.machine == "Aborted"
    clear = ClearAsked(at_ns=world.now, by="p", comment="")
    with pytest.raises(RefusedError, match="too-hot"):
        world.give(clear)
    heat(world, 20.0).run_for(200 * MS)
    assert world.machine == "Aborted"
    assert len(world.events(InterlockCleared)) == 1
    assert status(world).interlocks.first_out == "too-hot"
    world.give(replace(clear, at_ns=world.now))
    assert world.machine == "Idle"
    assert status(world).interlocks.first_out == ""


def test_an_idle_machine_is_made_safe_as_well():
    world = ready(cool())
    world.coils[0] = True
    heat(world).run_for(1 * S)
    assert (world.machine, world.coils[0]) == ("Aborted", False)


@pytest.mark.parametrize("action", [InterlockAction.BLOCK, InterlockAction.HOLD])
def test_block_and_hold_leave_an_idle_machine_as_it_is(action):
    world = ready(cool(action))
    world.coils[0] = True
    heat(world).run_for(1 * S)
    assert (world.machine, world.coils[0]) == ("Idle", True)


@pytest.mark.parametrize("action", list(InterlockAction))
def test_no_run_starts_while_one_is_violated_however_short(action):
    world = heat(ready(cool(action, for_ns=60 * S))).run_for(200 * MS)
    given = order(compiled(wait(1), plant=world.plant))
    with pytest.raises(RefusedError, match="too-hot") as refused:
        world.give(RunGiven(at_ns=world.now, order=given))
    assert refused.value.reason == "Interlocked"
    heat(world, 20.0).run_for(200 * MS)
    world.give(RunGiven(at_ns=world.now, order=given))
    assert world.machine == "Execute"


def test_hold_holds_at_the_next_step_and_goes_on_when_it_is_satisfied():
    world = ready(cool(InterlockAction.HOLD)).start(wait(1000), wait(100))
    heat(world).run_for(900 * MS)
    assert world.machine == "Execute"
    world.run_for(1 * S)
    assert world.machine == "Held"
    held = status(world).run.held
    assert "interlock too-hot is violated" in held
    assert world.events(HoldStarted)[0].message == held
    heat(world, 20.0).run_for(300 * MS)
    assert len(world.events(HoldEnded)) == 1
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_hold_lets_an_open_valve_have_its_time_and_opens_no_other():
    world = ready(cool(InterlockAction.HOLD)).start(purge(300), loop(3, valve("tma", 400)))
    world.run_for(400 * MS)
    heat(world).run_for(5 * S)
    (pulse,) = world.pulses
    assert abs(pulse.error_ns) < 10 * MS
    assert (world.machine, world.open_valves) == ("Held", set())


def test_block_lets_every_step_go_on_but_an_opening():
    world = ready(cool(InterlockAction.BLOCK)).start(
        wait(500), assign(3.0), wait(10), valve("vent", 10)
    )
    heat(world).run_for(3 * S)
    assert world.value("heater.setpoint") == 3.0
    assert world.machine == "Held"
    assert world.events(PulseOpening) == []
    heat(world, 20.0)
    assert world.run_until_ended().pulses == 1


def test_a_hold_for_an_interlock_ends_in_an_abort_after_max_hold():
    world = ready(cool(InterlockAction.HOLD), max_hold_ns=2 * S).start(wait(500), wait(10))
    heat(world).run_for(5 * S)
    assert world.outcome is RunOutcome.HOLD_TIMEOUT
    assert "too-hot" in world.state.last_run.message


def ask(world, action):
    world.give(ActionAsked(at_ns=world.now, uid=UID, action=action, by="anna", reason=""))
    return world


def test_a_run_held_for_an_interlock_is_paused_when_that_is_satisfied_and_held_again_if_it_is_not():
    world = ready(cool(InterlockAction.HOLD)).start(wait(300), wait(300))
    heat(world).run_for(500 * MS)
    ask(world, RunAction.PAUSE).run_for(500 * MS)
    assert world.state.run.hold.reason == "Interlock"
    heat(world, 20.0).run_for(500 * MS)
    assert world.state.run.hold.reason == "Paused"
    heat(world).run_for(500 * MS)
    assert ask(world, RunAction.RUN).state.run.hold.reason == "Interlock"
    heat(world, 20.0).run_until_ended()
    assert world.outcome is RunOutcome.COMPLETED
    assert world.machine == "Idle"


@pytest.mark.parametrize("cleanup", [(), (wait(100),)])
def test_a_run_held_for_an_interlock_stops_and_its_cleanup_waits_for_the_interlock(cleanup):
    world = ready(cool(InterlockAction.HOLD)).start(wait(300), wait(300), cleanup=cleanup)
    heat(world).run_for(500 * MS)
    ask(world, RunAction.STOP).run_for(500 * MS)
    assert world.machine == ("Held" if cleanup else "Idle")
    heat(world, 20.0).run_for(1 * S)
    assert world.outcome is RunOutcome.STOPPED
    assert world.machine == "Idle"


def test_the_hold_names_the_next_interlock_when_the_first_is_satisfied_and_its_time_goes_on():
    fast = cool(InterlockAction.HOLD, name="no-flow", permissive="value('mfc.flow') < 50.0")
    world = ready(cool(InterlockAction.HOLD), fast, max_hold_ns=10 * S).start(wait(500), wait(10))
    heat(world)
    world.overrides["mfc.flow"] = 60.0
    world.run_for(2 * S)
    since = world.state.run.hold.since_ns
    assert "too-hot" in status(world).run.held
    heat(world, 20.0).run_for(500 * MS)
    assert "no-flow" in status(world).run.held
    assert "no-flow" in status(world).message
    assert world.state.run.hold.since_ns == since
    assert len(world.events(HoldStarted)) == 2


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_value_that_is_not_good_violates(value):
    world = heat(ready(cool()).start(wait(60_000)), value).run_for(1 * S)
    assert world.outcome is RunOutcome.INTERLOCK


def test_quality_is_judged_outside_the_expression():
    swallowed = "value('heater.temperature') < 300.0 || true"
    world = heat(ready(cool(permissive=swallowed)).start(wait(60_000)), None).run_for(1 * S)
    assert world.outcome is RunOutcome.INTERLOCK
    assert "heater.temperature is not good" in world.state.last_run.message


def test_a_permissive_that_cannot_be_read_is_never_true():
    world = ready(cool(permissive="value("))
    assert world.run_for(1 * S).machine == "Aborted"


@pytest.mark.parametrize(("seen_ms", "trips"), [(900, False), (1100, True)])
def test_for_is_how_long_it_must_be_violated_without_a_break(seen_ms, trips):
    world = ready(cool(for_ns=1 * S)).start(wait(60_000))
    heat(world).run_for(seen_ms * MS)
    heat(world, 20.0).run_for(150 * MS)
    heat(world).run_for(900 * MS)
    assert bool(world.events(InterlockTripped)) is trips


def test_scans_that_stop_violate_after_the_longest_gap_and_for_counts_from_there():
    world = ready(cool(for_ns=500 * MS), max_scan_gap_ns=2 * S).start(wait(60_000))
    world.scanning = False
    world.run_for(2400 * MS)
    assert world.machine == "Execute"
    world.run_for(500 * MS)
    assert world.machine == "Aborted"
    assert "nothing has been read for 2s" in world.state.last_run.message


def test_it_trips_in_time_although_the_next_scan_does_not_come():
    world = ready(cool(for_ns=500 * MS)).start(wait(60_000))
    heat(world).run_for(110 * MS)
    world.scanning = False
    world.run_for(600 * MS)
    assert world.outcome is RunOutcome.INTERLOCK


def test_the_first_out_is_the_one_that_tripped_first_until_all_are_satisfied():
    late = cool(InterlockAction.BLOCK, for_ns=1 * S, name="late")
    world = ready(late, cool(InterlockAction.BLOCK, name="early"))
    heat(world).run_for(2 * S)
    assert [e.first_out for e in world.events(InterlockTripped)] == ["early", "early"]
    assert status(world).interlocks.first_out == "early"
    assert status(world).interlocks.tripped == ("early", "late")
    heat(world, 20.0).run_for(200 * MS)
    assert status(world).interlocks == replace(status(world).interlocks, tripped=(), first_out="")


def test_an_abort_under_way_is_kept_from_ending_in_idle_by_an_interlock_that_trips_in_it():
    world = ready(cool()).start(wait(60_000))
    world.fates.append(lambda _: "refused" if world.state.ending is not None else None)
    heat(world)
    world.run_for(100 * MS)
    world.fates.clear()
    assert world.run_for(3 * S).machine == "Aborted"


def test_in_mode_observe_it_is_shown_and_nothing_is_written():
    world = World(plant(cool(), mode=Mode.OBSERVE)).ready()
    heat(world).run_for(1 * S)
    assert status(world).interlocks.tripped == ("too-hot",)
    assert world.trace == []


def test_a_lost_connection_says_nothing_about_interlocks():
    world = heat(ready(cool(InterlockAction.BLOCK))).run_for(1 * S)
    world.disconnect()
    assert status(world).interlocks.tripped == ()
    assert interlock.wake_ns(world.state) is None
    world.connect()
    world.run_for(1 * S)
    assert len(world.events(InterlockTripped)) == 2


def test_the_set_point_and_the_age_may_be_asked_for():
    follows = (
        "value('heater.temperature') - setpoint('heater.setpoint') < 5.0 && age('mfc.flow') < 10.0"
    )
    world = ready(cool(permissive=follows)).start(assign(100.0), wait(1000), wait(100_000))
    world.run_for(1500 * MS)
    assert world.machine == "Execute"
    heat(world, 106.0).run_for(1 * S)
    assert world.outcome is RunOutcome.INTERLOCK


def test_the_status_names_all_and_explains_a_few():
    many = [cool(InterlockAction.BLOCK, name=f"i-{n}") for n in range(32)]
    found = status(heat(ready(*many)).run_for(1 * S)).interlocks
    assert len(found.tripped) == 32
    assert "and 27 more" in found.message
    assert len(found.message) < 1000


@given(
    st.lists(st.tuples(st.integers(1, 400), st.booleans()), min_size=1, max_size=30),
    st.integers(0, 600),
)
def test_no_valve_opens_while_one_has_tripped_and_every_trip_lasted_long_enough(changes, for_ms):
    world = ready(cool(InterlockAction.BLOCK, for_ns=for_ms * MS), max_hold_ns=3600 * S)
    world.start(purge(300), loop(50, valve("tma", 20), wait(50)))
    for after_ms, is_hot in changes:
        world.run_for(after_ms * MS)
        heat(world, 350.0 if is_hot else 20.0)
    world.run_for(1 * S)
    tripped = False
    for event in world.journal:
        match event:
            case InterlockTripped():
                tripped = True
                assert event.at_ns - event.since_ns >= for_ms * MS
            case InterlockCleared():
                tripped = False
            case PulseOpening():
                assert not tripped
            case _:
                pass


def test_a_flow_feedback_that_sticks_is_believed_and_a_second_value_in_an_interlock_tells():
    steps = (purge(300), valve("tma", 40), purge(300), valve("water", 40))
    stuck = World(replace(PLANT), follow_flow=False).ready()
    stuck.overrides["mfc.flow"] = 20.0
    assert stuck.start(*steps).run_until_ended().outcome is RunOutcome.COMPLETED
    # Without flow the chamber gets hot, say.
    watched = World(plant(cool()), follow_flow=False).ready()
    watched.overrides["mfc.flow"] = 20.0
    heat(watched.start(*steps).run_for(350 * MS))
    assert watched.run_until_ended().outcome is RunOutcome.INTERLOCK
    assert not watched.open_valves
