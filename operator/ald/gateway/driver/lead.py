"""How long a closing edge takes from the decision to the kernel: the loop begins that much earlier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ald.engine.state import Pulsing, phases
from ald.records.event import Event, PulseDone, WriteOutcome

if TYPE_CHECKING:
    from ald.engine.state import State

LEAD_NS_MAX = 200_000
"""More than this is no steady cost of the way, but an accident that must not be aimed at."""

SHARE = 8
"""Each pulse moves the estimate by one eighth of what it missed by."""


class Lead:
    """Learns from every pulse; begins without any lead."""

    def __init__(self) -> None:
        self._ns = 0

    def ns(self, state: State) -> int:
        """Return how much earlier to begin now: only the closing edge counts, whose time decides the width."""
        found = phases(state.run) if state.run is not None else ()
        is_open = any(
            isinstance(phase, Pulsing) and phase.opened_sent_ns and phase.close_token is None
            for phase in found
        )
        return self._ns if is_open else 0

    def learn(self, event: Event) -> None:
        """Take in how a pulse went; late ones beyond the maximum are accidents."""
        if not isinstance(event, PulseDone) or event.outcome is not WriteOutcome.CONFIRMED:
            return
        if abs(event.error_ns) <= LEAD_NS_MAX:
            moved_ns = self._ns + event.error_ns // SHARE
            self._ns = max(0, min(LEAD_NS_MAX, moved_ns))
