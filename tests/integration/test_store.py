"""Samples on a real PostgreSQL: once, whole, attributed, and nothing lost silently."""

import asyncio
import datetime
import uuid

import msgspec
import pytest

from ald.errors import RefusedError, StoreError
from ald.plant.model import digest
from ald.records.event import (
    LinkChanged,
)
from ald.store.batch import Plants
from ald.store.database import Database, DatabaseSettings
from ald.store.model import Undecodable
from fixtures.history import FEED, query, store_all, value
from unit.store.feeds import MACHINE, PLANT, RUN, WALL, Feed, started

pytestmark = pytest.mark.integration


async def test_every_value_of_every_scan_is_stored_with_its_time_and_quality(history, database):
    feed = Feed(FEED)
    feed.load(PLANT)
    feed.scan(values=[1.5, 20.0, 1.0])
    feed.scan(values=[2.5, float("nan"), 0.0], qualities=[2, 0, 1])
    (stored,) = await store_all(history, feed.batch())
    assert (stored.applied, stored.scans, stored.events, stored.samples) == (True, 2, 1, 6)
    rows = query(
        database,
        "SELECT p.name, h.value, h.quality, h.timestamp FROM parameter_value_history h "
        "JOIN component_parameters p ON p.id = h.parameter_id ORDER BY h.feed_position, h.id",
    )
    first = datetime.datetime.fromtimestamp(WALL / 1e9, datetime.UTC)
    assert [row[:3] for row in rows] == [
        ("heater.temperature-read", 1.5, 2),
        ("mfc.flow-read", 20.0, 2),
        ("valve.tma", 1.0, 2),
        ("heater.temperature-read", 2.5, 2),
        ("mfc.flow-read", None, 0),
        ("valve.tma", 0.0, 1),
    ]
    assert rows[0][3] == first + datetime.timedelta(seconds=1)
    assert value(database, "SELECT count(*) FROM process_data_points") == 0


@pytest.mark.requirement("DI-01")
async def test_during_a_run_both_tables_get_each_value_with_one_transaction_id_a_scan(
    history, database
):
    feed = Feed(FEED)
    feed.load(PLANT)
    feed.scan()
    feed.scan(run=RUN)
    feed.scan(run=RUN)
    await store_all(history, feed.batch())
    assert value(database, "SELECT count(*) FROM parameter_value_history") == 9
    assert value(database, "SELECT count(*) FROM process_data_points") == 6
    twins = (
        "SELECT count(*) FROM process_data_points d JOIN parameter_value_history h "
        "USING (id, parameter_id, value, quality, timestamp, transaction_id, feed_position) "
        "WHERE d.process_id = %s"
    )
    assert value(database, twins, RUN) == 6
    per_scan = (
        "SELECT count(DISTINCT transaction_id), count(DISTINCT id) FROM parameter_value_history"
    )
    assert query(database, per_scan) == [(3, 9)]
    assert (
        value(
            database, "SELECT count(*) FROM scans s JOIN process_data_points USING (transaction_id)"
        )
        == 6
    )


@pytest.mark.requirement("DI-01")
async def test_a_value_that_one_table_refuses_is_in_neither(history, database):
    query(database, "ALTER TABLE process_data_points ADD CHECK (value <> 42)")
    feed = Feed(FEED)
    feed.load(PLANT)
    feed.scan(run=RUN, values=[1.0, 42.0, 0.0])
    (stored,) = await store_all(history, feed.batch())
    assert stored.rejected == 1
    assert value(database, "SELECT count(*) FROM parameter_value_history") == 2
    assert value(database, "SELECT count(*) FROM process_data_points") == 2


@pytest.mark.requirement("DI-02")
async def test_values_belong_to_the_run_of_their_scan_through_a_hundred_changes(history, database):
    feed = Feed(FEED)
    feed.load(PLANT)
    runs = [str(uuid.UUID(int=n + 1)) for n in range(100)]
    for run in runs:
        feed.scan(run=run)
        feed.scan()
    await store_all(history, feed.batch())
    found = query(
        database,
        "SELECT s.process_id::text, s.sequence, count(d.id) FROM scans s LEFT JOIN process_data_points d "
        "USING (transaction_id, process_id) GROUP BY s.process_id, s.sequence ORDER BY s.sequence",
    )
    assert found == [
        (runs[n // 2] if n % 2 == 0 else None, n + 1, 3 if n % 2 == 0 else 0) for n in range(200)
    ]


async def test_a_batch_is_stored_once_however_often_it_is_sent(history, database):
    feed = Feed(FEED)
    feed.load(PLANT)
    feed.scan(run=RUN)
    batch = feed.batch()
    first, second, third = await store_all(history, batch, batch, batch)
    assert first.applied
    assert not second.applied
    assert not third.applied
    assert second.position == batch.last
    assert value(database, "SELECT count(*) FROM parameter_value_history") == 3


async def test_two_loggers_at_once_store_each_batch_once(history, database):
    feed = Feed(FEED)
    feed.load(PLANT)
    first = feed.batch()
    rest = []
    for _ in range(20):
        feed.scan(run=RUN)
        rest.append(feed.batch())
    await store_all(history, first)
    other = Database(DatabaseSettings(url=database))
    await other.open()
    cursor = await other.open_feed(MACHINE, FEED)
    try:
        for batch in rest:
            results = await asyncio.gather(
                *(one.write(cursor, batch, {}) for one in (history, other, history, other))
            )
            assert sorted(r.applied for r in results) == [False, False, False, True]
            assert {r.position for r in results} == {batch.last}
    finally:
        await other.close()
    assert value(database, "SELECT count(*) FROM parameter_value_history") == 60


@pytest.mark.requirement("DI-04")
async def test_a_rejected_row_goes_to_the_dead_letters_with_its_reason_and_the_rest_is_stored(
    history, database
):
    query(database, "ALTER TABLE parameter_value_history ADD CONSTRAINT no_42 CHECK (value <> 42)")
    feed = Feed(FEED)
    feed.load(PLANT)
    for n in range(50):
        feed.scan(values=[42.0 if n == 17 else float(n + 100), 1.0, 0.0])
    (stored,) = await store_all(history, feed.batch())
    assert (stored.rejected, stored.samples) == (1, 149)
    assert value(database, "SELECT count(*) FROM parameter_value_history") == 149
    ((kind, reason, detail, position),) = query(
        database, "SELECT kind, reason, detail, feed_position FROM dead_letters"
    )
    assert (kind, position) == ("sample", 19)
    assert "no_42" in reason
    assert detail["value"] == "42.0"


@pytest.mark.requirement("DI-04")
async def test_records_that_cannot_be_read_or_stored_are_set_aside_whole(history, database):
    feed = Feed(FEED)
    feed.load(PLANT)
    feed.add("event", b"\xc1", Undecodable(reason="no event of this version"))
    feed.scan(plant_digest="ab" * 32)
    feed.scan(values=[1.0])
    feed.event(LinkChanged(at_ns=0, wall_ns=WALL, connected=True, message="nul \x00 inside"))
    feed.event(started())
    feed.scan(run=RUN)
    batch = feed.batch()
    (stored,) = await store_all(history, batch)
    assert stored.rejected == 4
    letters = query(
        database,
        "SELECT feed_position, kind, reason, body FROM dead_letters ORDER BY feed_position",
    )
    assert [(p, k) for p, k, _, _ in letters] == [
        (2, "event"),
        (3, "scan"),
        (4, "scan"),
        (5, "event"),
    ]
    bodies = {item.position: item.body for item in batch.items}
    assert all(body == bodies[position] for position, _, _, body in letters)
    assert "not known" in letters[1][2]
    assert "has 1 values, its plant has 3 signals" in letters[2][2]
    assert value(database, "SELECT count(*) FROM process_data_points") == 3
    assert value(database, "SELECT name FROM process_executions") == "first"


@pytest.mark.requirement("DI-04")
async def test_a_batch_that_is_rejected_row_by_row_stays_with_the_gateway(history, database):
    query(database, "ALTER TABLE parameter_value_history ADD CONSTRAINT never CHECK (value < -1)")
    feed = Feed(FEED)
    feed.load(PLANT)
    for _ in range(50):
        feed.scan()
    with pytest.raises(RefusedError, match="rejects more than 100"):
        await store_all(history, feed.batch())
    assert value(database, "SELECT position FROM feeds") == 0
    assert value(database, "SELECT count(*) FROM dead_letters") == 0


async def test_a_database_that_goes_away_in_mid_batch_leaves_nothing_behind(history, database):
    feed = Feed(FEED)
    feed.load(PLANT)
    for _ in range(3):
        feed.scan(run=RUN)
    batch = feed.batch()
    query(
        database,
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$; "
        "CREATE TRIGGER die BEFORE INSERT ON process_data_points FOR EACH ROW EXECUTE FUNCTION die()",
    )
    with pytest.raises(StoreError):
        await store_all(history, batch)
    for table in ("parameter_value_history", "process_data_points", "scans", "plants"):
        assert value(database, f"SELECT count(*) FROM {table}") == 0
    query(database, "DROP TRIGGER die ON process_data_points")
    (stored,) = await store_all(history, batch)
    assert stored.applied
    assert value(database, "SELECT count(*) FROM process_data_points") == 9


async def test_a_gap_in_the_feed_is_on_record(history, database):
    feed = Feed(FEED)
    feed.load(PLANT)
    feed.scan()
    first = feed.batch()
    feed.skip(10)
    feed.scan()
    feed.scan()
    second = feed.batch()
    feed.scan()
    stored = await store_all(history, first, second, feed.batch())
    assert [s.gap for s in stored] == [0, 10, 0]
    assert query(
        database,
        "SELECT first_position, last_position, gap, scans, events FROM feed_segments ORDER BY 1",
    ) == [(1, 2, 0, 1, 1), (13, 15, 10, 3, 0)]
    assert "no longer had" in value(database, "SELECT reason FROM feed_segments WHERE gap > 0")


async def test_of_plants_that_come_and_go_only_the_one_in_use_is_remembered(history):
    feed = Feed(FEED)
    known: Plants = {}
    cursor = await history.open_feed(MACHINE, FEED)
    plants = [msgspec.structs.replace(PLANT, generation=n) for n in range(1, 4)]
    for plant in plants:
        feed.load(plant)
        feed.scan(plant_digest=digest(plant))
        await history.write(cursor, feed.batch(), known)
        assert list(known) == [digest(plant)]
    feed.event(LinkChanged(at_ns=0, wall_ns=WALL, connected=True, message=""))
    await history.write(cursor, feed.batch(), known)
    assert list(known) == [digest(plants[-1])], "nothing else has come into use"
    # What is no longer remembered is looked up.
    feed.scan(plant_digest=digest(plants[0]))
    stored = await history.write(cursor, feed.batch(), known)
    assert (stored.scans, stored.rejected) == (1, 0)
