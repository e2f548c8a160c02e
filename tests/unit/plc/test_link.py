"""What is sent when: lanes, window, valve edges, and what comes back."""

from ald.api.machine import MachineSpec
from ald.plant.model import Table
from ald.plc.codec import KNOWN_MAX
from ald.plc.link import QUEUE_MAX, Lane
from ald.plc.plan import plan_reads
from ald.plc.request import ReadBits, Request, WriteRegisters
from ald.plc.times import KINDS_MAX
from fixtures.plants import parameter, plant
from unit.plc.bench import CLOSE, MS, OPEN, READ, Bench, functions


def test_a_read_brings_its_data_and_times():
    bench = Bench()
    bench.link.submit(Lane.SCAN, READ, 7, 1)
    bench.flush(2)
    assert [(s.token, s.sent_ns) for s in bench.link.sent()] == [(7, 2)]
    assert bench.done() == {}
    bench.answer(5, values=(258, 3))
    done = bench.done()[7]
    assert done.ok
    assert (done.data, done.sent_ns, done.acked_ns) == (bytes([1, 2, 0, 3]), 2, 5)


def test_lanes_go_by_rank_and_within_a_lane_in_order():
    bench = Bench(window=16)
    order = [Lane.SCAN, Lane.READBACK, Lane.COMMAND, Lane.HEARTBEAT, Lane.RECIPE, Lane.SAFE]
    for token, lane in enumerate([*order, *order]):
        bench.link.submit(lane, WriteRegisters(token, (0,)), token, 0)
    bench.flush(1)
    assert [frame[9] for frame in bench.seen] == [5, 11, 4, 10, 3, 9, 2, 8, 1, 7, 0, 6]


def test_a_valve_write_waits_for_no_more_than_what_is_in_flight():
    bench = Bench(window=2)
    for token in range(10):
        bench.link.submit(Lane.SCAN, READ, token, 0)
    bench.flush(0)
    bench.link.submit(Lane.RECIPE, OPEN, 99, 1 * MS)
    bench.flush(1 * MS)
    assert functions(bench) == [3, 3]
    bench.answer(3 * MS)
    bench.flush(3 * MS)
    assert functions(bench) == [3, 5]
    assert bench.link.counters.worst_valve_wait_ns == 2 * MS


def test_the_window_is_never_exceeded():
    bench = Bench(window=3)
    for token in range(9):
        bench.link.submit(Lane.SCAN, READ, token, 0)
    for turn in range(9):
        bench.flush(turn)
        assert len(bench.seen) == min(3, 9 - turn)
        bench.answer(turn)
    assert len(bench.done()) == 9


def test_answers_out_of_order_reach_their_requests():
    bench = Bench(window=3)
    for token in range(3):
        bench.link.submit(Lane.SCAN, READ, token, 0)
    bench.flush(0)
    for number, frame in reversed(list(enumerate(bench.seen))):
        bench.answer(1, frame=frame, values=(number, number))
    assert {t: c.data for t, c in bench.done().items()} == {
        t: bytes([0, t, 0, t]) for t in range(3)
    }


def teach(bench, round_trip_ns, times=1):
    for _ in range(times):
        bench.link.submit(Lane.SCAN, READ, 0, 0)
        bench.flush(0)
        bench.answer(round_trip_ns)
    bench.done()
    bench.link.sent()


def test_a_scan_keeps_out_of_the_way_of_the_next_valve_edge():
    bench = Bench()
    teach(bench, 4 * MS)
    bench.link.submit(Lane.SCAN, READ, 1, 10 * MS)
    bench.link.set_next_edge(15 * MS - 1)
    bench.flush(10 * MS)
    assert bench.seen == []
    assert bench.link.next_wake_ns(10 * MS) is None
    bench.link.set_next_edge(15 * MS)
    assert bench.link.next_wake_ns(10 * MS) == 10 * MS
    bench.flush(10 * MS)
    assert functions(bench) == [3]


def test_one_slow_answer_in_a_thousand_does_not_count_but_two_do():
    bench = Bench()
    teach(bench, 50 * MS)
    teach(bench, 1 * MS, times=999)
    bench.link.set_next_edge(2 * MS)
    bench.link.submit(Lane.SCAN, READ, 1, 0)
    bench.flush(0)
    assert functions(bench) == [3]
    bench.answer(50 * MS)
    bench.link.submit(Lane.SCAN, READ, 2, 0)
    bench.flush(0)
    # The first slow one has left the window; one more makes two.
    assert functions(bench) == [3]
    bench.answer(50 * MS)
    bench.link.submit(Lane.SCAN, READ, 3, 0)
    bench.flush(0)
    assert bench.seen == []


def test_a_block_never_read_before_is_expected_to_take_the_whole_time_out():
    bench = Bench()
    bench.link.set_next_edge(1000 * MS)
    bench.link.submit(Lane.SCAN, READ, 1, 0)
    bench.flush(0)
    assert bench.seen == []
    bench.link.set_next_edge(1001 * MS)
    bench.flush(0)
    assert functions(bench) == [3]


def test_only_scans_wait_for_an_edge():
    bench = Bench(window=2)
    bench.link.set_next_edge(1)
    bench.link.submit(Lane.RECIPE, OPEN, 1, 0)
    bench.link.submit(Lane.HEARTBEAT, WriteRegisters(9, (1,)), 2, 0)
    bench.flush(0)
    assert functions(bench) == [5, 6]


def test_withdrawing_a_lane_leaves_what_was_sent():
    bench = Bench()
    bench.link.submit(Lane.RECIPE, OPEN, 1, 0)
    bench.flush(0)
    bench.link.submit(Lane.RECIPE, CLOSE, 2, 0)
    bench.link.submit(Lane.SCAN, READ, 3, 0)
    bench.link.cancel_lane(Lane.RECIPE)
    withdrawn = bench.done()[2]
    assert not withdrawn.ok
    assert not withdrawn.unknown
    bench.answer(1)
    bench.flush(1)
    assert functions(bench) == [3]
    assert bench.done()[1].ok


def test_withdrawing_a_lane_takes_back_what_the_kernel_has_not_begun_to_take():
    bench = Bench()
    bench.link.submit(Lane.RECIPE, OPEN, 1, 0)
    assert bench.link.outgoing(0)
    bench.link.cancel_lane(Lane.RECIPE)
    bench.link.submit(Lane.SAFE, CLOSE, 2, 0)
    withdrawn = bench.done()[1]
    assert (withdrawn.ok, withdrawn.unknown, withdrawn.sent_ns) == (False, False, 0)
    bench.flush(1)
    assert [frame[8:12] for frame in bench.seen] == [b"\0\x0f\0\0"]
    bench.answer(2)
    assert bench.done()[2].ok
    assert bench.link.counters.requests == 1


def test_withdrawing_a_lane_leaves_the_rest_of_a_frame_that_has_begun_to_leave():
    bench = Bench(window=2)
    bench.link.submit(Lane.RECIPE, OPEN, 1, 0)
    opening = bench.link.outgoing(0)
    bench.link.handed_over(1, 0)
    bench.link.cancel_lane(Lane.RECIPE)
    bench.link.submit(Lane.SAFE, CLOSE, 2, 0)
    assert bench.done() == {}
    rest = bench.link.outgoing(0)
    assert rest[: len(opening) - 1] == opening[1:]
    assert rest[len(opening) - 1 :][7:12] == b"\5\0\x0f\0\0"


def test_a_full_lane_refuses_the_next_one():
    bench = Bench()
    for token in range(QUEUE_MAX + 1):
        bench.link.submit(Lane.SCAN, READ, token, 0)
    done = bench.done()
    assert set(done) == {QUEUE_MAX}
    assert "already wait in lane SCAN" in str(done[QUEUE_MAX].error)


def scattered_machine():
    """The largest machine there may be, no two values of which share a request."""
    parameters, valves = (
        next(each.max_length for each in field.metadata if hasattr(each, "max_length"))
        for field in (MachineSpec.model_fields[name] for name in ("parameters", "valves"))
    )
    return plant(
        *(parameter(f"a.p{n}", Table.HOLDING, 60 * n) for n in range(parameters)),
        valves=[(f"valve{n}", 60 * n) for n in range(valves)],
    )


def test_a_scan_of_the_largest_machine_has_room_in_its_lane():
    bench = Bench()
    blocks = plan_reads(scattered_machine())
    for token, block in enumerate(blocks):
        bench.link.submit(Lane.SCAN, block.request, token, 0)
    assert bench.done() == {}
    assert len(blocks) <= min(KINDS_MAX, KNOWN_MAX) - len(("write coils", "write registers"))


def test_round_trips_are_told_block_by_block():
    bench = Bench()
    requests: list[Request] = [
        READ,
        ReadBits(Table.COIL, 15, 2),
        OPEN,
        WriteRegisters(1, (2,)),
    ]
    for now, request in enumerate(requests):
        bench.link.submit(Lane.COMMAND, request, now, now)
        bench.flush(now)
        bench.answer(now + 10)
    assert [(s.request, s.count, s.last_ns) for s in bench.link.summaries()] == [
        ("read coil 15+2", 1, 10),
        ("read holding 0+2", 1, 10),
        ("write coils", 1, 10),
        ("write registers", 1, 10),
    ]


def test_transactions_wrap_without_a_mistake():
    bench = Bench()
    bench.link._transaction = 65_530
    for token in range(12):
        bench.link.submit(Lane.SCAN, READ, token, 0)
        bench.flush(0)
        bench.answer(1)
    assert bench.link.connected
    assert all(c.ok for c in bench.link.completions())
