"""Writes on their way to the volume: a thread does them, because neither a valve nor a sign of life waits for a disk.

Its calls leave the interpreter to the loop while they last. A file is replaced whole or not at all, so that nobody has to wait
for one that is on its way when the process ends.
"""

from __future__ import annotations

import errno
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures import wait as finish
from typing import TYPE_CHECKING, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable

_Given = ParamSpec("_Given")


class VolumeWriter:
    """One write on its way at most."""

    def __init__(self, name: str, thread: Executor | None = None) -> None:
        """Begin; `thread` takes the place of one called `name`, in which the writes are done."""
        self._thread = thread or ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._going: Future[None] | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the last write has come back, and the volume did not take it."""
        return self._going is not None and self._going.done() and bool(self._going.exception())

    def is_free(self, within_s: float = 0.0) -> bool:
        """Tell whether nothing is on its way, or comes to the volume, or fails, within that time."""
        if self._going is None or self._going.done():
            return True
        return within_s > 0 and not finish([self._going], within_s).not_done

    def send(
        self, write: Callable[_Given, None], *args: _Given.args, **named: _Given.kwargs
    ) -> None:
        """Set a write on its way, and wait for nothing."""
        assert self.is_free(), "a write is on its way"
        self._going = self._thread.submit(write, *args, **named)

    def taken(self, within_s: float) -> None:
        """Wait for the write that was sent; one that takes longer may come to the volume yet.

        Raises:
            OSError: it has not come to it in that time.
        """
        if not self.is_free(within_s):
            raise OSError(errno.ETIMEDOUT, f"it has not answered for {within_s:g} s")
        if self._going is not None:
            self._going.result()

    def close(self) -> None:
        """Begin no other write, and wait for none."""
        self._thread.shutdown(wait=False, cancel_futures=True)
