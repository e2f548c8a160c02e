"""The register that tells the PLC that we live: changed every period, kept out of the way of valve edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ald.plc.link import Lane
from ald.plc.request import WriteRegisters

if TYPE_CHECKING:
    from ald.plant.model import Heartbeat as Declared
    from ald.plc.link import Completion, Link

EDGE_GUARD_NS = 10_000_000
"""A heartbeat that might still be on its way at the next valve edge waits until that is over."""

WORD = 0x10000


class Heartbeat:
    """Beats of one declared register over one link."""

    def __init__(self, declared: Declared, token: int, now_ns: int) -> None:
        self._declared = declared
        self._token = token
        # Never what a life before wrote last: executors that die after one beat each would look to the PLC like silence.
        self._count = now_ns // 1_000_000 % WORD
        self._due_ns = now_ns
        self._is_waiting = False
        self.is_acknowledged = False

    def wake_ns(self, edge_ns: int | None) -> int:
        """Return when `beat` wants to be called."""
        if edge_ns is not None and edge_ns - self._due_ns < EDGE_GUARD_NS:
            return min(max(self._due_ns, edge_ns), self._due_ns + self._declared.period_ns // 2)
        return self._due_ns

    def beat(self, link: Link, now_ns: int, edge_ns: int | None) -> None:
        """Write the next count when it is due. A beat waits for an edge for at most half a period."""
        if now_ns < self._due_ns:
            return
        is_near = edge_ns is not None and 0 <= edge_ns - now_ns < EDGE_GUARD_NS
        if is_near and now_ns < self._due_ns + self._declared.period_ns // 2:
            return
        missed = (now_ns - self._due_ns) // self._declared.period_ns
        self._due_ns += (1 + missed) * self._declared.period_ns
        if self._is_waiting or not link.connected:
            return
        self._count = (self._count + 1) % WORD
        self._is_waiting = True
        request = WriteRegisters(self._declared.address, (self._count,))
        link.submit(Lane.HEARTBEAT, request, self._token, now_ns)

    def owns(self, token: int) -> bool:
        """Tell whether a completion is that of a beat."""
        return token == self._token

    def completed(self, completion: Completion) -> bool:
        """Take in what became of a beat; True when `is_acknowledged` changed."""
        self._is_waiting = False
        changed = completion.ok is not self.is_acknowledged
        self.is_acknowledged = completion.ok
        return changed

    def reconnected(self, now_ns: int) -> None:
        """Beat at once: the PLC has waited."""
        self._due_ns = now_ns
        self._is_waiting = False
