"""One pulse: its edges, its record, its uncertainty."""

import pytest

from ald.engine.effects import Coils, Lane, Write
from ald.records.event import RunOutcome, StepEnded, WriteOutcome
from unit.engine.programs import MS, S, flow, loop, purge, valve, wait
from unit.engine.world import World


def edges(world):
    return [
        (w.target.address, w.target.bits)
        for w in world.log
        if isinstance(w, Write) and isinstance(w.target, Coils) and len(w.target.bits) == 1
    ]


@pytest.mark.parametrize("round_trip_ms", [1, 5, 20])
def test_the_width_does_not_depend_on_the_round_trip(round_trip_ms):
    world = World(round_trip_ns=round_trip_ms * MS).ready().start(purge(300), valve("tma", 40))
    world.run_until_ended()
    (pulse,) = world.pulses
    assert pulse.closed_sent_ns - pulse.opened_sent_ns == 40 * MS
    assert pulse.error_ns == 0
    opened, closed = world.trace
    assert closed[0] - opened[0] == 40 * MS


def test_the_uncertainty_covers_the_longer_round_trip_and_one_cycle_of_the_plc():
    world = World(round_trip_ns=7 * MS).ready().start(purge(300), valve("tma", 40))
    world.run_until_ended()
    (pulse,) = world.pulses
    assert pulse.uncertainty_ns == 7 * MS + 2 * MS
    assert pulse.opened_ack_ns - pulse.opened_sent_ns == 7 * MS


def test_a_pulse_shorter_than_the_round_trip_still_closes():
    world = World(round_trip_ns=20 * MS).ready().start(purge(300), valve("tma", 10))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert not world.open_valves
    # With one request in flight the closing edge waits for the answer to the opening one, and the record says so.
    assert world.pulses[0].error_ns == 10 * MS


def test_the_end_of_a_run_says_how_exact_its_pulses_were_and_counts_whole_ones_only():
    world = World(round_trip_ns=20 * MS).ready()
    world.start(purge(300), valve("tma", 10), purge(300), loop(3, valve("tma", 40)), wait(500))
    world.run_for(1200 * MS)
    ended = world.run_until_ended()
    assert (ended.pulses, ended.timing.whole, ended.worst_error_ns) == (4, 4, 10 * MS)
    assert ended.timing.worst_relative_error == 1.0
    assert ended.timing.p50_error_ns < 1024 < ended.timing.p99_error_ns == 10 * MS
    last = world.state.last_run
    assert last is not None
    assert last.timing == ended.timing
    aborted = World().ready().start(purge(300), valve("tma", 400))
    aborted.run_for(500 * MS)
    aborted.abort(uid="", by="tester", reason="enough")
    assert (aborted.run_until_ended().pulses, aborted.run_until_ended().timing.whole) == (1, 0)


def test_each_valve_is_opened_once_and_closed_once():
    world = World().ready().start(purge(300), valve("tma", 40), purge(300), valve("water", 20))
    world.run_until_ended()
    assert edges(world) == [(8, (True,)), (8, (False,)), (9, (True,)), (9, (False,))]


def test_the_next_step_is_due_when_the_pulse_was_to_end_whatever_the_link_took():
    world = World(round_trip_ns=9 * MS).ready()
    world.start(flow(20.0), purge(300), valve("tma", 40), purge(500))
    world.run_until_ended()
    (pulse,) = world.pulses
    assert pulse.closed_ack_ns > pulse.due_ns + 40 * MS
    assert world.events(StepEnded)[-1].at_ns == pulse.due_ns + 540 * MS


def test_without_an_answer_to_the_closing_edge_the_link_is_dropped_and_nothing_is_sent_twice():
    world = World().ready()
    world.fates.append(lambda w: "lost" if getattr(w.target, "bits", ()) == (False,) else None)
    world.start(purge(300), valve("tma", 30))
    world.run_for(2 * S)
    assert world.outcome is RunOutcome.LINK_LOST
    assert len(edges(world)) == 2
    world.fates.clear()
    world.connect()
    world.run_for(100 * MS)
    assert not world.open_valves


@pytest.mark.parametrize("bit", [True, False])
def test_an_edge_of_unknown_outcome_on_a_sound_connection_is_no_lost_link(bit):
    world = World().ready()
    world.fates.append(
        lambda w: (
            "unknown" if w.lane is Lane.RECIPE and getattr(w.target, "bits", ()) == (bit,) else None
        )
    )
    world.start(purge(300), valve("tma", 30))
    world.run_for(2 * S)
    assert world.connected
    assert world.outcome is RunOutcome.VALVE_UNKNOWN
    assert not world.open_valves


def late(world, monkeypatch, by_ns=60 * MS, fate="ok"):
    """Have each opening answered so much later than the world would, as `fate` says: behind the closing after it."""
    answered, known = world._acked, set()

    def acked(write, sent_ns, _):
        if write.target == Coils(address=8, bits=(True,)) and write.token not in known:
            known.add(write.token)
            world.at(by_ns, lambda: answered(write, sent_ns, fate))
        else:
            answered(write, sent_ns, _)

    monkeypatch.setattr(world, "_acked", acked)
    return world


def test_a_pulse_is_done_when_both_edges_are_answered_in_whatever_order(monkeypatch):
    world = late(World().ready(), monkeypatch).start(purge(300), valve("tma", 40), wait(200))
    world.run_for(355 * MS)
    assert not world.open_valves
    assert world.pulses == []
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.COMPLETED
    (pulse,) = world.pulses
    assert 0 < pulse.closed_ack_ns < pulse.opened_ack_ns
    assert pulse.outcome is WriteOutcome.CONFIRMED
    assert ended.timing.whole == 1
    assert world.events(StepEnded)[-1].at_ns == pulse.due_ns + 240 * MS


def test_an_opening_that_was_refused_is_no_dose_though_the_closing_was_answered_before(monkeypatch):
    world = late(World().ready(), monkeypatch, fate="refuse")
    ended = world.start(purge(300), valve("tma", 40), wait(200)).run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert "valve tma did not open" in ended.message
    assert (ended.pulses, ended.timing.whole) == (1, 0)
    assert edges(world) == [(8, (True,)), (8, (False,))]


def test_an_opening_of_unknown_outcome_is_no_dose_though_the_closing_was_answered_before(
    monkeypatch,
):
    world = late(World().ready(), monkeypatch, fate="unknown")
    ended = world.start(purge(300), valve("tma", 40), wait(200)).run_until_ended()
    assert ended.outcome is RunOutcome.VALVE_UNKNOWN
    (pulse,) = world.pulses
    assert (pulse.outcome, pulse.opened_ack_ns) == (WriteOutcome.CONFIRMED, 0)


def test_a_pulse_aborted_between_the_two_answers_is_on_record_as_shut_when_it_was(monkeypatch):
    world = late(World().ready(), monkeypatch).start(purge(300), valve("tma", 40), wait(200))
    world.run_for(355 * MS)
    world.abort(uid="", by="tester", reason="enough")
    aborted_ns = world.now
    assert world.run_until_ended().timing.whole == 0
    (pulse,) = world.pulses
    assert pulse.outcome is WriteOutcome.CONFIRMED
    assert pulse.closed_sent_ns < pulse.closed_ack_ns < aborted_ns
