"""Standard output that never makes the loop wait: when nobody reads the log, what does not fit is dropped and counted."""

from __future__ import annotations

import io
import os
import select
from typing import TextIO

from typing_extensions import Buffer, override

PIECE_BYTES = 4096
"""A pipe that is ready takes this much without blocking (pipe(7), PIPE_BUF)."""


def output(descriptor: int) -> TextIO:
    """Return a text stream over the descriptor that drops instead of blocking."""
    return io.TextIOWrapper(io.BufferedWriter(Impatient(descriptor)), encoding="utf-8")


class Impatient(io.RawIOBase):
    """Writes in pieces that the kernel takes at once, as long as it does."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self.dropped_bytes = 0

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: Buffer) -> int:
        """Write what there is room for; everything counts as written."""
        view = memoryview(data)
        for start in range(0, len(view), PIECE_BYTES):
            ready = self._poll.poll(0)
            if not ready or not ready[0][1] & select.POLLOUT:
                self.dropped_bytes += len(view) - start
                break
            try:
                os.write(self._descriptor, view[start : start + PIECE_BYTES])
            except OSError:
                # Nobody is there any more, or the disk is full: no reason for a valve to wait.
                self.dropped_bytes += len(view) - start
                break
        return len(view)
