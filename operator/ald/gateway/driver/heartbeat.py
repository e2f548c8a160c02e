"""The register that tells the PLC that we live: changed every period, kept out of the way of valve edges.

Before each beat the register is read: whatever else than our last count stands there was put there by another master.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ald.plant.model import Table
from ald.plc.link import Lane
from ald.plc.request import ReadRegisters, WriteRegisters

if TYPE_CHECKING:
    from ald.plant.model import Heartbeat as Declared
    from ald.plc.link import Completion, Link

EDGE_GUARD_NS = 10_000_000
"""A heartbeat that might still be on its way at the next valve edge waits until that is over."""

CALM_BEATS = 10
"""Beats in a row that have to be found as we left them before another master counts as gone."""

DOUBTS_MAX = 16
"""Counts that may each stand in the register, since nobody can say which write took effect; with more nothing is known."""

WORD = 0x10000


class Watchdog(msgspec.Struct, frozen=True):
    """What is known of the heartbeat: acknowledged lately, and the register moved by somebody else lately."""

    is_acknowledged: bool = False
    is_foreign: bool = False


class Heartbeat:
    """Beats of one declared register over one link. Takes two tokens: `token`, and the one below it."""

    TOKENS = 2

    def __init__(self, declared: Declared, token: int, now_ns: int, pause_ns: int = 0) -> None:
        self._declared = declared
        # A beat is two requests, with a pause behind each.
        self._guard_ns = EDGE_GUARD_NS + self.TOKENS * pause_ns
        self._token = token
        # Never what a life before wrote last: executors that die after one beat each would look to the PLC like silence.
        self._count = now_ns // 1_000_000 % WORD
        self._due_ns = now_ns
        self._is_waiting = False
        self._is_looking = False
        self._acked_ns: int | None = None
        # What the register may hold without having been moved by somebody else; empty while that is not known.
        self._known: frozenset[int] = frozenset()
        # What a look on its way may find: of the PLC's two answers the one to the beat may come first.
        self._expected: frozenset[int] = frozenset()
        self._foreign_beats = 0
        self._told = Watchdog()

    def wake_ns(self, now_ns: int, edge_ns: int | None) -> int:
        """Return when `beat` wants to be called."""
        # The same question as in `beat`, or the loop would turn on the spot: one that is overdue has come nearer to the edge.
        at_ns = max(self._due_ns, now_ns)
        if edge_ns is not None and 0 <= edge_ns - at_ns < self._guard_ns:
            return min(edge_ns, self._due_ns + self._declared.period_ns // 2)
        return self._due_ns

    def beat(self, link: Link, now_ns: int, edge_ns: int | None, *, is_known: bool = True) -> None:
        """Write the next count when it is due. A beat waits for an edge for at most half a period.

        One that falls due while the engine has not heard of the connection (`is_known` False) is left out.
        """
        if now_ns < self._due_ns:
            return
        is_near = edge_ns is not None and 0 <= edge_ns - now_ns < self._guard_ns
        if is_near and now_ns < self._due_ns + self._declared.period_ns // 2:
            return
        missed = (now_ns - self._due_ns) // self._declared.period_ns
        self._due_ns += (1 + missed) * self._declared.period_ns
        if self._is_waiting or not (is_known and link.connected):
            return
        address = self._declared.address
        self._count = (self._count + 1) % WORD
        self._is_waiting = True
        if self._known:
            # A PLC that answers out of order shows the new count already.
            self._known |= {self._count}
            if self._is_looking:
                # The look before is still on its way: it may find what stood there then, and every count since.
                self._expected |= self._known
            else:
                self._is_looking = True
                self._expected = self._known
                read = ReadRegisters(Table.HOLDING, address, 1)
                link.submit(Lane.HEARTBEAT, read, self._token - 1, now_ns)
        request = WriteRegisters(address, (self._count,))
        link.submit(Lane.HEARTBEAT, request, self._token, now_ns)

    def owns(self, token: int) -> bool:
        """Tell whether a completion is that of a beat, or of the look before it."""
        return self._token - self.TOKENS < token <= self._token

    def completed(self, completion: Completion) -> None:
        """Take in what became of a beat, or of the look before it."""
        if completion.token == self._token:
            self._beaten(completion)
            return
        self._is_looking = False
        if completion.ok and self._known:
            self._looked(int.from_bytes(completion.data, "big"))

    def news(self, now_ns: int) -> Watchdog | None:
        """Return how it stands where that has changed since the last call. The PLC shuts the valves after its timeout."""
        acked_ns = self._acked_ns
        found = Watchdog(
            is_acknowledged=acked_ns is not None and now_ns - acked_ns <= self._declared.timeout_ns,
            is_foreign=self._foreign_beats > 0,
        )
        if found == self._told:
            return None
        self._told = found
        return found

    def disconnected(self) -> None:
        """Nothing is known any more, and the engine knows that by itself."""
        self._acked_ns = None
        self._known = frozenset()
        self._foreign_beats = 0
        self._told = Watchdog()

    def reconnected(self, now_ns: int) -> None:
        """Beat at once: the PLC has waited."""
        self._due_ns = now_ns
        self._is_waiting = False
        self._is_looking = False

    def _looked(self, word: int) -> None:
        if word in self._known | self._expected:
            self._foreign_beats = max(0, self._foreign_beats - 1)
        else:
            self._foreign_beats = CALM_BEATS
            # Where the PLC takes no beat of ours this stands there for long: it was moved once, not each time it is seen.
            self._known |= {word}

    def _beaten(self, completion: Completion) -> None:
        self._is_waiting = False
        if completion.ok:
            self._acked_ns = completion.acked_ns
            self._known = frozenset({self._count})
            return
        self._acked_ns = None
        if not completion.unknown:
            self._known -= {self._count}
        elif len(self._known) > DOUBTS_MAX:
            self._known = frozenset()
