"""When garbage is looked for: a little at a time, and all of it only where a process may stand still for milliseconds."""

from __future__ import annotations

import gc

WHOLE_NS = 60_000_000_000
"""How often all of it is."""


class Garbage:
    """CPython's collector, which is told when to work. One per process."""

    def __init__(self) -> None:
        self._whole_ns: int | None = None

    def begin(self, *, is_automatic: bool) -> None:
        """Take what is there for what stays: it is never looked through again. `is_automatic`: it may begin by itself as well."""
        gc.collect()
        gc.freeze()
        if not is_automatic:
            gc.disable()

    def collect(self, now_ns: int, *, may_pause: bool) -> None:
        """Look for some, `now_ns` being monotonic; only what is new unless the process may pause.

        Only a whole collection empties CPython's lists of freed tuples, which grow up to 2,000 of each length.
        """
        if not may_pause:
            gc.collect(0)
        elif self._whole_ns is None or now_ns - self._whole_ns >= WHOLE_NS:
            self._whole_ns = now_ns
            gc.collect()
        else:
            gc.collect(1)
