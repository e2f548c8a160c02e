import asyncio

import pytest

from ald.errors import StoreError
from ald.logger.memory import Memory
from ald.store.database import Endpoint
from unit.logger.played import make

A = Endpoint(namespace="lab", name="a", url="https://a")
B = Endpoint(namespace="lab", name="b", url="https://b")


class Remembering:
    """The part of a database that keeps gateways."""

    def __init__(self):
        self.kept = [A]
        self.errors = []

    async def endpoints(self, installation):
        if self.errors:
            raise self.errors.pop(0)
        return self.kept

    async def remember(self, installation, endpoints):
        if self.errors:
            raise self.errors.pop(0)
        self.kept = list(endpoints)


@pytest.mark.looptime
async def test_the_latest_list_is_written_down_even_when_the_database_fails_first():
    _, parts, _, _ = make()
    database = Remembering()
    memory = Memory(database, parts.keeper, "test")  # type: ignore[arg-type]  # -- in the shape of the real one
    database.errors = [StoreError("gone")]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(parts.keeper.run()), group.create_task(memory.run())]
        assert not memory.kept
        memory.keep([A, B])
        memory.keep([B])
        await asyncio.sleep(60)
        for task in tasks:
            task.cancel()
    assert database.kept == [B]
    assert memory.kept


@pytest.mark.looptime
async def test_what_was_written_down_is_recalled_as_soon_as_the_database_serves():
    _, parts, _, _ = make()
    database = Remembering()
    database.errors = [StoreError("gone")]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(parts.keeper.run())
        memory = Memory(database, parts.keeper, "test")  # type: ignore[arg-type]  # -- in the shape of the real one
        assert await memory.recall() == [A]
        task.cancel()
