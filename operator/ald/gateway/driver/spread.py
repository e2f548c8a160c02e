"""How much the round trips of writes vary: what the link adds to the uncertainty of every pulse."""

from __future__ import annotations

from ald.plc.times import Times

WRITES_MIN = 100
"""Fewer say nothing about the slowest of a hundred."""


class WriteSpread:
    """The last thousand acknowledged writes, of valves, set points and the heartbeat alike."""

    def __init__(self) -> None:
        self._times = Times()
        self._count = 0

    def add(self, round_trip_ns: int) -> None:
        """Take in one more."""
        self._times.add(round_trip_ns)
        self._count += 1

    def ns(self) -> int | None:
        """Return p99 - p1; None while too few have been measured."""
        if self._count < WRITES_MIN:
            return None
        return (self._times.quantile_ns(0.99) or 0) - (self._times.quantile_ns(0.01) or 0)
