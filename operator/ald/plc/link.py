"""The one connection to a PLC, without the socket: lanes, window, deadlines, reconnection. Sans-I/O.

`Connection` feeds it bytes and times; the driver submits requests and collects what became of them.

    DOWN ──(backoff over)──► CONNECTING ──► UP
      ▲                          │          │   refused, time-out, reset, an answer that does not belong
      └──────────────────────────┴──────────┘
    CLOSED: for good, by us

Rules it keeps:
- Lanes are strict priorities; within a lane first in, first out. At most `requests_in_flight` are on the wire.
- A scan request waits when its expected end would come within a millisecond of the next valve edge.
- After any time-out or stray answer the connection goes, so that a late answer is never taken for another's.
- No write is ever sent twice. On a loss everything fails at once, also what still waited: nothing old reaches the PLC later.
- Between requests there are the pauses that the device needs, whatever waits.
- Scan, read-back and command are held back by a breaker while the PLC fails at them; nothing else ever is.
- Every token submitted gets exactly one `Completion`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ald.errors import (
    LinkDesyncError,
    LinkDownError,
    LinkError,
    LinkTimeoutError,
    ModbusExceptionError,
)
from ald.kit import backoff
from ald.plc import breaker, codec
from ald.plc.counters import Completion, Counts, LinkCounters, Sent, State
from ald.plc.leaving import Leaving
from ald.plc.pending import Lane, Pending
from ald.plc.request import Request, is_write
from ald.plc.times import NEAR_NS, IoTimes, TimesByKind, TimesSummary
from ald.plc.unsettled import is_open

if TYPE_CHECKING:
    from collections.abc import Callable

    from ald.plant.model import LinkSettings

__all__ = ["Completion", "Lane", "Link", "LinkCounters", "Sent", "State"]

QUEUE_MAX = 2048
"""Requests that may wait in one lane; more are refused at once. A scan of the largest machine has room in it, each value read alone."""

EDGE_GUARD_NS = 1_000_000
"""Room between the expected end of a scan request and the next valve edge."""

RECONNECT_BASE_S = 0.05
RECONNECT_CAP_S = 1.0


class Link:
    """See the module. `unit_random` gives numbers in [0, 1) for the jitter of reconnection."""

    def __init__(self, settings: LinkSettings, unit_random: Callable[[], float]) -> None:
        self.settings = settings
        self.message = f"not connected yet to {settings.host} port {settings.port}"
        self._unit_random = unit_random
        self._window = settings.requests_in_flight
        self._state = State.DOWN
        self._retry_at_ns = 0
        self._connect_deadline_ns = 0
        self._attempt = 0
        self._lanes: tuple[deque[Pending], ...] = tuple(deque() for _ in Lane)
        self._in_flight: dict[int, Pending] = {}
        # Those of them of which the kernel has not taken every byte.
        self._leaving = Leaving()
        self._transaction = 0
        self._breaker = breaker.CLOSED
        # Whether nothing has failed lately: asked for each request.
        self._is_free = True
        self._pause_ns = settings.pause_request_ns
        self._quiet_until_ns = 0
        self._next_edge_ns: int | None = None
        self._reader = codec.FrameReader()
        self._completions: list[Completion] = []
        self._sent: list[Sent] = []
        self._times = TimesByKind()
        self._counts = Counts()

    # What the driver uses.

    @property
    def connected(self) -> bool:
        """True while requests can be sent."""
        return self._state is State.UP

    @property
    def state(self) -> State:
        """Where the link is."""
        return self._state

    @property
    def counters(self) -> LinkCounters:
        """Everything counted so far."""
        return self._counts.now

    @property
    def failures(self) -> tuple[tuple[str, str, int], ...]:
        """Lane, outcome (see `counters`) and count of the requests that failed."""
        return self._counts.failures

    def io_times(self) -> tuple[IoTimes, ...]:
        """Return histograms of the round trips of each read block and each kind of write."""
        return self._times.io_times()

    @property
    def is_holding_back(self) -> bool:
        """True while the breaker is open: scan, read-back and command wait until the PLC has answered one of them."""
        return not self._breaker.is_closed

    def summaries(self) -> tuple[TimesSummary, ...]:
        """Return round-trip figures of each read block and each kind of write."""
        return self._times.summaries()

    def submit(self, lane: Lane, request: Request, token: int, now_ns: int) -> None:
        """Ask for `request`; its completion carries `token`. Fails at once without a connection or with a full lane."""
        pending = Pending(lane, request, token, now_ns)
        if self._state is not State.UP:
            self._fail(pending, LinkDownError(self.message), unknown=False)
        elif not self._is_free and pending.is_patient and self._breaker.holds_back(now_ns):
            self._fail(pending, self._breaker.refusal(self.settings.host), unknown=False)
        elif len(self._lanes[lane]) >= QUEUE_MAX:
            full = LinkError(
                f"{QUEUE_MAX} requests already wait in lane {lane.name}; ask less often"
            )
            self._fail(pending, full, unknown=False)
        else:
            self._lanes[lane].append(pending)

    def cancel_lane(self, lane: Lane) -> None:
        """Fail what waits in `lane`, for the kernel, too; what has begun to leave goes on and completes as usual."""
        withdrawn = self._leaving.withdraw(lane)
        self._in_flight = {n: p for n, p in self._in_flight.items() if p not in withdrawn}
        waiting = self._lanes[lane]
        while waiting:
            withdrawn.append(waiting.popleft())
        for pending in withdrawn:
            self._fail(pending, LinkError("withdrawn before it was sent"), unknown=False)

    def set_next_edge(self, deadline_ns: int | None) -> None:
        """Tell when the next valve edge is due: scans keep out of its way. None: no edge is planned."""
        self._next_edge_ns = deadline_ns

    def next_wake_ns(self, now_ns: int) -> int | None:
        """Return when `Connection.flush` wants to be called at the latest; None: only after bytes or a submit."""
        if self._completions or self._sent:
            return now_ns
        match self._state:
            case State.DOWN:
                return max(now_ns, self._retry_at_ns)
            case State.CONNECTING:
                return self._connect_deadline_ns
            case State.UP:
                return self._next_up_ns(now_ns)
            case State.CLOSED:
                return None

    @property
    def near_until_ns(self) -> int:
        """Until when the first answer in flight is about to come, from a PLC that answers that fast; 0: sleep as long as you like."""
        oldest = next(iter(self._in_flight.values()), None)
        return oldest.started_ns + NEAR_NS if oldest and self._times.usual_ns <= NEAR_NS else 0

    def completions(self) -> list[Completion]:
        """Hand over what completed since the last call."""
        done, self._completions = self._completions, []
        return done

    def sent(self) -> list[Sent]:
        """Hand over what was sent since the last call; each comes before its completion."""
        sent, self._sent = self._sent, []
        return sent

    # What the connection uses.

    @property
    def has_outgoing(self) -> bool:
        """True while the kernel has not taken all bytes of `outgoing`."""
        return bool(self._leaving)

    def begin_connect(self, now_ns: int) -> bool:
        """Tell whether to try to connect now; if so, the try ends at the time-out."""
        if self._state is not State.DOWN or now_ns < self._retry_at_ns:
            return False
        self._state = State.CONNECTING
        self._connect_deadline_ns = now_ns + self.settings.timeout_ns
        return True

    def opened(self, now_ns: int) -> None:
        """The connection is up."""
        assert self._state is State.CONNECTING, "only a try can succeed"
        self._state = State.UP
        self._counts.connects += 1
        self.message = f"connected to {self.settings.host} port {self.settings.port}"
        self._reader = codec.FrameReader()
        self._quiet_until_ns = now_ns + self.settings.pause_connect_ns

    def is_overdue(self, now_ns: int) -> bool:
        """Tell whether an answer has taken longer than the time-out."""
        return (deadline_ns := self._oldest_deadline_ns()) is not None and now_ns >= deadline_ns

    def tick(self, now_ns: int) -> None:
        """Notice what took too long."""
        if self._state is State.CONNECTING and now_ns >= self._connect_deadline_ns:
            self.lost(LinkTimeoutError(self._too_long("accept")), now_ns)
        elif self.is_overdue(now_ns):
            self.lost(LinkTimeoutError(self._too_long("answer")), now_ns)

    def outgoing(self, now_ns: int) -> bytes:
        """Fill the window and return the bytes to hand to the kernel."""
        while self._state is State.UP and (pending := self._choose(now_ns)) is not None:
            self._lanes[pending.lane].popleft()
            self._transaction = transaction = (self._transaction + 1) & 0xFFFF
            pending.started_ns = now_ns
            frame = codec.encode(pending.request, transaction, self.settings.unit)
            self._in_flight[transaction] = pending
            self._leaving.append(pending, frame)
            self._pause(now_ns)
        return self._leaving.next_bytes()

    def handed_over(self, count: int, at_ns: int) -> None:
        """The kernel took the first `count` bytes of `outgoing`; `at_ns` was read right before."""
        left = self._leaving.took(count)
        if not left:
            return
        self._pause(at_ns)
        self._counts.requests += len(left)
        for pending in left:
            pending.sent_ns = at_ns
            self._sent.append(Sent(token=pending.token, sent_ns=at_ns))
            if pending.is_valve_edge:
                wait_ns = at_ns - pending.submitted_ns
                self._counts.worst_valve_wait_ns = max(self._counts.worst_valve_wait_ns, wait_ns)

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take in bytes from the PLC; b"" means that it closed the connection."""
        if self._state is not State.UP:
            return
        try:
            if not data:
                raise LinkDownError(f"{self.settings.host} closed the connection")
            for frame in self._reader.feed(data):
                self._answered(frame, now_ns)
        except LinkError as error:
            self.lost(error, now_ns)

    def lost(self, error: LinkError, now_ns: int) -> None:
        """The connection failed or has to go: fail everything, and try again after the backoff."""
        if self._state in (State.DOWN, State.CLOSED):
            return
        self._counts.lost(error, was_connecting=self._state is State.CONNECTING)
        self._attempt += 1
        if self._is_patient_in_flight:
            self._breaker, self._is_free = self._breaker.failed(now_ns), False
        delay_s = backoff.delay_s(
            self._attempt,
            base_s=RECONNECT_BASE_S,
            cap_s=RECONNECT_CAP_S,
            unit_random=self._unit_random(),
        )
        self._retry_at_ns = now_ns + int(delay_s * 1e9)
        self._give_up(State.DOWN, error)

    def close(self) -> None:
        """Fail everything and never connect again."""
        self._give_up(State.CLOSED, LinkDownError("the link was closed"))

    # Inside.

    def _too_long(self, what: str) -> str:
        one = self.settings
        return f"{one.host} port {one.port} did not {what} within {one.timeout_ns / 1e9:g} s"

    def _next_up_ns(self, now_ns: int) -> int | None:
        """Return when something is due on a connection that is up: a request, the end of a pause, or a time-out."""
        if self._choose(now_ns) is not None:
            return now_ns
        deadline_ns = self._oldest_deadline_ns()
        if self._quiet_until_ns <= now_ns or self._choose(self._quiet_until_ns) is None:
            return deadline_ns
        return min(self._quiet_until_ns, deadline_ns or self._quiet_until_ns)

    def _choose(self, now_ns: int) -> Pending | None:
        """Return the request to send next, or None: nothing waits or may, the window is full, or an edge is near."""
        if len(self._in_flight) >= self._window or now_ns < self._quiet_until_ns:
            return None
        for waiting in self._lanes:
            if waiting:
                return waiting[0] if self._may_leave(waiting[0], now_ns) else None
        return None

    def _may_leave(self, first: Pending, now_ns: int) -> bool:
        """Tell whether neither the breaker nor a valve edge speaks against a request."""
        is_tested = not self._is_free and first.is_patient and not self._breaker.is_closed
        if is_tested and self._is_patient_in_flight:
            return False
        return first.lane is not Lane.SCAN or self._fits(first, now_ns)

    def _pause(self, now_ns: int) -> None:
        """Let nothing more leave until the device has had its pause. Without one, stamps a little ahead of the loop's matter not."""
        if self._pause_ns:
            self._quiet_until_ns = now_ns + self._pause_ns

    @property
    def _is_patient_in_flight(self) -> bool:
        return any(pending.is_patient for pending in self._in_flight.values())

    def _fits(self, scan: Pending, now_ns: int) -> bool:
        """Tell whether a scan request should be over, with the guard, before the next valve edge."""
        if self._next_edge_ns is None:
            return True
        expected_ns = self._times.longest_ns(scan.key)
        # Before any read only the time-out is certain.
        expected_ns = self.settings.timeout_ns if expected_ns is None else expected_ns
        guard_ns = EDGE_GUARD_NS + self.settings.pause_request_ns
        return now_ns + expected_ns + guard_ns <= self._next_edge_ns

    def _oldest_deadline_ns(self) -> int | None:
        """Return when the first request in flight times out; requests start in order."""
        oldest = next(iter(self._in_flight.values()), None)
        return oldest.started_ns + self.settings.timeout_ns if oldest else None

    def _answered(self, frame: codec.Frame, now_ns: int) -> None:
        """Complete the request that `frame` answers.

        Raises:
            LinkDesyncError: it answers none of ours, or not rightly.
        """
        pending = self._in_flight.get(frame.transaction)
        if pending is None or pending.sent_ns is None:
            raise LinkDesyncError(
                f"an answer came to transaction {frame.transaction}, which is not open"
            )
        error: ModbusExceptionError | None = None
        data = b""
        try:
            data = codec.decode_answer(pending.request, self.settings.unit, frame)
        except ModbusExceptionError as refused:
            error = refused
            self._counts.exceptions += 1
            self._counts.failed(pending.lane, refused)
        del self._in_flight[frame.transaction]
        self._pause(now_ns)
        if pending.is_patient and (error is not None or not self._is_free):
            self._judge(error, now_ns)
        # Only an answer proves that the PLC serves us; one that accepts and closes at once keeps backing off.
        self._attempt = 0
        self._times.add(pending.key, now_ns - pending.sent_ns)
        uncertain = error is not None and is_open(error.code)
        self._completions.append(
            Completion(
                token=pending.token,
                ok=error is None,
                error=error,
                data=data,
                sent_ns=pending.sent_ns,
                acked_ns=now_ns,
                unknown=uncertain and is_write(pending.request),
            )
        )

    def _judge(self, error: ModbusExceptionError | None, now_ns: int) -> None:
        """Let the breaker know of an answer: an exception may say that the PLC is not able to serve."""
        is_failing = error is not None and error.code in breaker.FAILING
        before = self._breaker
        self._breaker = before.failed(now_ns) if is_failing else before.answered()
        self._is_free = self._breaker == breaker.CLOSED

    def _give_up(self, state: State, error: LinkError) -> None:
        self._state = state
        self.message = str(error)
        in_flight, self._in_flight = self._in_flight, {}
        leaving, self._leaving = self._leaving, Leaving()
        for pending in in_flight.values():
            touched = leaving.has_begun(pending)
            self._fail(pending, error, unknown=touched and is_write(pending.request))
        for waiting in self._lanes:
            while waiting:
                self._fail(waiting.popleft(), LinkDownError(str(error)), unknown=False)

    def _fail(self, pending: Pending, error: LinkError, *, unknown: bool) -> None:
        self._counts.failed(pending.lane, error)
        self._completions.append(
            Completion(
                token=pending.token,
                ok=False,
                error=error,
                data=b"",
                sent_ns=pending.sent_ns or 0,
                acked_ns=0,
                unknown=unknown,
            )
        )
