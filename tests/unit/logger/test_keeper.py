import asyncio

import pytest

from ald.errors import RefusedError, StoreError
from ald.logger.keeper import PARTITIONS_INTERVAL_S, RETRY_CAP_S
from unit.logger.played import make


@pytest.mark.looptime
async def test_an_absent_database_is_tried_ever_more_slowly_until_it_serves():
    _, parts, database, _ = make()
    database.errors = [StoreError("refused")] * 20
    async with asyncio.TaskGroup() as group:
        task = group.create_task(parts.keeper.run())
        begin = asyncio.get_running_loop().time()
        await parts.keeper.ready()
        took = asyncio.get_running_loop().time() - begin
        task.cancel()
    assert 14 * RETRY_CAP_S / 2 < took < 20 * RETRY_CAP_S
    assert database.prepared == 21
    assert parts.board.database.ok


@pytest.mark.looptime
async def test_a_schema_that_does_not_fit_is_said_and_looked_at_again():
    _, parts, database, _ = make()
    database.errors = [RefusedError("SchemaNewer", "version 9")] * 3
    async with asyncio.TaskGroup() as group:
        task = group.create_task(parts.keeper.run())
        await asyncio.sleep(0)
        assert parts.board.database.message == "version 9"
        await parts.keeper.ready()
        task.cancel()


@pytest.mark.looptime
async def test_partitions_are_made_every_hour():
    _, parts, database, _ = make()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(parts.keeper.run())
        await asyncio.sleep(PARTITIONS_INTERVAL_S * 3.5)
        task.cancel()
    assert database.partitions == 3
    assert database.prepared == 1


@pytest.mark.looptime
async def test_a_database_lost_twice_is_prepared_anew_twice_and_many_who_say_so_count_once():
    _, parts, database, _ = make()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(parts.keeper.run())
        for _ in range(2):
            await parts.keeper.ready()
            for _ in range(5):
                parts.keeper.lost("gone")
            assert not parts.board.database.ok
        await parts.keeper.ready()
        task.cancel()
    assert database.prepared == 3
