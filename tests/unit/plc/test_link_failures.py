"""What becomes of requests when something fails, and how the link comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ald.errors import LinkDesyncError, LinkDownError, LinkTimeoutError, ModbusExceptionError
from ald.plc.link import RECONNECT_CAP_S, Lane, State
from ald.plc.request import WriteCoil, WriteRegisters
from unit.plc.bench import CLOSE, MS, OPEN, READ, Bench, answer_to, exception_to


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


@pytest.mark.parametrize("code", [1, 2, 3, 10])
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


@pytest.mark.parametrize("code", [4, 5, 6, 8, 11, 100])
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
            self.bench.link.opened(self.now)
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


def test_what_was_taken_back_is_not_counted_as_lost():
    bench = Bench()
    bench.link.submit(Lane.RECIPE, OPEN, 1, 0)
    bench.link.cancel_lane(Lane.RECIPE)
    assert bench.link.failures == (("recipe", "unsent", 1),)


def test_failures_are_counted_by_lane_and_by_how():
    bench = Bench(window=3)
    bench.link.submit(Lane.RECIPE, OPEN, 1, 0)
    bench.flush(0)
    bench.link.receive(exception_to(bench.seen.pop(), 2), 1)
    bench.link.submit(Lane.SCAN, READ, 2, 1)
    bench.link.submit(Lane.HEARTBEAT, WriteRegisters(3, (7,)), 3, 1)
    bench.flush(1)
    bench.link.submit(Lane.SCAN, READ, 4, 1)
    bench.link.tick(1000 * MS + 1)
    bench.link.submit(Lane.SAFE, CLOSE, 5, 1001 * MS)
    assert bench.link.failures == (
        ("safe", "lost", 1),
        ("recipe", "refused", 1),
        ("heartbeat", "timed-out", 1),
        ("scan", "lost", 1),
        ("scan", "timed-out", 1),
    )
    assert [(one.request, sum(one.counts)) for one in bench.link.io_times()] == [("write coils", 1)]
