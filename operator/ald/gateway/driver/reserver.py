"""Puts reservations on the volume: when no valve edge is near, or when they have waited for long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ald.engine.effects import Reserve
from ald.engine.inputs import Reserved
from ald.gateway.driver.files import write_reservation
from ald.gateway.driver.volume_writer import VolumeWriter

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_NS = 100_000_000
"""A reservation waits this long for a time without edges, and no longer."""

RETRY_NS = 1_000_000_000
"""A volume that did not take one is asked again after this."""


class Reserver:
    """One reservation on its way at most; of those that wait only the last counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = VolumeWriter("reserve")
        self._wanted: Reserve | None = None
        self._due_ns = 0
        self._not_before_ns = 0
        self._going: Reserve | None = None

    def ask(self, wanted: Reserve, now_ns: int) -> None:
        """Have this on the volume, in place of any other that still waits."""
        self._wanted = wanted
        self._due_ns = now_ns + PATIENCE_NS

    def work(self, now_ns: int, *, is_quiet: bool) -> Reserved | None:
        """Hand over what waits, and return what has come to the volume since."""
        done = self._done(now_ns)
        wanted = self._wanted
        is_time = (is_quiet or now_ns >= self._due_ns) and now_ns >= self._not_before_ns
        if wanted is not None and self._going is None and is_time:
            self._wanted, self._going = None, wanted
            self._writer.send(write_reservation, self._path, wanted.reservation)
        return done

    def close(self) -> None:
        """Wait for nothing: what is on its way concerns a run that has ended."""
        self._writer.close()

    def _done(self, now_ns: int) -> Reserved | None:
        if self._going is None or not self._writer.is_free():
            return None
        wanted, self._going = self._going, None
        if self._writer.has_failed:
            self._wanted = self._wanted or wanted
            self._not_before_ns = now_ns + RETRY_NS
            return None
        made = wanted.reservation
        return Reserved(at_ns=now_ns, run=made.run, attempt=made.attempt, cycle=wanted.cycle)
