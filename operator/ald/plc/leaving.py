"""Frames on their way into the kernel: encoded, in their order, and not yet taken whole.

A frame of which the kernel has taken no byte can still be withdrawn, as if it had never been encoded; of any other one the
rest has to follow, or the PLC would take what comes next for it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ald.plc.pending import Lane, Pending


class Leaving:
    """What one connection still has to hand to the kernel. `begin` and `end` of its requests are places in the whole stream."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._taken = 0
        # Requests of which the kernel has not taken every byte, in their order in the stream.
        self._waiting: deque[Pending] = deque()

    def __bool__(self) -> bool:
        return bool(self._bytes)

    def next_bytes(self) -> bytes:
        """Return what the kernel is to take next."""
        return bytes(self._bytes)

    def append(self, pending: Pending, frame: bytes) -> None:
        """Put a frame behind all others."""
        pending.begin = begin = self._taken + len(self._bytes)
        pending.end = begin + len(frame)
        self._bytes += frame
        self._waiting.append(pending)

    def took(self, count: int) -> Sequence[Pending]:
        """Note that the kernel took the next `count` bytes; return the requests that have left whole with them."""
        self._taken += count
        if count == len(self._bytes):
            self._bytes.clear()
            left, self._waiting = self._waiting, deque()
            return left
        del self._bytes[:count]
        left = deque()
        while self._waiting[0].end <= self._taken:
            left.append(self._waiting.popleft())
        return left

    def has_begun(self, pending: Pending) -> bool:
        """Tell whether the kernel took any byte of it."""
        return pending.begin < self._taken

    def withdraw(self, lane: Lane) -> list[Pending]:
        """Take back and return the requests of `lane` that have not begun to leave; those behind them move up."""
        withdrawn: list[Pending] = []
        kept: deque[Pending] = deque()
        gone = 0
        for pending in self._waiting:
            size = pending.end - pending.begin
            pending.begin -= gone
            pending.end -= gone
            if pending.lane is not lane or self.has_begun(pending):
                kept.append(pending)
                continue
            at = pending.begin - self._taken
            del self._bytes[at : at + size]
            gone += size
            withdrawn.append(pending)
        self._waiting = kept
        return withdrawn
