"""Pauses that a device needs, and what the breaker holds back."""

import pytest

from ald.errors import LinkDownError, LinkHeldBackError
from ald.plc.breaker import FAILURES_MAX, HOLD_CAP_NS
from ald.plc.link import Lane
from unit.plc.bench import CLOSE, MS, OPEN, READ, Bench, exception_to, functions

PATIENT = (Lane.COMMAND, Lane.READBACK, Lane.SCAN)
URGENT = (Lane.SAFE, Lane.RECIPE, Lane.HEARTBEAT)


def test_the_first_request_waits_for_the_pause_after_connecting():
    bench = Bench(pauses=(30 * MS, 0))
    bench.link.submit(Lane.SAFE, CLOSE, 1, 0)
    bench.flush(30 * MS - 1)
    assert bench.seen == []
    assert bench.wake(0) == 30 * MS
    bench.flush(30 * MS)
    assert functions(bench) == [5]


def test_a_request_waits_for_the_pause_after_the_answer_before_it():
    bench = Bench(pauses=(0, 10 * MS))
    bench.link.submit(Lane.SCAN, READ, 1, 0)
    bench.link.submit(Lane.RECIPE, OPEN, 2, 0)
    bench.flush(0)
    assert functions(bench) == [5]
    bench.answer(4 * MS)
    bench.flush(14 * MS - 1)
    assert bench.seen == []
    drain(bench)
    assert bench.wake(4 * MS) == 14 * MS
    bench.flush(14 * MS)
    assert functions(bench) == [3]


def test_with_several_in_flight_requests_leave_one_pause_apart():
    bench = Bench(window=4, pauses=(0, 10 * MS))
    for token in range(3):
        bench.link.submit(Lane.SCAN, READ, token, 0)
    for turn in range(3):
        bench.flush(turn * 10 * MS)
        bench.flush(turn * 10 * MS + 9 * MS)
        assert len(bench.seen) == turn + 1
    drain(bench)
    # Nothing waits any more: the time-out of the first is next.
    assert bench.wake(30 * MS) == 1000 * MS


def test_a_scan_leaves_room_for_the_pause_before_a_valve_edge():
    bench = Bench(pauses=(0, 10 * MS))
    bench.link.submit(Lane.SCAN, READ, 1, 0)
    bench.flush(0)
    bench.answer(2 * MS)
    bench.link.submit(Lane.SCAN, READ, 2, 20 * MS)
    bench.link.set_next_edge(33 * MS - 1)
    bench.flush(20 * MS)
    assert bench.seen == []
    bench.link.set_next_edge(33 * MS)
    bench.flush(20 * MS)
    assert functions(bench) == [3]


def test_without_a_pause_nothing_waits():
    bench = Bench(window=3)
    for token in range(3):
        bench.link.submit(Lane.SCAN, READ, token, 0)
    bench.flush(0)
    assert len(bench.seen) == 3


def drain(bench):
    """Take what the link has to tell, so that it speaks of the future only."""
    bench.done()
    bench.link.sent()


def fail(bench, times=FAILURES_MAX, lane=Lane.SCAN):
    """Lose the connection while a request of the lane is in flight; return when it stands again."""
    now = 0
    for _ in range(times):
        # As long as it is held back there is nothing that could fail.
        now += HOLD_CAP_NS
        bench.link.submit(lane, READ, 1, now)
        bench.flush(now)
        bench.link.lost(LinkDownError("reset"), now)
        drain(bench)
        now = bench.wake(now)
        bench.reconnect(now)
        bench.seen.clear()
    return now


@pytest.mark.requirement("PLC-BG-04")
@pytest.mark.parametrize("lane", PATIENT)
def test_what_is_not_urgent_is_refused_at_once_after_failures_in_a_row(lane):
    bench = Bench()
    now = fail(bench, lane=lane)
    assert bench.link.is_holding_back
    for waiting in PATIENT:
        bench.link.submit(waiting, READ, 9, now)
        (done,) = bench.link.completions()
        assert isinstance(done.error, LinkHeldBackError)
        assert not done.unknown
        assert "10.0.0.9 failed 3 times in a row" in str(done.error)
    bench.flush(now)
    assert bench.seen == []
    held_back = [each for each in bench.link.failures if each[1] == "held-back"]
    assert held_back == [
        ("command", "held-back", 1),
        ("readback", "held-back", 1),
        ("scan", "held-back", 1),
    ]


@pytest.mark.parametrize("lane", URGENT)
def test_what_is_urgent_is_never_held_back(lane):
    bench = Bench()
    now = fail(bench, times=20)
    bench.link.submit(lane, CLOSE, 9, now)
    bench.flush(now)
    assert functions(bench) == [5]


@pytest.mark.parametrize("lane", URGENT)
def test_failures_of_what_is_urgent_hold_nothing_back(lane):
    bench = Bench()
    fail(bench, times=20, lane=lane)
    assert not bench.link.is_holding_back


def test_reconnecting_is_never_held_back():
    bench = Bench()
    now = fail(bench, times=20)
    bench.link.lost(LinkDownError("reset"), now)
    drain(bench)
    assert bench.wake(now) - now <= HOLD_CAP_NS


def test_after_the_hold_one_request_at_a_time_tries_it_and_an_answer_lets_all_through():
    bench = Bench(window=4)
    now = fail(bench) + HOLD_CAP_NS
    for token in range(3):
        bench.link.submit(Lane.SCAN, READ, token, now)
    bench.flush(now)
    assert len(bench.seen) == 1
    bench.answer(now + MS)
    assert not bench.link.is_holding_back
    bench.flush(now + MS)
    assert len(bench.seen) == 2


def test_while_one_request_tries_it_what_is_urgent_goes_past():
    bench = Bench(window=4)
    now = fail(bench) + HOLD_CAP_NS
    for token in range(3):
        bench.link.submit(Lane.SCAN, READ, token, now)
    bench.link.submit(Lane.RECIPE, CLOSE, 9, now)
    bench.flush(now)
    assert functions(bench) == [5, 3]


@pytest.mark.parametrize(("code", "is_failing"), [(4, True), (6, True), (2, False), (3, False)])
def test_exceptions_count_where_the_plc_cannot_serve(code, is_failing):
    bench = Bench()
    for _ in range(FAILURES_MAX):
        bench.link.submit(Lane.SCAN, READ, 1, 0)
        bench.flush(0)
        bench.link.receive(exception_to(bench.seen.pop(), code), 0)
    assert bench.link.is_holding_back is is_failing
