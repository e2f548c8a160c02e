"""The gateways, remembered in the database, so that the logger starts without the API server."""

import asyncio

from ald.errors import RefusedError, StoreError
from ald.logger.keeper import Keeper
from ald.store.database import Database, Endpoint


class Memory:
    """Writes down the latest list, however often it changes meanwhile."""

    def __init__(self, database: Database, keeper: Keeper, installation: str) -> None:
        self._database = database
        self._keeper = keeper
        self._installation = installation
        self._latest: list[Endpoint] | None = None
        self._changed = asyncio.Event()

    @property
    def kept(self) -> bool:
        """Whether there is a list newer than what the database may remember."""
        return self._latest is not None

    def keep(self, endpoints: list[Endpoint]) -> None:
        """Have this list written down."""
        self._latest = endpoints
        self._changed.set()

    async def run(self) -> None:
        """Write down for ever."""
        while True:
            await self._changed.wait()
            await self._keeper.ready()
            self._changed.clear()
            try:
                await self._database.remember(self._installation, self._latest or [])
            except (StoreError, RefusedError) as error:
                self._changed.set()
                self._keeper.lost(str(error))

    async def recall(self) -> list[Endpoint]:
        """Return what was written down last, as soon as the database serves."""
        while True:
            await self._keeper.ready()
            try:
                return await self._database.endpoints(self._installation)
            except (StoreError, RefusedError) as error:
                self._keeper.lost(str(error))
