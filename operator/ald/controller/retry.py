"""One thing that is tried again and again, with a growing, jittered wait after each failure."""

from __future__ import annotations

import random

from ald.kit.backoff import delay_s
from ald.kit.clock import Clock

BASE_S = 0.5
CAP_S = 30.0


class Retry:
    """When the next attempt may be made; without a failure, at once."""

    def __init__(self, clock: Clock, *, base_s: float = BASE_S, cap_s: float = CAP_S) -> None:
        self._clock = clock
        self._base_s = base_s
        self._cap_s = cap_s
        self._failures = 0
        self.due_ns = 0

    @property
    def is_due(self) -> bool:
        """Whether the next attempt may be made now."""
        return self._clock.monotonic_ns() >= self.due_ns

    def failed(self) -> None:
        """Note a failure: wait longer."""
        self._failures += 1
        unit = random.random()  # noqa: S311 -- jitter, no secret
        wait_s = delay_s(self._failures, base_s=self._base_s, cap_s=self._cap_s, unit_random=unit)
        self.due_ns = self._clock.monotonic_ns() + int(wait_s * 1e9)

    def done(self) -> None:
        """Note a success: start over."""
        self._failures = 0
        self.due_ns = 0
