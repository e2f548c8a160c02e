"""The rules right before each coil write, one by one, and over random programs."""

import functools
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ald.engine.effects import Coils, Journal, Lane, Write
from ald.engine.inputs import RunGiven, WatchdogSeen
from ald.engine.safety import violation
from ald.engine.state import Pulsing, Safing, State
from ald.engine.step import step
from ald.plant.model import Mode, Plant, SafeAction
from ald.program import model as program
from ald.records.event import PulseDone, PulseOpening, RunEnded, RunOutcome
from unit.engine.programs import (
    MS,
    PLANT,
    S,
    assign,
    compiled,
    flow,
    loop,
    order,
    purge,
    valve,
    wait,
)
from unit.engine.world import World

OPEN_TMA = Coils(address=8, bits=(True,))


def with_safe(name: str, action: SafeAction) -> Plant:
    """The plant with this safe position of one valve; one that is kept has no position that we commanded."""
    entries = PLANT.safe_state.valves
    valves = tuple(replace(e, action=action) if e.valve == name else e for e in entries)
    return replace(PLANT, safe_state=replace(PLANT.safe_state, valves=valves))


KEEPS_WATER = with_safe("water", SafeAction.KEEP)


def forged_ramp(to: float, name: str) -> program.Instruction:
    return program.Ramp(path="p", name="ramp", parameter=name, to=to, per_second=1.0)


def about_to_open(name="tma", open_ms=40):
    """A state in which this valve may open next."""
    world = World().ready().start(flow(20.0), purge(300), valve(name, open_ms))
    world.run_for(290 * MS)
    run = world.state.run
    assert run is not None
    world.run_for(13 * MS)
    state = world.state
    assert state.run is not None
    assert isinstance(state.run.phase, Pulsing)
    clean = {g: replace(e, valve=None, counted_ns=S) for g, e in state.exposures.items()}
    return replace(state, exposures=clean, open_valves=frozenset())


def test_a_valve_may_open_when_every_rule_is_kept():
    assert violation(about_to_open(), Lane.RECIPE, OPEN_TMA) == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: replace(s, connected=False), "no connection"),
        (
            lambda s: replace(s, safing=Safing(reason="", full=True, started_ns=0, deadline_ns=0)),
            "safe state",
        ),
        (lambda s: replace(s, run=replace(s.run, phase=None)), "no step"),
        (lambda s: replace(s, run=None), "no step"),
        (lambda s: replace(s, open_valves=frozenset({"water"})), "water of group precursors"),
        (lambda s: replace(s, exposures={}), "250ms more purge"),
        (
            lambda s: replace(
                s,
                exposures={
                    "precursors": replace(
                        s.exposures["precursors"], valve="water", counted_ns=240 * MS
                    )
                },
            ),
            "exposed to valve water and needs 10ms more purge",
        ),
    ],
)
def test_each_broken_rule_is_named(change, says):
    assert says in violation(change(about_to_open()), Lane.RECIPE, OPEN_TMA)


def test_a_pulse_longer_than_the_valves_maximum_is_refused():
    world = World().ready().start(purge(300), valve("tma", 5001))
    world.run_for(1 * S)
    assert world.outcome is RunOutcome.SAFETY_VIOLATION
    assert not world.trace
    assert world.machine == "Aborted"


def test_the_same_valve_again_needs_no_purge():
    world = World().ready().start(purge(300), valve("tma", 40), wait(10), valve("tma", 40))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_another_valve_of_the_group_without_purge_is_never_opened():
    world = World().ready().start(purge(300), valve("tma", 40), wait(5000), valve("water", 40))
    world.run_for(6 * S)
    assert world.outcome is RunOutcome.SAFETY_VIOLATION
    assert len(world.trace) == 2


def test_exposure_is_remembered_from_run_to_run():
    world = World().ready().start(purge(300), valve("tma", 40))
    world.run_until_ended()
    world.start(valve("tma", 40), uid="7c9e6679-7425-40de-944b-e07fc1f90ae7")
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    world.start(valve("water", 40), uid="8c9e6679-7425-40de-944b-e07fc1f90ae7")
    world.run_for(1 * S)
    assert world.outcome is RunOutcome.SAFETY_VIOLATION


@pytest.mark.parametrize("steps", [(flow(20.0), purge(300)), (purge(300), valve("tma", 40))])
def test_nothing_counts_as_purged_over_a_lost_connection(steps):
    world = World().ready().start(*steps)
    world.run_until_ended()
    world.disconnect()
    # Meanwhile somebody may open any valve at the PLC's panel, and shut it again.
    world.run_for(10 * S)
    world.connect()
    world.give(WatchdogSeen(at_ns=world.now, ok=True))
    world.run_for(300 * MS)
    world.start(valve("tma", 40), uid="7c9e6679-7425-40de-944b-e07fc1f90ae7")
    assert world.run_until_ended().outcome is RunOutcome.SAFETY_VIOLATION


def test_a_first_pulse_after_a_start_needs_the_minimum_purge():
    world = World().ready().start(valve("tma", 40))
    world.run_for(1 * S)
    assert world.outcome is RunOutcome.SAFETY_VIOLATION


def test_a_valve_outside_all_groups_needs_no_purge():
    world = World().ready().start(valve("vent", 40))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_in_mode_observe_and_without_a_plant_no_write_is_let_through():
    observe = replace(PLANT, mode=Mode.OBSERVE)
    assert "Observe" in violation(World(observe).state, Lane.SAFE, OPEN_TMA)
    assert "no plant" in violation(State(), Lane.SAFE, OPEN_TMA)


def test_the_safe_state_and_closing_are_always_let_through():
    shut = Coils(address=8, bits=(False,))
    state = replace(about_to_open(), run=None)
    assert violation(state, Lane.RECIPE, shut) == ""
    assert violation(state, Lane.SAFE, OPEN_TMA) == ""


leaf = st.one_of(
    st.builds(valve, st.sampled_from(["tma", "water", "spare", "vent"]), st.integers(1, 80)),
    st.builds(purge, st.integers(1, 600), st.sampled_from([10.0, 20.0, 40.0])),
    st.builds(wait, st.integers(1, 200)),
    st.builds(flow, st.sampled_from([0.0, 20.0])),
)
steps = st.lists(
    st.one_of(
        leaf,
        st.tuples(st.integers(1, 3), st.lists(leaf, min_size=1, max_size=4)).map(
            lambda made: loop(made[0], *made[1])
        ),
    ),
    min_size=1,
    max_size=6,
)
happenings = st.lists(
    st.tuples(
        st.integers(0, 3000), st.sampled_from(["abort", "drop", "low", "good", "refuse", "lost"])
    ),
    max_size=3,
)


def happen(world: World, what: str) -> None:
    match what:
        case "abort":
            world.abort(uid="")
        case "drop" if world.connected:
            world.disconnect()
            world.at(300 * MS, world.connect)
        case "low":
            world.follow_flow = False
            world.overrides["mfc.flow"] = 1.0
        case "good":
            world.overrides.pop("mfc.flow", None)
        case "refuse" | "lost":
            left = [what]
            world.fates.append(lambda w: left.pop() if left and w.lane is Lane.RECIPE else None)
        case _:
            pass


def reconnected(world: World) -> None:
    if not world.connected:
        world.connect()


@settings(max_examples=150)
@given(steps, happenings, st.integers(1, 30), st.integers(0, 60))
def test_whatever_the_program_and_whatever_happens_no_rule_is_ever_broken(
    recipe, events, round_trip_ms, late_ms
):
    plant = replace(PLANT, max_hold_ns=5 * S)
    world = World(plant, round_trip_ns=round_trip_ms * MS, late_ns=late_ms * MS).ready()
    world.trace.clear()
    world.give(RunGiven(at_ns=world.now, order=order(compiled(*recipe, plant=plant))))
    for at_ms, what in events:
        world.at(at_ms * MS, functools.partial(happen, world, what))
    world.run_for(60 * S)
    reconnected(world)
    world.run_for(15 * S)

    # Every opened valve is shut again, and no two of the group were ever open together at the PLC.
    assert not world.open_valves
    opened: set[int] = set()
    for _, coil, is_open in world.trace:
        opened = opened | {coil} if is_open else opened - {coil}
        assert len(opened & {8, 9, 10}) <= 1
    _well_purged(world)
    # Exactly one end, and every pulse on record once: before its write, and with its end.
    assert len(world.events(RunEnded)) == 1
    openings = [p.ordinal for p in world.events(PulseOpening)]
    assert openings == [p.ordinal for p in world.events(PulseDone)]
    assert len(set(openings)) == len(openings)
    _recorded_first(world)


def _well_purged(world: World) -> None:
    """Between two different valves of the group lies at least the minimum, from shut to open."""
    edges = [e for e in world.trace if e[1] in (8, 9, 10)]
    for shut, following in itertools.pairwise(edges):
        if not shut[2] and following[2] and shut[1] != following[1]:
            assert following[0] - shut[0] >= 250 * MS


def _recorded_first(world: World) -> None:
    announced = sent = 0
    for effect in world.log:
        if isinstance(effect, Journal) and isinstance(effect.event, PulseOpening):
            announced += 1
        elif isinstance(effect, Write) and effect.lane is Lane.RECIPE and _opens(effect):
            sent += 1
            assert sent == announced


def _opens(write: Write) -> bool:
    return isinstance(write.target, Coils) and any(write.target.bits)


def test_a_valve_that_somebody_else_opened_keeps_the_others_of_its_group_shut():
    world = World(KEEPS_WATER).ready()
    world.start(flow(20.0), purge(1000), valve("tma", 40))
    world.run_for(500 * MS)
    world.coils[PLANT.valves[1].coil] = True
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.HOLD_TIMEOUT
    assert "water" in ended.message
    assert PLANT.valves[0].coil not in {coil for _, coil, is_open in world.trace if is_open}


def test_time_in_which_somebody_else_had_a_valve_open_is_no_purge():
    world = World(KEEPS_WATER).ready()
    world.start(flow(20.0), purge(1000), valve("tma", 40))
    world.run_for(500 * MS)
    world.coils[PLANT.valves[1].coil] = True
    world.run_for(400 * MS)
    world.coils[PLANT.valves[1].coil] = False
    shut_ns = world.now
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.pulses[0].opened_sent_ns - shut_ns >= 250 * MS


def test_a_valve_that_is_open_in_the_safe_state_keeps_the_others_of_its_group_shut():
    plant = with_safe("water", SafeAction.OPEN)
    world = World(plant).ready()
    world.start(flow(20.0), purge(1000), valve("tma", 40))
    assert world.run_until_ended().outcome is RunOutcome.HOLD_TIMEOUT
    assert plant.valves[0].coil not in {coil for _, coil, is_open in world.trace if is_open}


def test_a_valve_found_open_after_the_purge_is_noticed_right_before_the_next_one_opens():
    world = World(KEEPS_WATER).ready()
    world.start(flow(20.0), purge(300), wait(500), valve("tma", 40))
    world.run_for(500 * MS)
    world.coils[PLANT.valves[1].coil] = True
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.SAFETY_VIOLATION
    assert "water" in ended.message


@pytest.mark.parametrize("name", ["mfc.setpoint", "heater.temperature", "valve.tma", "nothing"])
@pytest.mark.parametrize("forged", [assign, forged_ramp])
def test_a_forged_program_writes_nothing_by_a_name_that_may_not_be_written(forged, name):
    world = World().ready()
    given = compiled(forged(1.0, name))
    refused = step(world.state, RunGiven(at_ns=world.now, order=order(given)))[1]
    assert not [e for e in refused if isinstance(e, Write) and e.lane is not Lane.SAFE]
    world.give(RunGiven(at_ns=world.now, order=order(given)))
    world.run_for(1 * S)
    assert world.outcome is RunOutcome.SAFETY_VIOLATION
