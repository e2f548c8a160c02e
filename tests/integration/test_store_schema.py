"""The schema on a real PostgreSQL: migrations, partitions, and a database that does not serve."""

import asyncio
import datetime
import uuid

import msgspec
import psycopg
import pytest

from ald.errors import RefusedError, StoreError
from ald.store.database import Database, DatabaseSettings
from ald.store.migrate import Migration, migrate, migrations
from ald.store.partitions import DAYS_AHEAD
from fixtures.history import FEED, TODAY, query, store_all, value
from unit.store.feeds import (
    MACHINE,
    PLANT,
    RUN,
    WALL,
    Feed,
)

pytestmark = pytest.mark.integration


class TestPartitions:
    async def test_there_is_one_a_day_ahead_and_a_default(self, history, database):
        names = {
            row[0]
            for row in query(
                database,
                "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'process_data_points'::regclass",
            )
        }
        assert len(names) == DAYS_AHEAD + 3
        assert {
            "process_data_points_default",
            "process_data_points_20231113",
            "process_data_points_20231121",
        } <= names

    async def test_rows_of_an_unprepared_day_wait_in_the_default_one_and_move(
        self, history, database
    ):
        later = WALL + 30 * 86_400 * 10**9
        feed = Feed(FEED)
        feed.load(PLANT)
        feed.scan(run=RUN, wall_ns=later)
        await store_all(history, feed.batch())
        assert value(database, "SELECT count(*) FROM parameter_value_history_default") == 3
        made = await history.ensure_partitions(TODAY + datetime.timedelta(days=30))
        assert "parameter_value_history_20231214" in made
        assert value(database, "SELECT count(*) FROM parameter_value_history_default") == 0
        assert value(database, "SELECT count(*) FROM parameter_value_history_20231214") == 3

    async def test_two_that_make_them_at_once_do_not_collide(self, history, database):
        other = Database(DatabaseSettings(url=database))
        await other.open()
        day = TODAY + datetime.timedelta(days=100)
        made = await asyncio.gather(history.ensure_partitions(day), other.ensure_partitions(day))
        await other.close()
        assert await history.ensure_partitions(day) == []
        assert {len(m) for m in made} <= set(range(19))

    async def test_a_look_up_by_transaction_uses_an_index(self, history, database):
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("SET enable_seqscan = off")
            for table in ("parameter_value_history", "process_data_points"):
                plan = connection.execute(
                    f"EXPLAIN SELECT * FROM {table} WHERE transaction_id = %s", [uuid.UUID(int=1)]
                ).fetchall()
                assert "transaction_id_idx" in str(plan)


async def connect(database):
    return await psycopg.AsyncConnection.connect(database, autocommit=True)


class TestMigrations:
    @pytest.mark.requirement("DB-MIG")
    async def test_an_empty_database_gets_all_of_them_once(self, database):
        store = Database(DatabaseSettings(url=database))
        assert [m.version for m in await store.prepare(TODAY)] == [m.version for m in migrations()]
        assert await store.prepare(TODAY) == ()

    @pytest.mark.requirement("DB-MIG")
    async def test_two_migrators_at_once_apply_each_once(self, database):
        applied = await asyncio.gather(
            *(Database(DatabaseSettings(url=database)).prepare(TODAY) for _ in range(4))
        )
        assert sorted(len(a) for a in applied) == [0, 0, 0, len(migrations())]

    @pytest.mark.requirement("DB-MIG")
    async def test_a_failed_migration_leaves_the_database_as_it_was(self, database):
        good = Migration(version=1, name="good", sql="CREATE TABLE a (x int)")
        bad = Migration(version=2, name="bad", sql="CREATE TABLE b (x int); SELECT 1 / 0")
        async with await connect(database) as connection:
            with pytest.raises(psycopg.errors.DivisionByZero):
                await migrate(connection, (good, bad))
            tables = await connection.execute(
                "SELECT to_regclass('a') IS NOT NULL, to_regclass('b') IS NOT NULL, "
                "(SELECT max(version) FROM schema_migrations)"
            )
            assert await tables.fetchone() == (True, False, 1)
            repaired = msgspec.structs.replace(bad, sql="CREATE TABLE b (x int)")
            assert await migrate(connection, (good, repaired)) == (repaired,)

    @pytest.mark.requirement("DB-MIG")
    async def test_a_newer_schema_is_refused_by_name(self, database):
        store = Database(DatabaseSettings(url=database))
        await store.prepare(TODAY)
        query(
            database,
            "INSERT INTO schema_migrations (version, name, checksum) VALUES (99, 'future', 'x')",
        )
        with pytest.raises(RefusedError, match=r"version 99 \(future\)") as caught:
            await store.prepare(TODAY)
        assert caught.value.reason == "SchemaNewer"

    async def test_a_changed_migration_is_refused_by_name(self, database):
        store = Database(DatabaseSettings(url=database))
        await store.prepare(TODAY)
        query(database, "UPDATE schema_migrations SET checksum = 'x' WHERE version = 1")
        with pytest.raises(RefusedError, match=r"migration 1 \(history\)"):
            await store.prepare(TODAY)

    @pytest.mark.requirement("DI-06")
    async def test_a_missing_column_or_table_is_refused_by_name(self, database):
        store = Database(DatabaseSettings(url=database))
        await store.prepare(TODAY)
        query(database, "ALTER TABLE scans DROP COLUMN late_ns")
        query(database, "DROP TABLE dead_letters")
        with pytest.raises(RefusedError) as caught:
            await store.prepare(TODAY)
        assert caught.value.reason == "SchemaDamaged"
        assert "column scans.late_ns" in str(caught.value)
        assert "table dead_letters" in str(caught.value)

    @pytest.mark.requirement("DI-06")
    async def test_a_table_that_goes_missing_later_is_named_too(self, history, database):
        query(database, "DROP TABLE process_data_points")
        feed = Feed(FEED)
        feed.load(PLANT)
        feed.scan(run=RUN)
        with pytest.raises(RefusedError, match="process_data_points"):
            await store_all(history, feed.batch())


class TestUnreachable:
    async def test_a_wrong_password_is_said_plainly(self, database):
        wrong = database.replace("only-on-loopback", "wrong")
        with pytest.raises(StoreError, match="correct the password in the connection Secret"):
            await Database(DatabaseSettings(url=wrong)).probe()

    async def test_a_database_that_does_not_exist_is_named(self, postgres):
        with pytest.raises(StoreError, match=r'database "nowhere" does not exist'):
            await Database(DatabaseSettings(url=postgres.dsn("nowhere"))).probe()

    @pytest.mark.requirement("DB-QT-03")
    async def test_a_statement_that_never_returns_is_ended(self, history, database):
        cursor = await history.open_feed(MACHINE, FEED)
        feed = Feed(FEED)
        feed.load(PLANT)
        batch = feed.batch()
        impatient = Database(DatabaseSettings(url=database, lock_timeout_s=1))
        await impatient.open()
        with psycopg.connect(database) as blocker:
            blocker.execute("LOCK TABLE feeds")
            with pytest.raises(StoreError, match="lock timeout"):
                await impatient.write(cursor, batch, {})
        assert (await impatient.write(cursor, batch, {})).applied
        await impatient.close()

    @pytest.mark.requirement("DB-QT-03")
    async def test_a_query_that_never_ends_is_ended(self, history, database):
        query(
            database,
            "CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; "
            "END $$; CREATE TRIGGER doze BEFORE INSERT ON plants FOR EACH ROW EXECUTE FUNCTION doze()",
        )
        impatient = Database(DatabaseSettings(url=database, statement_timeout_s=1))
        await impatient.open()
        feed = Feed(FEED)
        feed.load(PLANT)
        cursor = await history.open_feed(MACHINE, FEED)
        with pytest.raises(StoreError, match="statement timeout"):
            await impatient.write(cursor, feed.batch(), {})
        await impatient.close()

    @pytest.mark.parametrize("url", ["ald:secret@host/db", "postgresql://u:secret@h:port/d?x=y"])
    async def test_an_address_that_is_none_is_said_without_its_password(self, url):
        with pytest.raises(RefusedError, match="the database's address is none") as caught:
            await Database(DatabaseSettings(url=url)).prepare(TODAY)
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None

    @pytest.mark.requirement("INT-09")
    async def test_a_pool_smaller_than_the_load_queues_and_fails_no_write(self, history, database):
        small = Database(DatabaseSettings(url=database, pool_max=2))
        await small.open()
        feeds = [Feed(f"feed-{n}") for n in range(15)]
        for feed in feeds:
            feed.load(PLANT)
            feed.scan()
        machines = [msgspec.structs.replace(MACHINE, name=f"m{n}") for n in range(15)]

        async def one(machine, feed):
            cursor = await small.open_feed(machine, feed.name)
            return await small.write(cursor, feed.batch(), {})

        stored = await asyncio.gather(*(one(m, f) for m, f in zip(machines, feeds, strict=True)))
        assert all(s.applied for s in stored)
        assert small.pool.size <= 2
        await small.close()
