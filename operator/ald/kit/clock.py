"""The one place that reads a clock."""

import time
from typing import Protocol


class Clock(Protocol):
    """Time as an argument: tests hand in a virtual one."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never step back, from an arbitrary start (CLOCK_MONOTONIC, one per boot of the host)."""
        ...

    def wall_ns(self) -> int:
        """Nanoseconds UTC since 1970; may step."""
        ...


class SystemClock:
    """The host's clocks."""

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """Return CLOCK_REALTIME."""
        return time.time_ns()
