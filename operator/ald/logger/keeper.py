"""Keeps the database ready: one prober, however many gateways wait for it, so that its return is no storm."""

import asyncio
import contextlib
import datetime
import random

from ald.errors import RefusedError, StoreError
from ald.kit.backoff import delay_s
from ald.kit.clock import Clock
from ald.logger.board import Board
from ald.store.database import Database

RETRY_BASE_S = 0.5
RETRY_CAP_S = 10.0
PARTITIONS_INTERVAL_S = 3600.0
"""How often partitions are made ahead; there are some for days."""


class Keeper:
    """Prepares the database, says when it is ready, and begins anew when somebody found it lost."""

    def __init__(self, database: Database, clock: Clock, board: Board) -> None:
        self._database = database
        self._clock = clock
        self._board = board
        self._ready = asyncio.Event()
        self._lost = asyncio.Event()

    async def ready(self) -> None:
        """Wait until the database serves."""
        await self._ready.wait()

    def lost(self, message: str) -> None:
        """Take note that the database does not serve; it is prepared again before anybody goes on."""
        if self._ready.is_set():
            self._ready.clear()
            self._board.set_database(ok=False, message=message)
            self._lost.set()

    async def run(self) -> None:
        """Keep it ready for ever."""
        attempt = 0
        while True:
            try:
                applied = await self._database.prepare(self._today())
                await self._database.open()
            except (StoreError, RefusedError) as error:
                attempt += 1
                self._board.set_database(ok=False, message=str(error))
                unit = random.random()  # noqa: S311 -- spreads retries, no secret
                await asyncio.sleep(
                    delay_s(attempt, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, unit_random=unit)
                )
                continue
            attempt = 0
            names = ", ".join(m.name for m in applied)
            self._board.set_database(ok=True, message=f"migrated: {names}" if names else "serves")
            self._lost.clear()
            self._ready.set()
            await self._stand_by()

    async def _stand_by(self) -> None:
        """Make partitions now and then, until the database is lost."""
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PARTITIONS_INTERVAL_S):
                    await self._lost.wait()
            if not self._lost.is_set():
                try:
                    await self._database.ensure_partitions(self._today())
                except (StoreError, RefusedError) as error:
                    self.lost(str(error))

    def _today(self) -> datetime.date:
        return datetime.datetime.fromtimestamp(self._clock.wall_ns() / 1e9, datetime.UTC).date()
