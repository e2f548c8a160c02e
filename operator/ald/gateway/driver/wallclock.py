"""UTC as monotonic time plus an offset that changes only by steps that go on record."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ald.kit.clock import Clock

STEP_NS = 50_000_000
"""A difference of this much is a step of the wall clock; less is reading one clock after the other."""


class WallClock:
    """The anchor between the two clocks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.offset_ns = self._read()

    def step_ns(self) -> int:
        """Return by how much the wall clock has stepped since the last anchor, 0 for not at all, and anchor anew."""
        difference_ns = self._read() - self.offset_ns
        if abs(difference_ns) < STEP_NS:
            return 0
        self.offset_ns += difference_ns
        return difference_ns

    def _read(self) -> int:
        """Return UTC minus monotonic, read as one as far as that goes: the wall clock between two monotonic readings."""
        before_ns = self._clock.monotonic_ns()
        wall_ns = self._clock.wall_ns()
        after_ns = self._clock.monotonic_ns()
        return wall_ns - (before_ns + after_ns) // 2
