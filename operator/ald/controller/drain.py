"""How long the deletion of a Machine waits for the history to have what its gateway recorded. Pure but for the clock."""

from __future__ import annotations

from ald.kit.clock import Clock
from ald.wire import GatewayStatus

PATIENCE_S = 60.0
"""Without any progress for this long nobody comes for the records any more, and the Machine goes without."""

SILENT_PATIENCE_S = 20.0
"""As long as a gateway may need to start anew; one that has never told what it holds is not waited for longer."""

LOOK_INTERVAL_NS = 500_000_000
"""How often the gateway is asked meanwhile."""


class Drain:
    """Of one Machine that is being deleted, from the moment that no run of it is active."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._target: int | None = None
        self._committed = -1
        self._moved_ns = clock.monotonic_ns()

    @property
    def left(self) -> int | None:
        """How many records the history still lacks; None while the gateway has not said."""
        if self._target is None:
            return None
        return max(0, self._target - max(0, self._committed))

    @property
    def is_drained(self) -> bool:
        """Whether the history has everything up to the first look; scans go on, and would never end."""
        return self.left == 0

    @property
    def is_given_up(self) -> bool:
        """Whether nothing has moved for as long as the bound says."""
        patience_s = SILENT_PATIENCE_S if self._target is None else PATIENCE_S
        return self._clock.monotonic_ns() - self._moved_ns >= patience_s * 1e9

    def see(self, status: GatewayStatus | None) -> None:
        """Take in what the gateway says now; None when it does not answer."""
        if status is None or not status.feed:
            return
        if self._target is None:
            self._target = status.feed_position
        if status.feed_committed > self._committed:
            self._committed = status.feed_committed
            self._moved_ns = self._clock.monotonic_ns()
