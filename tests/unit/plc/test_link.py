"""The link without a socket: the test is the kernel, the PLC and the clock."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ald.errors import LinkDesyncError, LinkDownError, LinkTimeoutError, ModbusExceptionError
from ald.plant.model import LinkSettings, Table
from ald.plc.link import QUEUE_MAX, RECONNECT_CAP_S, Lane, Link, State
from ald.plc.request import ReadBits, ReadRegisters, Request, WriteCoil, WriteRegisters

MS = 1_000_000
READ = ReadRegisters(Table.HOLDING, 0, 2)
OPEN = WriteCoil(15, True)
CLOSE = WriteCoil(15, False)


class Bench:
    """A link that came up at time 0, and what the PLC saw of it."""

    def __init__(self, *, window=1, random=lambda: 0.0, up=True):
        settings = LinkSettings(
            host="10.0.0.9", timeout_ns=1000 * MS, requests_in_flight=window, unit=1
        )
        self.link = Link(settings, random)
        self.seen = []
        if up:
            self.reconnect(0)

    def reconnect(self, now):
        assert self.link.begin_connect(now)
        self.link.opened()

    def flush(self, now):
        """Hand over whatever the link wants to send; the PLC notes the frames."""
        self.link.tick(now)
        data = self.link.outgoing(now)
        while data:
            size = 6 + struct.unpack_from(">H", data, 4)[0]
            self.seen.append(data[:size])
            data = data[size:]
            self.link.handed_over(size, now)

    def answer(self, now, *, frame=None, values=(1, 2)):
        """Answer the oldest frame as a PLC would."""
        frame = self.seen.pop(0) if frame is None else frame
        self.link.receive(answer_to(frame, values), now)

    def wake(self, now):
        """Return when the link wants to be called next; it must want to."""
        wake_ns = self.link.next_wake_ns(now)
        assert wake_ns is not None
        return wake_ns

    def done(self):
        return {c.token: c for c in self.link.completions()}


def answer_to(frame, values=(1, 2)):
    pdu = frame[7:]
    if pdu[0] in (3, 4):
        pdu = bytes([pdu[0], 2 * len(values)]) + struct.pack(f">{len(values)}H", *values)
    elif pdu[0] in (1, 2):
        pdu = bytes([pdu[0], 1, 1])
    elif pdu[0] in (15, 16):
        pdu = pdu[:5]
    return frame[:4] + struct.pack(">H", 1 + len(pdu)) + frame[6:7] + pdu


def exception_to(frame, code):
    return frame[:4] + struct.pack(">H", 3) + frame[6:7] + bytes([frame[7] | 0x80, code])


def functions(bench):
    return [frame[7] for frame in bench.seen]


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


@pytest.mark.requirement("FI-PD-01")
def test_a_time_out_drops_the_connection_and_fails_everything_at_once():
    bench = Bench(window=2)
    bench.link.submit(Lane.RECIPE, OPEN, 1, 0)
    bench.link.submit(Lane.SCAN, READ, 2, 0)
    bench.flush(0)
    bench.link.submit(Lane.RECIPE, CLOSE, 3, 0)
    bench.link.submit(Lane.SCAN, READ, 4, 0)
    assert bench.link.next_wake_ns(0) == 0
    bench.link.sent()
    assert bench.link.next_wake_ns(0) == 1000 * MS
    bench.link.tick(1000 * MS - 1)
    assert bench.link.connected
    bench.link.tick(1000 * MS)
    assert bench.link.state is State.DOWN
    done = bench.done()
    # The opening write may have acted; the closing one was never sent.
    assert {t: c.unknown for t, c in done.items()} == {1: True, 2: False, 3: False, 4: False}
    assert isinstance(done[1].error, LinkTimeoutError)
    assert isinstance(done[4].error, LinkDownError)
    assert bench.link.counters.timeouts == 1
    assert bench.link.message == "10.0.0.9 port 502 did not answer within 1 s"


def test_a_late_answer_is_never_taken_for_anothers():
    bench = Bench()
    bench.link.submit(Lane.SCAN, READ, 1, 0)
    bench.flush(0)
    late = answer_to(bench.seen.pop(), (66, 66))
    bench.link.tick(1000 * MS)
    bench.reconnect(2000 * MS)
    bench.link.submit(Lane.SCAN, READ, 2, 2000 * MS)
    bench.flush(2000 * MS)
    bench.link.receive(late, 2001 * MS)
    done = bench.done()
    assert not done[1].ok
    assert isinstance(done[2].error, LinkDesyncError)


def test_nothing_is_sent_again_after_a_reconnection():
    bench = Bench()
    bench.link.submit(Lane.RECIPE, OPEN, 1, 0)
    bench.link.submit(Lane.COMMAND, WriteRegisters(3, (7,)), 2, 0)
    bench.flush(0)
    bench.link.lost(LinkDownError("reset"), 1)
    bench.seen.clear()
    bench.reconnect(2000 * MS)
    bench.flush(2000 * MS)
    assert bench.seen == []
    assert set(bench.done()) == {1, 2}


def test_a_write_of_which_no_byte_left_is_known_not_to_have_acted():
    bench = Bench()
    bench.link.submit(Lane.RECIPE, OPEN, 1, 0)
    bench.link.submit(Lane.RECIPE, CLOSE, 2, 0)
    assert len(bench.link.outgoing(0)) == 12
    assert bench.link.has_outgoing
    bench.link.lost(LinkDownError("reset"), 1)
    assert [c.unknown for c in bench.link.completions()] == [False, False]


def test_a_write_of_which_some_bytes_left_is_unknown():
    bench = Bench()
    bench.link.submit(Lane.RECIPE, OPEN, 1, 0)
    bench.link.outgoing(0)
    bench.link.handed_over(3, 0)
    assert bench.link.sent() == []
    bench.link.lost(LinkDownError("reset"), 1)
    assert [c.unknown for c in bench.link.completions()] == [True]


def test_what_is_asked_while_there_is_no_connection_fails_at_once():
    bench = Bench(up=False)
    bench.link.submit(Lane.SAFE, CLOSE, 1, 0)
    done = bench.done()[1]
    assert isinstance(done.error, LinkDownError)
    assert not done.unknown
    bench.reconnect(0)
    bench.flush(0)
    assert bench.seen == []


@pytest.mark.parametrize("code", [1, 2, 3, 6, 10])
def test_an_exception_answer_fails_its_request_only(code):
    bench = Bench()
    bench.link.submit(Lane.RECIPE, OPEN, 1, 0)
    bench.link.submit(Lane.SCAN, READ, 2, 0)
    bench.flush(0)
    bench.link.receive(exception_to(bench.seen.pop(), code), 1)
    bench.flush(1)
    bench.answer(2)
    done = bench.done()
    assert isinstance(done[1].error, ModbusExceptionError)
    assert not done[1].unknown
    assert done[2].ok
    assert bench.link.counters.exceptions == 1


@pytest.mark.parametrize("code", [4, 5, 11])
def test_after_these_exceptions_a_write_may_have_acted_all_the_same(code):
    bench = Bench()
    bench.link.submit(Lane.RECIPE, OPEN, 1, 0)
    bench.flush(0)
    bench.link.receive(exception_to(bench.seen.pop(), code), 1)
    assert bench.done()[1].unknown


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: b"\xff\xff" + a[2:],
        lambda a: a[:2] + b"\0\1" + a[4:],
        lambda a: a[:6] + b"\2" + a[7:],
        lambda a: a[:7] + b"\4" + a[8:],
        lambda a: a[:8] + b"\2" + a[9:],
        lambda a: b"HTTP/1.1 400 Bad Request\r\n",
        lambda a: a + a,
        lambda a: b"",
    ],
)
def test_an_answer_that_does_not_belong_ends_the_connection(spoil):
    bench = Bench()
    bench.link.submit(Lane.SCAN, READ, 1, 0)
    bench.link.submit(Lane.SCAN, READ, 2, 0)
    bench.flush(0)
    bench.link.receive(spoil(answer_to(bench.seen.pop())), 1)
    assert bench.link.state is State.DOWN
    assert not bench.done()[2].ok


def test_half_an_answer_is_waited_for_until_the_time_out():
    bench = Bench()
    bench.link.submit(Lane.SCAN, READ, 1, 0)
    bench.flush(0)
    answer = answer_to(bench.seen.pop())
    bench.link.receive(answer[:8], 1)
    assert bench.done() == {}
    bench.link.receive(answer[8:], 2)
    assert bench.done()[1].ok


def test_an_answer_before_its_request_was_sent_is_a_desync():
    bench = Bench()
    bench.link.submit(Lane.SCAN, READ, 1, 0)
    data = bench.link.outgoing(0)
    bench.link.handed_over(len(data) - 1, 0)
    bench.link.receive(answer_to(data), 0)
    assert bench.link.counters.desyncs == 1


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


def test_a_full_lane_refuses_the_next_one():
    bench = Bench()
    for token in range(QUEUE_MAX + 1):
        bench.link.submit(Lane.SCAN, READ, token, 0)
    done = bench.done()
    assert set(done) == {QUEUE_MAX}
    assert "already wait in lane SCAN" in str(done[QUEUE_MAX].error)


@pytest.mark.requirement("INT-07")
def test_reconnection_backs_off_with_jitter_and_never_longer_than_the_cap():
    bench = Bench(random=lambda: 0.5, up=False)
    now, waits = 0, []
    for _ in range(9):
        assert bench.link.begin_connect(now)
        bench.link.lost(LinkDownError("refused"), now)
        wake = bench.wake(now)
        waits.append((wake - now) / 1e9)
        assert not bench.link.begin_connect(wake - 1)
        now = wake
    assert waits[0] == pytest.approx(0.0375)
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(0.75 * RECONNECT_CAP_S)
    assert bench.link.counters.failed_connects == 9
    assert bench.link.counters.reconnects == 0


def test_only_an_answer_resets_the_backoff():
    bench = Bench(up=False)
    now, waits = 0, []
    for _ in range(8):
        bench.reconnect(now)
        bench.link.receive(b"", now)
        waits.append(bench.wake(now) - now)
        now = bench.wake(now)
    assert waits[-1] == 500 * MS
    bench.reconnect(now)
    bench.link.submit(Lane.SCAN, READ, 1, now)
    bench.flush(now)
    bench.answer(now)
    bench.done()
    bench.link.sent()
    bench.link.receive(b"", now)
    assert bench.wake(now) - now == 25 * MS
    assert bench.link.counters.reconnects == 8


def test_a_connection_that_is_not_accepted_in_time_counts_as_failed():
    bench = Bench(up=False)
    assert bench.link.begin_connect(0)
    assert bench.link.next_wake_ns(0) == 1000 * MS
    bench.link.tick(1000 * MS)
    assert bench.link.state is State.DOWN
    assert bench.link.message == "10.0.0.9 port 502 did not accept within 1 s"


def test_a_closed_link_fails_everything_and_stays_closed():
    bench = Bench()
    bench.link.submit(Lane.SCAN, READ, 1, 0)
    bench.link.close()
    bench.link.submit(Lane.SAFE, CLOSE, 2, 0)
    assert not any(c.ok for c in bench.done().values())
    assert bench.link.next_wake_ns(0) is None
    assert not bench.link.begin_connect(10**12)


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


class Story:
    """Everything that may happen to a link, in any order, and what came of it."""

    def __init__(self, window):
        self.bench = Bench(window=window)
        self.now = self.token = 0
        self.written, self.done, self.old = [], [], []

    def submit(self, lane, request):
        self.token += 1
        # The address makes each write recognisable at the PLC.
        kind = request if request is READ else WriteCoil(self.token, request.on)
        self.bench.link.submit(lane, kind, self.token, self.now)

    def flush(self):
        if self.bench.link.begin_connect(self.now):
            self.bench.link.opened()
        before = len(self.bench.seen)
        self.bench.flush(self.now)
        frames = self.bench.seen[before:]
        self.written += [int.from_bytes(f[8:10], "big") for f in frames if f[7] == 5]

    def answer(self):
        if self.bench.seen:
            self.old.append(self.bench.seen[0])
            self.bench.answer(self.now)

    def late_answer(self):
        if self.old:
            self.bench.answer(self.now, frame=self.old.pop())

    def refuse(self, code):
        if self.bench.seen:
            self.bench.link.receive(exception_to(self.bench.seen.pop(0), code), self.now)

    def wait(self, ms):
        self.now += ms * MS

    def cancel(self, lane):
        self.bench.link.cancel_lane(lane)

    def edge(self, at):
        self.bench.link.set_next_edge(None if at is None else at * MS)

    def reset(self):
        self.bench.link.lost(LinkDownError("reset"), self.now)

    def settle(self):
        if not self.bench.link.connected:
            self.old += self.bench.seen
            self.bench.seen.clear()
        self.done += self.bench.link.completions()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.sampled_from(Lane), st.sampled_from([READ, OPEN, CLOSE])),
        st.sampled_from([("flush",), ("answer",), ("late_answer",), ("reset",)]),
        st.tuples(st.just("refuse"), st.sampled_from([1, 4])),
        st.tuples(st.just("wait"), st.integers(1, 1500)),
        st.tuples(st.just("cancel"), st.sampled_from(Lane)),
        st.tuples(st.just("edge"), st.one_of(st.none(), st.integers(0, 3000))),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 4))
def test_whatever_happens_every_token_completes_once_and_no_write_is_sent_twice(steps, window):
    story = Story(window)
    for name, *arguments in steps:
        getattr(story, name)(*arguments)
        story.settle()
    story.bench.link.close()
    story.settle()
    assert sorted(c.token for c in story.done) == list(range(1, story.token + 1))
    assert len(story.written) == len(set(story.written))
    for completion in story.done:
        assert not completion.unknown or completion.token in story.written
        assert not completion.ok or completion.acked_ns >= completion.sent_ns
