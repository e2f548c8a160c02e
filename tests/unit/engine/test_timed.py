"""Pulses that the PLC times: the handshake, what is known of them afterwards, and what happens when the PLC does not keep it."""

import itertools

import pytest
from msgspec.structs import replace

from ald.engine.effects import Coils, Journal, Lane, Words, Write
from ald.engine.inputs import LinkDown
from ald.engine.safety import violation
from ald.engine.timed import DONE_WITHIN_NS
from ald.engine.trace import open_run
from ald.errors import RefusedError
from ald.plant.model import SafeAction, SafeValve
from ald.records.event import (
    PulseOpening,
    RunOutcome,
    TimedBy,
    WriteOutcome,
)
from unit.engine.programs import (
    MS,
    PLANT,
    S,
    flow,
    loop,
    purge,
    timed,
    together,
    valve,
    wait,
)
from unit.engine.world import World

TIMED = timed(PLANT, "tma", "vent")
TMA, VENT = 8, 11
TRIGGER, VENT_TRIGGER = 12, 15
WIDTH = 50
DONE = 4


def world(**more) -> World:
    return World(TIMED, **more).ready()


def abort(given: World) -> None:
    given.abort(uid="", by="tester", reason="enough")


def writes(given: World) -> list[tuple[int, tuple[int, ...]]]:
    """Return what the steps wrote, in order."""
    found = [w for w in given.log if isinstance(w, Write) and w.lane is Lane.RECIPE]
    return [
        (w.target.address, w.target.bits if isinstance(w.target, Coils) else w.target.words)
        for w in found
    ]


def valve_edges(given: World, coil: int = TMA) -> list[tuple[int, bool]]:
    return [(at, bit) for at, address, bit in given.trace if address == coil]


@pytest.mark.parametrize("round_trip_ms", [1, 5, 20])
def test_the_plc_keeps_a_width_that_no_link_could(round_trip_ms):
    seen = world(round_trip_ns=round_trip_ms * MS).start(purge(300), valve("tma", 3))
    assert seen.run_until_ended().outcome is RunOutcome.COMPLETED
    opened, closed = valve_edges(seen)
    assert closed[0] - opened[0] == 3 * MS


def test_the_width_is_written_once_and_the_trigger_for_each_pulse():
    seen = world().start(purge(300), loop(3, valve("tma", 5), purge(300)), valve("tma", 6))
    assert seen.run_until_ended().outcome is RunOutcome.COMPLETED
    pull = (TRIGGER, (True,))
    assert writes(seen)[2:]
    assert [w for w in writes(seen) if w[0] in (WIDTH, TRIGGER, TMA)] == [
        *((WIDTH, (5,)), pull, pull, pull),
        *((WIDTH, (6,)), pull),
    ]


def test_the_record_says_who_timed_it_and_claims_no_width_that_nobody_measured():
    seen = world().start(purge(300), valve("tma", 5), purge(300), valve("water", 40))
    ended = seen.run_until_ended()
    by_plc, by_us = seen.pulses
    assert (by_plc.timed_by, by_plc.error_ns, by_plc.closed_sent_ns) == (TimedBy.PLC, 0, 0)
    assert by_plc.uncertainty_ns == TIMED.link.cycle_ns
    assert by_plc.outcome is WriteOutcome.CONFIRMED
    assert by_plc.opened_sent_ns + 5 * MS <= by_plc.closed_ack_ns
    assert (by_us.timed_by, by_us.outcome) == (TimedBy.GATEWAY, WriteOutcome.CONFIRMED)
    assert (ended.pulses, ended.timing.whole, ended.timing.by_plc) == (2, 1, 1)
    assert ended.timing.plc_uncertainty_ns == TIMED.link.cycle_ns


def test_what_a_known_width_takes_is_on_the_schedule_and_a_new_one_moves_it():
    seen = world().start(flow(20.0), purge(300), loop(3, valve("tma", 5), purge(300)))
    seen.run_until_ended()
    due = [pulse.due_ns for pulse in seen.pulses]
    late = [pulse.opened_sent_ns - pulse.due_ns for pulse in seen.pulses]
    assert late == [6 * MS, 0, 0], "a write and a look before the first"
    assert [b - a for a, b in itertools.pairwise(due)] == [311 * MS, 305 * MS]


def test_the_pulse_is_on_record_before_the_trigger():
    seen = world().start(purge(300), valve("tma", 5))
    seen.run_until_ended()
    kinds = [
        "record" if isinstance(each, Journal) else "trigger"
        for each in seen.log
        if (isinstance(each, Journal) and isinstance(each.event, PulseOpening))
        or (isinstance(each, Write) and each.target == Coils(address=TRIGGER, bits=(True,)))
    ]
    assert kinds == ["record", "trigger"]


def test_a_pulse_that_is_not_ended_in_time_is_ended_by_the_safe_state():
    seen = world()
    seen.is_stuck = True
    seen.start(purge(300), valve("tma", 5))
    ended = seen.run_until_ended()
    assert ended.outcome is RunOutcome.VALVE_MISMATCH
    assert "has not ended the pulse of valve tma" in ended.message
    assert seen.machine == "Aborted"
    (opened, _), (closed, _) = valve_edges(seen)
    assert closed - opened < 5 * MS + DONE_WITHIN_NS + 30 * MS
    assert (seen.pulses[0].outcome, ended.timing.by_plc) == (WriteOutcome.CONFIRMED, 0)
    assert seen.pulses[0].uncertainty_ns == 7 * MS


def test_a_trigger_that_nobody_serves_is_no_pulse_although_done_is_left_from_the_one_before():
    seen = world().start(purge(300), valve("tma", 5), wait(1000), valve("tma", 5))
    seen.run_for(600 * MS)
    assert seen.bits[DONE]
    seen.is_deaf = True
    assert seen.run_until_ended().outcome is RunOutcome.VALVE_MISMATCH
    assert not seen.coils[TRIGGER], "nothing is left that would open it later"
    assert len(valve_edges(seen)) == 2


def test_a_pulse_that_the_plc_cut_short_is_none():
    seen = world().start(purge(300), valve("tma", 30))
    seen.run_for(318 * MS)
    seen.switch(TMA, False)
    ended = seen.run_until_ended()
    assert ended.outcome is RunOutcome.VALVE_MISMATCH
    assert "before its time" in ended.message


def test_a_valve_that_reads_shut_in_the_middle_of_a_long_pulse_is_seen_by_a_scan():
    seen = world().start(purge(300), valve("tma", 4000))
    seen.run_for(800 * MS)
    seen.overrides["valve.tma"] = 0.0
    seen.run_for(300 * MS)
    assert seen.outcome is RunOutcome.VALVE_MISMATCH
    assert not seen.open_valves


def test_scans_on_both_sides_of_its_end_make_no_mismatch():
    plant = replace(TIMED, scan_period_ns=20 * MS)
    seen = World(plant).ready()
    seen.scan_takes_ns = 15 * MS
    seen.start(purge(300), loop(20, valve("tma", 33), purge(300)))
    assert seen.run_until_ended().outcome is RunOutcome.COMPLETED


def test_an_abort_clears_the_trigger_before_the_coil():
    seen = world().start(purge(300), valve("tma", 2000))
    seen.run_for(800 * MS)
    assert seen.open_valves == {"tma"}
    seen.log.clear()
    abort(seen)
    seen.run_for(100 * MS)
    assert not seen.open_valves
    safe = [w.target.address for w in seen.log if isinstance(w, Write) and w.lane is Lane.SAFE]
    assert safe[:2] == [TRIGGER, TMA]
    assert seen.outcome is RunOutcome.ABORTED
    assert seen.pulses[0].timed_by is TimedBy.PLC


@pytest.mark.parametrize("after_us", range(0, 8000, 250))
def test_an_abort_right_behind_the_trigger_leaves_nothing_open(after_us):
    seen = world().start(purge(300), valve("tma", 5), wait(300), valve("tma", 5))
    seen.run_for(300 * MS)
    while len(seen.events(PulseOpening)) < 2:
        seen.run_for(MS // 4)
    seen.run_for(after_us * 1000)
    abort(seen)
    seen.run_for(1 * S)
    assert not seen.open_valves
    assert not seen.coils[TRIGGER]


@pytest.mark.parametrize("name", ["tma", "vent"])
def test_a_lost_link_shuts_it_first_thing_after_the_next_connection_and_forgets_its_width(name):
    seen = world().start(purge(300), valve(name, 3000))
    seen.run_for(800 * MS)
    assert name in seen.state.widths
    seen.connected = False
    seen.give(LinkDown(at_ns=seen.now, message="gone"))
    assert not seen.state.widths
    seen.connect()
    seen.run_for(100 * MS)
    assert not seen.open_valves


@pytest.mark.parametrize("address", [WIDTH, TRIGGER])
def test_a_refused_width_or_trigger_fails_the_step_with_the_valve_shut(address):
    seen = world()
    seen.fates.append(
        lambda w: "refuse" if w.target.address == address and w.lane is Lane.RECIPE else None
    )
    seen.start(purge(300), valve("tma", 5), cleanup=[wait(1)])
    ended = seen.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert not seen.open_valves
    assert not valve_edges(seen)
    assert writes(seen)[-1] == (TMA, (False,))
    assert [p.uncertainty_ns > 5 * MS for p in seen.pulses] == [True]


def test_a_width_that_reads_back_as_another_opens_nothing():
    seen = world()
    seen.stubborn[WIDTH] = 9
    seen.start(purge(300), valve("tma", 5))
    ended = seen.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert "reads (9,), and (5,) was written for 5ms" in ended.message
    assert not valve_edges(seen)


def test_a_trigger_of_unknown_outcome_is_an_opening_of_unknown_outcome():
    seen = world()
    seen.fates.append(
        lambda w: "unknown" if w.target == Coils(address=TRIGGER, bits=(True,)) else None
    )
    seen.start(purge(300), valve("tma", 5))
    seen.run_for(1 * S)
    assert seen.outcome is RunOutcome.VALVE_UNKNOWN
    assert writes(seen).count((TRIGGER, (True,))) == 1
    assert not seen.open_valves


def test_a_kept_valve_that_the_plc_times_is_shut_when_its_pulse_is_cut_short():
    assert SafeValve(valve="vent", action=SafeAction.KEEP) in TIMED.safe_state.valves
    seen = world().start(valve("vent", 3000))
    seen.run_for(500 * MS)
    assert seen.open_valves == {"vent"}
    abort(seen)
    seen.run_for(100 * MS)
    assert not seen.open_valves
    assert not seen.coils[VENT_TRIGGER]


def test_two_run_side_by_side_in_branches():
    seen = world().start(
        purge(300), together([valve("tma", 30), wait(10)], [valve("vent", 70)]), flow(5.0)
    )
    assert seen.run_until_ended().outcome is RunOutcome.COMPLETED
    assert {p.valve for p in seen.pulses} == {"tma", "vent"}
    for coil, width in ((TMA, 30), (VENT, 70)):
        opened, closed = valve_edges(seen, coil)
        assert closed[0] - opened[0] == width * MS


def test_the_trigger_obeys_the_rules_of_an_opening():
    seen = world()
    pull = Coils(address=TRIGGER, bits=(True,))
    assert "no step of a run opens it" in violation(seen.state, Lane.RECIPE, pull)
    # Together with others in one write, too.
    sly = Coils(address=TRIGGER - 1, bits=(False, True))
    assert "valve tma stays shut" in violation(seen.state, Lane.RECIPE, sly)
    seen.start(valve("tma", 5))
    assert seen.run_until_ended().outcome is RunOutcome.SAFETY_VIOLATION
    assert not valve_edges(seen)


def test_its_coil_is_never_opened_by_us_and_its_width_only_by_its_own_step_while_it_is_shut():
    seen = world().start(purge(300), valve("tma", 2000))
    coil = Coils(address=TMA, bits=(True,))
    assert "the PLC alone opens it" in violation(seen.state, Lane.RECIPE, coil)
    width = Words(address=WIDTH - 1, words=(0, 7))
    assert "no step of a run opens it" in violation(seen.state, Lane.RECIPE, width)
    seen.run_for(800 * MS)
    assert "the valve is open" in violation(seen.state, Lane.RECIPE, width)
    assert not violation(seen.state, Lane.RECIPE, Words(address=WIDTH + 1, words=(7,)))


def test_a_trigger_needs_the_width_in_the_register():
    seen = world().start(purge(300), valve("tma", 2000))
    seen.run_for(800 * MS)
    pull = Coils(address=TRIGGER, bits=(True,))
    found = violation(replace(seen.state, widths={"tma": 7 * MS}), Lane.RECIPE, pull)
    assert "its duration register is not known to hold its time" in found


def test_the_next_executor_knows_who_timed_the_pulse():
    seen = world().start(purge(300), valve("tma", 2000))
    seen.run_for(800 * MS)
    found = open_run(seen.state)
    assert found is not None
    assert found.pulse is not None
    assert found.pulse.timed_by is TimedBy.PLC
    restarted = World(TIMED, open_run=found)
    restarted.coils.update({TMA: True, TRIGGER: True})
    restarted.connect()
    restarted.run_for(100 * MS)
    assert not restarted.open_valves
    assert not restarted.coils[TRIGGER]
    assert restarted.pulses[0].timed_by is TimedBy.PLC


@pytest.mark.parametrize("round_trip_ms", [1, 5, 20])
@pytest.mark.parametrize("open_ms", [5, 400])
def test_a_width_that_somebody_changed_since_it_was_written_ends_the_run_at_the_next_pulse(
    round_trip_ms, open_ms
):
    seen = world(round_trip_ns=round_trip_ms * MS)
    seen.start(purge(300), loop(3, valve("tma", open_ms), wait(1000)))
    seen.run_for(1300 * MS)
    assert len(valve_edges(seen)) == 2
    seen.words[WIDTH] = 4000
    ended = seen.run_until_ended()
    assert ended.outcome is RunOutcome.VALVE_MISMATCH
    assert f"reads (4000,) in its pulse, and ({open_ms},) was written" in ended.message
    assert seen.machine == "Aborted"
    (opened, _), (closed, _) = valve_edges(seen)[2:]
    assert closed - opened < 3 * round_trip_ms * MS + 3 * TIMED.link.cycle_ns
    assert "tma" not in seen.state.widths


@pytest.mark.parametrize(
    ("round_trip_ms", "open_ms", "end_ms"), [(1, 5, 10), (1, 40, 45), (3, 40, 51), (5, 40, 57)]
)
def test_the_end_of_a_pulse_is_seen_as_early_as_without_a_look_at_its_width(
    round_trip_ms, open_ms, end_ms
):
    seen = world(round_trip_ns=round_trip_ms * MS).start(purge(300), valve("tma", open_ms))
    seen.run_until_ended()
    assert seen.pulses[0].closed_ack_ns - seen.pulses[0].opened_sent_ns == end_ms * MS


def test_a_width_that_cannot_be_looked_at_in_the_pulse_is_written_again_before_the_next():
    seen = world().start(purge(300), loop(2, valve("tma", 40), purge(300)))
    seen.run_for(290 * MS)
    while len(seen.events(PulseOpening)) < 1 or not seen.open_valves:
        seen.run_for(MS // 4)
    seen.unreadable.add(WIDTH)
    seen.run_for(30 * MS)
    seen.unreadable.clear()
    assert seen.run_until_ended().outcome is RunOutcome.COMPLETED
    assert [w for w in writes(seen) if w[0] == WIDTH] == [(WIDTH, (40,))] * 2


@pytest.mark.parametrize(
    ("open_ms", "why"), [(5, "whole multiples of 2ms"), (131_072, "2ms to 2m11.07s")]
)
def test_a_program_with_a_width_that_the_register_cannot_hold_is_refused(open_ms, why):
    seen = World(timed(PLANT, "tma", resolution_ns=2 * MS)).ready()
    with pytest.raises(RefusedError, match=why):
        seen.start(purge(300), valve("tma", open_ms))
