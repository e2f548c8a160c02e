"""A valve that something else moves: noticed in the next scan, and only where both sides are certain."""

import pytest
from msgspec.structs import replace

from ald.engine.inputs import ClearAsked, RunGiven
from ald.engine.positions import mismatch
from ald.engine.state import State
from ald.errors import RefusedError
from ald.plant.model import SafeAction
from ald.records.event import PulseDone, RunOutcome, SafeStateReached, StateChanged
from unit.engine.programs import (
    MS,
    OTHER_UID,
    PLANT,
    S,
    compiled,
    flow,
    loop,
    order,
    purge,
    valve,
    wait,
)
from unit.engine.world import World

COILS = {v.name: v.coil for v in PLANT.valves}


def pulsing(open_ms=600, plant=PLANT, **world):
    """A run with tma open since about 100 ms."""
    made = World(plant, **world).ready()
    made.start(flow(20.0), purge(300), valve("tma", open_ms), purge(300), valve("water", 40))
    made.run_for(400 * MS)
    assert made.open_valves == {"tma"}
    return made


def move(world, name, *, is_open):
    world.coils[COILS[name]] = is_open


def test_a_valve_that_the_plc_shuts_in_mid_pulse_ends_the_run():
    world = pulsing()
    move(world, "tma", is_open=False)
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.VALVE_MISMATCH
    assert "tma reads shut" in ended.message
    assert COILS["water"] not in {coil for _, coil, is_open in world.trace if is_open}


def test_its_pulse_is_on_record_as_cut_short_and_counts_for_no_width():
    world = pulsing()
    move(world, "tma", is_open=False)
    world.run_until_ended()
    (pulse,) = world.events(PulseDone)
    assert pulse.closed_sent_ns - pulse.opened_sent_ns < 500 * MS
    assert world.state.last_run is not None
    assert world.state.last_run.worst_error_ns == 0


@pytest.mark.parametrize("name", ["water", "vent"])
def test_a_valve_that_reads_open_though_we_shut_it_ends_the_run_and_is_shut(name):
    world = World().ready().start(purge(300), valve(name, 40), purge(2000))
    world.run_for(1 * S)
    move(world, name, is_open=True)
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.VALVE_MISMATCH
    assert f"{name} reads open" in ended.message
    if name != "vent":
        assert not world.open_valves


def test_the_whole_safe_state_is_written_and_somebody_has_to_look():
    world = pulsing()
    move(world, "tma", is_open=False)
    world.run_until_ended()
    world.run_for(1 * S)
    assert world.events(SafeStateReached)[-1].confirmed
    assert world.machine == "Aborted"
    aborting = [e for e in world.events(StateChanged) if e.state.value == "Aborting"]
    assert aborting[-1].reason == "ValveMismatch"
    world.give(ClearAsked(at_ns=world.now, by="me", comment=""))
    assert world.machine == "Idle"


def test_a_bad_reading_is_no_position():
    world = pulsing()
    world.overrides["valve.tma"] = None
    move(world, "tma", is_open=False)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_scan_that_began_before_the_acknowledgement_proves_nothing():
    world = World().ready()
    world.scan_takes_ns = 90 * MS
    world.overrides["valve.tma"] = 0.0
    world.start(flow(20.0), purge(300), valve("tma", 80))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_scan_within_one_cycle_of_the_plc_proves_nothing():
    slow = replace(PLANT, link=replace(PLANT.link, cycle_ns=1 * S))
    world = pulsing(plant=slow)
    move(world, "tma", is_open=False)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_while_the_closing_edge_is_on_its_way_a_shut_valve_is_no_surprise():
    world = World(round_trip_ns=150 * MS).ready()
    world.start(flow(20.0), purge(300), valve("tma", 100), purge(300))
    while getattr(world.state.run and world.state.run.phase, "close_token", None) is None:
        world.run_for(1 * MS)
    world.overrides["valve.tma"] = 0.0
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


@pytest.mark.parametrize("round_trip_ms", [1, 20, 90])
@pytest.mark.parametrize("scan_takes_ms", [2, 60])
def test_our_own_pulses_never_look_like_somebody_elses(round_trip_ms, scan_takes_ms):
    world = World(round_trip_ns=round_trip_ms * MS).ready()
    world.scan_takes_ns = scan_takes_ms * MS
    body = (valve("tma", 130), purge(300), valve("vent", 270), wait(70), valve("vent", 15))
    world.start(flow(20.0), purge(300), loop(20, *body))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_valve_that_is_open_in_the_safe_state_is_expected_to_be_open():
    entries = PLANT.safe_state.valves
    opened = (*entries[:3], replace(entries[3], action=SafeAction.OPEN))
    plant = replace(PLANT, safe_state=replace(PLANT.safe_state, valves=opened))
    world = World(plant).ready().start(wait(2000))
    world.run_for(1 * S)
    assert world.state.run is not None
    move(world, "vent", is_open=False)
    assert world.run_until_ended().outcome is RunOutcome.VALVE_MISMATCH


def test_a_kept_valve_that_nobody_here_has_moved_is_where_it_is():
    world = World().ready()
    move(world, "vent", is_open=True)
    world.start(wait(500))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_no_run_begins_while_a_valve_is_not_where_it_was_put():
    world = World().ready()
    move(world, "water", is_open=True)
    world.run_for(200 * MS)
    assert world.machine == "Idle"
    with pytest.raises(RefusedError) as refused:
        world.give(RunGiven(at_ns=world.now, order=order(compiled(wait(1)), OTHER_UID)))
    assert refused.value.reason == "ValveMismatch"
    move(world, "water", is_open=False)
    world.run_for(200 * MS)
    world.start(wait(1))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_safe_state_on_its_way_moves_valves_by_right():
    world = pulsing()
    world.overrides["valve.tma"] = 0.0
    world.fates.append(lambda w: "refuse" if w.lane.value == "safe" else None)
    world.abort(uid="")
    world.run_for(300 * MS)
    assert mismatch(world.state) == ""
    assert mismatch(State()) == ""
