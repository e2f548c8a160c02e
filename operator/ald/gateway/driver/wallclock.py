"""UTC as monotonic time plus an offset that changes only by steps that go on record."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ald.kit.clock import Clock

STEP_NS = 50_000_000
"""A difference of this much is a step of the wall clock; less is what two clocks drift apart."""

DOUBT_NS = 100_000
"""A reading is good when it is wrong by at most this much."""

READINGS_MAX = 5
"""Readings until one is good, or else the best of them: a busy processor may take a while between the two clocks."""


class WallClock:
    """The anchor between the two clocks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.offset_ns, _ = self._read()

    def step_ns(self) -> int:
        """Return by how much the wall clock has stepped since the last anchor, 0 for not at all, and anchor anew."""
        offset_ns, doubt_ns = self._read()
        difference_ns = offset_ns - self.offset_ns
        if abs(difference_ns) < STEP_NS + doubt_ns:
            return 0
        self.offset_ns += difference_ns
        return difference_ns

    def _read(self) -> tuple[int, int]:
        """Return UTC minus monotonic, and by how much that may be wrong: the wall clock between two monotonic readings."""
        best = self._read_once()
        for _ in range(READINGS_MAX - 1):
            if best[1] <= DOUBT_NS:
                break
            best = min(best, self._read_once(), key=lambda reading: reading[1])
        return best

    def _read_once(self) -> tuple[int, int]:
        before_ns = self._clock.monotonic_ns()
        wall_ns = self._clock.wall_ns()
        after_ns = self._clock.monotonic_ns()
        return wall_ns - (before_ns + after_ns) // 2, (after_ns - before_ns + 1) // 2
