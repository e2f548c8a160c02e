import asyncio

import pytest

from ald.errors import PeerError, RefusedError, StoreError
from ald.logger.follower import RETRY_CAP_S, SAMPLES_A_BATCH_MAX, SIGNALS_GUESSED
from ald.store.errors import SCHEMA_DAMAGED
from unit.logger.played import make
from unit.store.feeds import PLANT, Feed


def feed_of(scans):
    feed = Feed("feed-1")
    feed.load(PLANT)
    for _ in range(scans):
        feed.scan()
    return feed


async def test_the_first_round_opens_the_feed_and_the_next_one_stores_it():
    follower, _, database, client = make()
    client.add(feed_of(2).batch())
    await follower.round()
    assert database.batches == []
    await follower.round()
    assert [b.last for b in database.batches] == [3]
    assert client.committed_to == [("feed-1", 3)]


async def test_a_position_is_confirmed_once():
    follower, _, _, client = make()
    client.add(feed_of(2).batch())
    for _ in range(4):
        await follower.round()
    assert client.committed_to == [("feed-1", 3)]


async def test_it_begins_where_the_history_ends():
    follower, _, database, client = make()
    feed = feed_of(2)
    client.add(feed.batch())
    database.feeds["feed-1"] = 2
    await follower.round()
    assert [(b.after, b.last) for b in database.batches] == [(2, 3)]


async def test_what_another_logger_stored_is_not_stored_again_and_it_goes_on_from_there():
    follower, _, database, client = make()
    feed = feed_of(2)
    client.add(feed.batch())
    await follower.round()
    database.feeds["feed-1"] = 3
    await follower.round()
    assert database.batches == []
    feed.scan()
    client.add(feed.batch())
    await follower.round()
    assert [(b.after, b.last) for b in database.batches] == [(3, 4)]


async def test_large_scans_make_smaller_batches():
    follower, _, _, client = make()
    client.add(feed_of(1).batch())
    await follower.round()
    await follower.round()
    await follower.round()
    assert [most for _, most in client.polls] == [
        SAMPLES_A_BATCH_MAX // SIGNALS_GUESSED,
        SAMPLES_A_BATCH_MAX // SIGNALS_GUESSED,
        5000,
    ]


async def test_a_feed_that_is_shorter_than_the_history_is_refused():
    follower, _, database, client = make()
    database.feeds["feed-1"] = 7
    client.latest = 3
    with pytest.raises(RefusedError, match="ends at 3, but the history has it up to 7"):
        await follower.round()


async def run_for(seconds, coroutine):
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.looptime
async def test_a_gateway_that_is_away_is_asked_ever_more_slowly_and_shown():
    follower, parts, _, client = make()
    client.errors = [PeerError("cannot be reached")] * 1000
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(parts.keeper.run())
        await run_for(600, follower.run())
        keeper.cancel()
    assert 600 / RETRY_CAP_S - 1 <= len(client.polls) <= 2 * 600 / RETRY_CAP_S + 10
    assert parts.board.gateways["lab/reactor"].message == "cannot be reached"
    assert b'cause="gateway"' in parts.metrics.text()


@pytest.mark.looptime
@pytest.mark.parametrize(
    "error", [StoreError("the database is away"), RefusedError(SCHEMA_DAMAGED, "no table scans")]
)
async def test_trouble_of_the_database_is_the_keepers_and_nothing_is_lost(error):
    follower, parts, database, client = make()
    client.add(feed_of(2).batch())
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(parts.keeper.run())
        await asyncio.sleep(0)
        assert database.prepared == 1
        database.errors = [error]
        await run_for(60, follower.run())
        keeper.cancel()
    assert database.prepared == 2
    assert [b.last for b in database.batches] == [3]
    assert parts.board.database.ok


@pytest.mark.looptime
async def test_rounds_keep_their_distance():
    follower, parts, _, client = make()
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(parts.keeper.run())
        await run_for(10, follower.run())
        keeper.cancel()
    assert 19 <= len(client.polls) <= 22
