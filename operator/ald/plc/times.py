"""Round-trip times of one kind of request: the last thousand, and what they say of the next one."""

from __future__ import annotations

import bisect
import math
from collections import deque

import msgspec

WINDOW = 1000
"""Round trips that a quantile is taken over."""


KINDS_MAX = 1024
"""Blocks and kinds of writes whose round trips are kept apart; the oldest go first."""


class TimesSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Round trips of one kind of request, in ns; quantiles over the last `WINDOW`, `count` and `worst` over all."""

    request: str
    count: int
    last_ns: int
    p1_ns: int
    p50_ns: int
    p99_ns: int
    p999_ns: int
    worst_ns: int


class Times:
    """The last `WINDOW` round trips, kept both in order of time and sorted."""

    def __init__(self) -> None:
        self._recent: deque[int] = deque()
        self._sorted: list[int] = []
        self._count = 0
        self._worst_ns = 0

    def add(self, round_trip_ns: int) -> None:
        """Take in one more; O(log n) and one move of at most 8 kB."""
        if len(self._recent) == WINDOW:
            del self._sorted[bisect.bisect_left(self._sorted, self._recent.popleft())]
        self._recent.append(round_trip_ns)
        bisect.insort(self._sorted, round_trip_ns)
        self._count += 1
        self._worst_ns = max(self._worst_ns, round_trip_ns)

    def quantile_ns(self, share: float) -> int | None:
        """Return the smallest time that at least `share` of the window does not exceed; None without any."""
        if not self._sorted:
            return None
        return self._sorted[max(0, math.ceil(share * len(self._sorted)) - 1)]

    def summary(self, request: str) -> TimesSummary:
        """Return all figures; there must be at least one round trip."""
        p1, p50, p99, p999 = (self.quantile_ns(q) or 0 for q in (0.01, 0.5, 0.99, 0.999))
        return TimesSummary(
            request=request,
            count=self._count,
            last_ns=self._recent[-1],
            p1_ns=p1,
            p50_ns=p50,
            p99_ns=p99,
            p999_ns=p999,
            worst_ns=self._worst_ns,
        )


class TimesByKind:
    """Round trips of each block that is read, and of each kind of write."""

    def __init__(self) -> None:
        self._kinds: dict[str, Times] = {}

    def add(self, kind: str, round_trip_ns: int) -> None:
        """Take in one more of a kind."""
        times = self._kinds.get(kind)
        if times is None:
            if len(self._kinds) >= KINDS_MAX:
                del self._kinds[next(iter(self._kinds))]
            times = self._kinds[kind] = Times()
        times.add(round_trip_ns)

    def longest_ns(self, read: str) -> int | None:
        """Return what 999 of the last 1,000 reads of a block did not exceed; None before any read.

        A block never read before is taken for as slow as the slowest of the others.
        """
        times = self._kinds.get(read)
        known = [times] if times else [t for k, t in self._kinds.items() if k.startswith("read ")]
        return max((t.quantile_ns(0.999) or 0 for t in known), default=None)

    def summaries(self) -> tuple[TimesSummary, ...]:
        """Return the figures of every kind."""
        return tuple(times.summary(kind) for kind, times in sorted(self._kinds.items()))
