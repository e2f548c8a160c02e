"""The history on a real PostgreSQL: once, whole, attributed, and nothing lost silently."""

import asyncio
import datetime
import uuid

import msgspec
import psycopg
import pytest

from ald.errors import RefusedError, StoreError
from ald.plant.model import digest
from ald.records.event import (
    LinkChanged,
    MachineState,
    PulseDone,
    PulseOpening,
    RunEnded,
    RunIdentity,
    RunOutcome,
    RunStarted,
    StateChanged,
    StepEnded,
    StepStarted,
    WriteOutcome,
    Written,
)
from ald.store.batch import Plants
from ald.store.database import Database, DatabaseSettings, Endpoint
from ald.store.migrate import Migration, migrate, migrations
from ald.store.model import Undecodable
from ald.store.partitions import DAYS_AHEAD
from unit.store.feeds import (
    MACHINE,
    PLANT,
    PROGRAM,
    RUN,
    WALL,
    Feed,
)

pytestmark = pytest.mark.integration

TODAY = datetime.date(2023, 11, 14)
FEED = "feed-1"


@pytest.fixture
async def history(database):
    """A database ready for use."""
    store = Database(DatabaseSettings(url=database))
    await store.prepare(TODAY)
    await store.open()
    yield store
    await store.close()


def query(database, sql, *parameters):
    with psycopg.connect(database, autocommit=True) as connection:
        cursor = connection.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def value(database, sql, *parameters):
    ((only,),) = query(database, sql, *parameters)
    return only


async def store_all(history, *batches):
    known: Plants = {}
    cursor = await history.open_feed(MACHINE, batches[0].feed)
    return [await history.write(cursor, batch, known) for batch in batches]


def started(**changes):
    return RunStarted(
        at_ns=0,
        wall_ns=WALL,
        run=RunIdentity(namespace="lab", name="first", uid=RUN),
        recipe_source='{"steps": []}',
        program_digest="d",
        program=PROGRAM,
        **changes,
    )


def ended(outcome=RunOutcome.COMPLETED):
    return RunEnded(
        at_ns=0,
        wall_ns=WALL + 10**9,
        run=RUN,
        outcome=outcome,
        message="",
        by="",
        leaves_done=3,
        pulses=2,
        worst_error_ns=1000,
    )


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


async def test_a_run_leaves_its_recipe_program_steps_pulses_and_outcome(history, database):
    feed = Feed(FEED)
    feed.load(PLANT)
    feed.event(started())
    feed.event(
        StepStarted(
            at_ns=0,
            wall_ns=WALL,
            run=RUN,
            ordinal=1,
            path="spec.steps[0]",
            name="tma",
            step="valve",
            iterations=(1, 2),
        )
    )
    feed.event(PulseOpening(at_ns=0, wall_ns=WALL, run=RUN, ordinal=1, valve="tma", due_ns=5))
    feed.event(
        PulseDone(
            at_ns=10**9,
            wall_ns=WALL + 10**9,
            run=RUN,
            ordinal=1,
            path="spec.steps[0]",
            name="tma",
            iterations=(1, 2),
            valve="tma",
            open_ns=40_000_000,
            due_ns=900_000_000,
            opened_sent_ns=900_100_000,
            opened_ack_ns=902_000_000,
            closed_sent_ns=940_200_000,
            closed_ack_ns=0,
            error_ns=100_000,
            uncertainty_ns=10_000_000,
            outcome=WriteOutcome.UNKNOWN,
        )
    )
    feed.event(StepEnded(at_ns=0, wall_ns=WALL + 10**9, run=RUN, ordinal=1, error=""))
    feed.event(PulseOpening(at_ns=0, wall_ns=WALL, run=RUN, ordinal=2, valve="tma", due_ns=5))
    feed.event(
        Written(
            at_ns=0,
            wall_ns=WALL,
            run="",
            ordinal=0,
            by="safe-state",
            target="valve.tma",
            value=0.0,
            sent_ns=1,
            ack_ns=2_000_001,
            outcome=WriteOutcome.CONFIRMED,
            error="",
        )
    )
    feed.event(ended())
    await store_all(history, feed.batch())
    assert query(
        database,
        "SELECT name, status, outcome, pulses, recipe_version, end_time - start_time FROM process_executions",
    ) == [("first", "completed", "Completed", 2, {"steps": []}, datetime.timedelta(seconds=1))]
    assert query(
        database,
        "SELECT step_number, step_type, step_name, iterations, ended_at - started_at FROM step_execution_history",
    ) == [(1, "valve", "tma", [1, 2], datetime.timedelta(seconds=1))]
    assert query(
        database,
        "SELECT step_sequence, duration_ns, error_ns, plc_write_duration_ms, plc_close_end_time, final_status "
        "FROM recipe_execution_audit WHERE operation_type = 'valve' ORDER BY 1",
    ) == [
        (1, 40_000_000, 100_000, pytest.approx(1.9), None, "Unknown"),
        (2, None, None, None, None, "Initiated"),
    ]
    due, sent = query(
        database,
        "SELECT operation_initiated_at, plc_write_start_time FROM recipe_execution_audit WHERE step_sequence = 1",
    )[0]
    assert sent - due == datetime.timedelta(microseconds=100)
    assert due.timestamp() == pytest.approx(WALL / 1e9 + 0.9)
    assert query(
        database,
        "SELECT process_id, target, target_value, requested_by, plc_write_duration_ms FROM recipe_execution_audit "
        "WHERE operation_type = 'write'",
    ) == [(None, "valve.tma", 0.0, "safe-state", pytest.approx(2.0))]


async def test_the_machine_state_is_the_last_one_said(history, database):
    feed = Feed(FEED)
    feed.event(LinkChanged(at_ns=0, wall_ns=WALL, connected=True, message=""))
    for state, run in ((MachineState.IDLE, ""), (MachineState.EXECUTE, RUN)):
        feed.event(
            StateChanged(
                at_ns=0,
                wall_ns=WALL,
                state=state,
                previous=MachineState.STOPPED,
                reason="RunStarted",
                message="",
                run=run,
            )
        )
    await store_all(history, feed.batch())
    assert query(
        database, "SELECT current_state, process_id::text, plc_connected FROM machine_state"
    ) == [("Execute", RUN, True)]
    assert value(database, "SELECT count(*) FROM machine_events") == 3


async def test_samples_of_a_run_whose_start_is_lost_still_have_a_run(history, database):
    feed = Feed(FEED)
    feed.load(PLANT)
    feed.skip(5)
    feed.scan(run=RUN)
    feed.event(ended(RunOutcome.LINK_LOST))
    await store_all(history, feed.batch())
    assert query(database, "SELECT id::text, name, status FROM process_executions") == [
        (RUN, None, "failed")
    ]


async def test_a_parameter_gets_a_new_id_when_its_meaning_changes_and_only_then(history, database):
    renamed = msgspec.structs.replace(
        PLANT,
        parameters=(
            msgspec.structs.replace(PLANT.parameters[0], description="new words"),
            *PLANT.parameters[1:],
        ),
    )
    rescaled = msgspec.structs.replace(
        PLANT,
        parameters=(msgspec.structs.replace(PLANT.parameters[0], scale=0.1), *PLANT.parameters[1:]),
    )
    feed = Feed(FEED)
    for plant in (PLANT, renamed, rescaled, PLANT):
        feed.load(plant)
        feed.scan(plant_digest=digest(plant))
    await store_all(history, feed.batch())
    found = query(
        database,
        "SELECT h.feed_position, h.parameter_id FROM parameter_value_history h "
        "JOIN component_parameters p ON p.id = h.parameter_id WHERE p.name = 'heater.temperature-read' ORDER BY 1",
    )
    first, second, third, fourth = (number for _, number in found)
    assert first == second
    assert len({second, third, fourth}) == 3
    assert query(
        database,
        "SELECT count(*), count(valid_to) FROM component_parameters WHERE name = 'heater.temperature-read'",
    ) == [(3, 2)]
    assert (
        value(
            database,
            "SELECT count(*) FROM component_parameters WHERE name <> 'heater.temperature-read'",
        )
        == 2
    )


async def test_the_plant_of_an_earlier_batch_is_found_again_after_a_restart(history, database):
    feed = Feed(FEED)
    feed.load(PLANT)
    await store_all(history, feed.batch())
    feed.scan()
    (stored,) = await store_all(history, feed.batch())
    assert (stored.samples, stored.rejected) == (3, 0)


async def test_a_feed_belongs_to_one_machine(history):
    await history.open_feed(MACHINE, FEED)
    other = msgspec.structs.replace(MACHINE, name="other")
    with pytest.raises(RefusedError, match="lab/other"):
        await history.open_feed(other, FEED)


async def test_a_machine_keeps_its_history_under_a_new_uid_and_a_new_feed(history, database):
    second = msgspec.structs.replace(PLANT, identity=msgspec.structs.replace(MACHINE, uid="second"))
    for name, plant in ((FEED, PLANT), ("feed-2", second)):
        feed = Feed(name)
        feed.load(plant)
        await store_all(history, feed.batch())
    assert value(database, "SELECT count(*) FROM machines") == 1
    assert query(database, "SELECT uid FROM machine_uids ORDER BY uid") == [("second",), ("uid-1",)]
    assert (await history.latest_feed(MACHINE)).feed == "feed-2"


async def test_gateways_are_remembered(history):
    known = [
        Endpoint(namespace="lab", name="a", url="https://a"),
        Endpoint(namespace="lab", name="b", url="https://b"),
    ]
    await history.remember("here", known)
    await history.remember("elsewhere", [])
    assert await history.endpoints("here") == known
    await history.remember("here", known[:1])
    assert await history.endpoints("here") == known[:1]


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
