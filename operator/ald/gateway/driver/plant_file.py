"""The accepted configuration on its way to the volume: a thread writes it, so that a volume that hangs takes nobody for dead."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ald.engine.effects import Effect, Journal, UsePlant
from ald.gateway.driver.files import write_plant
from ald.gateway.driver.volume_writer import VolumeWriter
from ald.records.event import RunStarted

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from ald.engine.state import State
    from ald.plant.model import Plant

WAITS_S = 3.0
"""A configuration waits this long for the volume, and is refused then: before whoever waits is taken for dead."""


class PlantFile:
    """What the next executor begins with. One that was refused may have come to the volume all the same, or come yet."""

    def __init__(self, path: Path, *, thread: Executor | None = None) -> None:
        self._path = path
        self._writer = VolumeWriter("plant", thread)
        self._is_doubtful = False

    def before(self, now: State, effects: tuple[Effect, ...]) -> None:
        """Keep what the effects take into use; before a run begins what is in use, where another one may lie there.

        Whoever has to end the run would otherwise look for its valves where that one has them.

        Raises:
            OSError: the volume does not take it, which must not be used then.
        """
        for effect in effects:
            if isinstance(effect, UsePlant):
                self._keep(effect.plant)
            elif isinstance(effect, Journal) and isinstance(effect.event, RunStarted):
                assert now.layout is not None, "a run needs a configuration"
                if self._is_doubtful:
                    self._keep(now.layout.plant)

    def close(self) -> None:
        """Wait for nothing."""
        self._writer.close()

    def _keep(self, plant: Plant) -> None:
        if not self._writer.is_free():
            raise OSError(errno.EBUSY, "a configuration is still on its way to it")
        self._is_doubtful = True
        self._writer.send(write_plant, self._path, plant)
        self._writer.taken(WAITS_S)
        self._is_doubtful = False
