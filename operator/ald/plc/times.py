"""Round-trip times of one kind of request: the last thousand, and what they say of the next one."""

from __future__ import annotations

import bisect
import math
from collections import deque

import msgspec

WINDOW = 1000
"""Round trips that a quantile is taken over."""

LONGEST = 0.999
"""Share of the round trips that the longest to be expected covers."""

KINDS_MAX = 2048
"""Blocks and kinds of writes whose round trips are kept apart; the oldest go first. No scan has more."""


BOUNDS_NS = tuple(
    int(ms * 1e6) for ms in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
)
"""Upper bounds of the classes that round trips are counted in; whatever is longer comes last."""

HISTOGRAMS_MAX = 64
"""Blocks and kinds of writes with a histogram of their own; what comes later shares one, so that metrics stay few."""

OTHERS = "other"

NEAR_NS = 200_000
"""An answer that usually comes within this is worth staying awake for: to fall asleep and wake up would take as long."""

USUAL_OVER = 8
"""Round trips, about, that the usual one is the mean of (exponentially weighted)."""

UNKNOWN_NS = 1e9
"""What is taken for usual before the first."""


class IoTimes(msgspec.Struct, frozen=True, kw_only=True):
    """All round trips of one kind of request: how many fell into each class of `BOUNDS_NS` and behind them, and their sum."""

    request: str
    counts: tuple[int, ...]
    sum_ns: int


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


class _Histogram:
    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_NS) + 1)
        self.sum_ns = 0

    def add(self, round_trip_ns: int) -> None:
        self.counts[bisect.bisect_left(BOUNDS_NS, round_trip_ns)] += 1
        self.sum_ns += round_trip_ns


class Times:
    """The last `WINDOW` round trips, in order of time."""

    def __init__(self) -> None:
        self._recent: deque[int] = deque(maxlen=WINDOW)
        # What `longest_ns` found last, as long as nothing came or went that could change it.
        self._longest_ns: int | None = None
        self._count = 0
        self._worst_ns = 0
        self.histogram = _Histogram()

    def add(self, round_trip_ns: int) -> None:
        """Take in one more."""
        recent, longest_ns = self._recent, self._longest_ns
        if longest_ns is not None and (
            round_trip_ns > longest_ns
            # Up to here it was the longest of all, from here on it is the second.
            or len(recent) == WINDOW - 1
            or (len(recent) == WINDOW and recent[0] >= longest_ns)
        ):
            self._longest_ns = None
        recent.append(round_trip_ns)
        self._count += 1
        self._worst_ns = max(self._worst_ns, round_trip_ns)

    @property
    def longest_ns(self) -> int | None:
        """What 999 of the window's thousand do not exceed; None without any. Asked for before every scan request near an edge."""
        if self._longest_ns is None:
            self._longest_ns = self.quantile_ns(LONGEST)
        return self._longest_ns

    def quantile_ns(self, share: float) -> int | None:
        """Return the smallest time that at least `share` of the window does not exceed; None without any."""
        return _quantile_ns(sorted(self._recent), share) if self._recent else None

    def summary(self, request: str) -> TimesSummary:
        """Return all figures; there must be at least one round trip."""
        ordered = sorted(self._recent)
        p1, p50, p99, p999 = (_quantile_ns(ordered, q) for q in (0.01, 0.5, 0.99, LONGEST))
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


def _quantile_ns(ordered: list[int], share: float) -> int:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class TimesByKind:
    """Round trips of each block that is read, and of each kind of write. `usual_ns`: a mean of the last few of all kinds."""

    def __init__(self) -> None:
        self._kinds: dict[str, Times] = {}
        self._histograms: dict[str, _Histogram] = {}
        self.usual_ns: float = UNKNOWN_NS

    def add(self, kind: str, round_trip_ns: int) -> None:
        """Take in one more of a kind."""
        self.usual_ns += (round_trip_ns - self.usual_ns) / USUAL_OVER
        times = self._kinds.get(kind)
        if times is None:
            if len(self._kinds) >= KINDS_MAX:
                del self._kinds[next(iter(self._kinds))]
            times = self._kinds[kind] = Times()
            times.histogram = self._histogram(kind)
        times.add(round_trip_ns)
        times.histogram.add(round_trip_ns)

    def longest_ns(self, read: str) -> int | None:
        """Return what 999 of the last 1,000 reads of a block did not exceed; None before any read.

        A block never read before is taken for as slow as the slowest of the others.
        """
        times = self._kinds.get(read)
        known = [times] if times else [t for k, t in self._kinds.items() if k.startswith("read ")]
        return max((t.longest_ns or 0 for t in known), default=None)

    def io_times(self) -> tuple[IoTimes, ...]:
        """Return the histograms of all kinds, by name."""
        return tuple(
            IoTimes(request=kind, counts=tuple(one.counts), sum_ns=one.sum_ns)
            for kind, one in sorted(self._histograms.items())
        )

    def _histogram(self, kind: str) -> _Histogram:
        """Return where a kind is counted. Unlike `Times` it is never dropped: a counter does not go back."""
        found = self._histograms.get(kind)
        if found is None:
            name = kind if len(self._histograms) < HISTOGRAMS_MAX else OTHERS
            found = self._histograms.setdefault(name, _Histogram())
        return found

    def summaries(self) -> tuple[TimesSummary, ...]:
        """Return the figures of every kind."""
        return tuple(times.summary(kind) for kind, times in sorted(self._kinds.items()))
