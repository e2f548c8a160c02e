"""What whoever uses the link reads of it: where it is, what became of a request, and what was counted."""

from __future__ import annotations

import enum
from collections import Counter

import msgspec

from ald.errors import (
    LinkDesyncError,
    LinkDownError,
    LinkError,
    LinkHeldBackError,
    LinkTimeoutError,
    ModbusExceptionError,
)
from ald.plc.pending import Lane


class State(enum.Enum):
    """Where the link is; see the drawing in `ald.plc.link`."""

    DOWN = "down"
    CONNECTING = "connecting"
    UP = "up"
    CLOSED = "closed"


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request. Times are monotonic; 0 where it did not come to that.

    data: what a read brought (see `codec.decode_answer`), b"" otherwise. unknown: a write of which nobody can say whether
    it took effect; read back before deciding anything.
    """

    token: int
    ok: bool
    error: LinkError | None
    data: bytes
    sent_ns: int
    acked_ns: int
    unknown: bool


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose last byte was handed to the kernel; `sent_ns` was read right before."""

    token: int
    sent_ns: int


class LinkCounters(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the link was made. `connects` counts connections that came up, the first included."""

    requests: int
    timeouts: int
    desyncs: int
    exceptions: int
    connects: int
    reconnects: int
    failed_connects: int
    worst_valve_wait_ns: int


class Counts:
    """Counts as they grow."""

    def __init__(self) -> None:
        self.requests = 0
        self.exceptions = 0
        self.connects = 0
        self.worst_valve_wait_ns = 0
        self._timeouts = 0
        self._desyncs = 0
        self._failed_connects = 0
        self._failures: Counter[tuple[Lane, str]] = Counter()

    def lost(self, error: LinkError, *, was_connecting: bool) -> None:
        """Count a connection that is gone, or did not come about."""
        self._timeouts += isinstance(error, LinkTimeoutError)
        self._desyncs += isinstance(error, LinkDesyncError)
        self._failed_connects += was_connecting

    def failed(self, lane: Lane, error: LinkError) -> None:
        """Count a request that failed."""
        self._failures[lane, _outcome(error)] += 1

    @property
    def failures(self) -> tuple[tuple[str, str, int], ...]:
        """Lane, outcome and count of the requests that failed, at most one for each lane and outcome."""
        counted = sorted(self._failures.items())
        return tuple((lane.name.lower(), outcome, count) for (lane, outcome), count in counted)

    @property
    def now(self) -> LinkCounters:
        """All of them at this moment."""
        return LinkCounters(
            requests=self.requests,
            timeouts=self._timeouts,
            desyncs=self._desyncs,
            exceptions=self.exceptions,
            connects=self.connects,
            reconnects=max(0, self.connects - 1),
            failed_connects=self._failed_connects,
            worst_valve_wait_ns=self.worst_valve_wait_ns,
        )


def _outcome(error: LinkError) -> str:
    """Return how a request failed: refused, timed-out, desync, held-back, lost for want of a connection, or else unsent."""
    match error:
        case ModbusExceptionError():
            return "refused"
        case LinkTimeoutError():
            return "timed-out"
        case LinkDesyncError():
            return "desync"
        case LinkHeldBackError():
            return "held-back"
        case LinkDownError():
            return "lost"
        case _:
            return "unsent"
