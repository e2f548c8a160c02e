"""The database as the logger uses it: a bounded pool, timeouts on everything, our errors only."""

import contextlib
import datetime
import logging
from collections.abc import AsyncIterator

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from ald.errors import RefusedError
from ald.plant.model import Identity
from ald.store import batch as batches
from ald.store import partitions, schema
from ald.store.errors import ADDRESS_INVALID, FEED_TAKEN, translated
from ald.store.migrate import Migration, migrate
from ald.store.model import Batch, Cursor, Stored

CONNECT_TIMEOUT_S = 5
IDLE_TIMEOUT_S = 60
"""Longest pause inside a transaction; a logger that hangs must not hold locks."""

MIGRATION_TIMEOUT_S = 600
"""Longest statement of a migration, and longest wait for another migrator."""

POOL_WAIT_S = 10
"""Longest wait for a free connection of the pool."""


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the database. An empty `url` means libpq's own variables (PGHOST, PGPASSWORD and so on).

    pool_max: connections at most. statement_timeout_s: longest statement; a batch of 100,000 samples takes one second.
    lock_timeout_s: longest wait for a lock, but a migrator waits for another one for `MIGRATION_TIMEOUT_S`.
    """

    url: str = ""
    pool_max: int = 4
    statement_timeout_s: int = 30
    lock_timeout_s: int = 10


class PoolFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The pool now."""

    size: int
    idle: int
    waiting: int


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a machine's gateway is."""

    namespace: str
    name: str
    url: str


class Database:
    """Every method is one or a few short transactions.

    Raises, all of them: StoreError when the database does not serve now, RefusedError when its schema does not fit.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._pool: AsyncConnectionPool[AsyncConnection] | None = None

    async def prepare(self, today: datetime.date) -> tuple[Migration, ...]:
        """Migrate, check the schema and make partitions; return the migrations that were applied."""
        with translated("preparing the schema"):
            async with await self._connect(MIGRATION_TIMEOUT_S, MIGRATION_TIMEOUT_S) as connection:
                applied = await migrate(connection)
                await schema.check(connection)
                await partitions.ensure(connection, today)
        return applied

    async def open(self) -> None:
        """Open the pool; connections are made when they are needed."""
        if self._pool is None:
            logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
            self._pool = AsyncConnectionPool(
                self._address(self._settings.statement_timeout_s, self._settings.lock_timeout_s),
                min_size=0,
                max_size=self._settings.pool_max,
                timeout=POOL_WAIT_S,
                reconnect_timeout=CONNECT_TIMEOUT_S,
                name="ald-logger",
                open=False,
            )
            await self._pool.open()

    async def close(self) -> None:
        """Close the pool."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    @property
    def pool(self) -> PoolFacts:
        """The pool's connections now."""
        facts = self._pool.get_stats() if self._pool is not None else {}
        return PoolFacts(
            size=facts.get("pool_size", 0),
            idle=facts.get("pool_available", 0),
            waiting=facts.get("requests_waiting", 0),
        )

    async def probe(self) -> None:
        """Ask the database for a sign of life on a connection of its own, so that the reason is PostgreSQL's own."""
        with translated("connecting"):
            async with await self._connect(CONNECT_TIMEOUT_S, CONNECT_TIMEOUT_S) as connection:
                await connection.execute("SELECT 1")

    async def ensure_partitions(self, today: datetime.date) -> list[str]:
        """Make the partitions of the days to come and return their names."""
        async with self._connection("making partitions") as connection:
            await connection.set_autocommit(True)
            try:
                return await partitions.ensure(connection, today)
            finally:
                await connection.set_autocommit(False)

    async def latest_feed(self, machine: Identity) -> Cursor | None:
        """Return where the machine's last feed stands, None if it never had one."""
        async with self._connection("looking for a feed") as connection:
            found = await connection.execute(
                "SELECT f.machine_id, f.feed, f.position FROM feeds f JOIN machines m ON m.id = f.machine_id "
                "WHERE m.installation = %s AND m.namespace = %s AND m.name = %s "
                "ORDER BY f.updated_at DESC, f.created_at DESC LIMIT 1",
                [machine.installation, machine.namespace, machine.name],
            )
            row = await found.fetchone()
        return None if row is None else Cursor(machine_id=row[0], feed=row[1], position=row[2])

    async def open_feed(self, machine: Identity, feed: str) -> Cursor:
        """Make machine and feed known, if they are not, and return where the feed stands.

        Raises:
            RefusedError: the feed belongs to another machine, reason `FeedTaken`.
        """
        async with self._connection("opening a feed") as connection:
            found = await connection.execute(
                "INSERT INTO machines (installation, namespace, name) VALUES (%s, %s, %s) "
                "ON CONFLICT (installation, namespace, name) DO UPDATE SET name = excluded.name RETURNING id",
                [machine.installation, machine.namespace, machine.name],
            )
            (machine_id,) = await found.fetchone() or (0,)
            await connection.execute(
                "INSERT INTO feeds (feed, machine_id) VALUES (%s, %s) ON CONFLICT (feed) DO NOTHING",
                [feed, machine_id],
            )
            found = await connection.execute(
                "SELECT machine_id, position FROM feeds WHERE feed = %s", [feed]
            )
            owner, position = await found.fetchone() or (0, 0)
        if owner != machine_id:
            raise RefusedError(
                FEED_TAKEN,
                f"feed {feed} belongs to another machine than {machine.namespace}/{machine.name}; "
                "was its volume copied? Give this gateway an empty volume",
            )
        return Cursor(machine_id=machine_id, feed=feed, position=position)

    async def write(self, cursor: Cursor, batch: Batch, known: batches.Plants) -> Stored:
        """Store a batch in one transaction; see `ald.store.batch.write`."""
        async with self._connection("storing a batch") as connection:
            return await batches.write(connection, cursor, batch, known)

    async def endpoints(self, installation: str) -> list[Endpoint]:
        """Return the gateways that were known last."""
        async with self._connection("reading the gateways") as connection:
            found = await connection.execute(
                "SELECT namespace, name, url FROM gateways WHERE installation = %s ORDER BY namespace, name",
                [installation],
            )
            rows = await found.fetchall()
        return [Endpoint(namespace=ns, name=name, url=url) for ns, name, url in rows]

    async def remember(self, installation: str, endpoints: list[Endpoint]) -> None:
        """Make these the known gateways of an installation."""
        async with self._connection("remembering the gateways") as connection:
            await connection.execute("DELETE FROM gateways WHERE installation = %s", [installation])
            async with connection.cursor() as cursor:
                await cursor.executemany(
                    "INSERT INTO gateways (installation, namespace, name, url) VALUES (%s, %s, %s, %s)",
                    [(installation, e.namespace, e.name, e.url) for e in endpoints],
                )

    async def _connect(self, statement_s: int, lock_s: int) -> AsyncConnection:
        address = self._address(statement_s, lock_s)
        return await AsyncConnection.connect(address, autocommit=True)

    def _address(self, statement_s: int, lock_s: int) -> str:
        """Return what every connection is opened with, on top of the user's own settings."""
        options = {
            "statement_timeout": statement_s * 1000,
            "lock_timeout": lock_s * 1000,
            "idle_in_transaction_session_timeout": IDLE_TIMEOUT_S * 1000,
            "timezone": "UTC",
        }
        try:
            return make_conninfo(
                self._settings.url,
                connect_timeout=CONNECT_TIMEOUT_S,
                application_name="ald-logger",
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=30_000,
                options=" ".join(f"-c {name}={value}" for name, value in options.items()),
            )
        except psycopg.ProgrammingError:
            # Without a cause: libpq's message would show the password.
            raise RefusedError(
                ADDRESS_INVALID,
                "the database's address is none; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
                "with special characters in it percent-encoded",
            ) from None

    @contextlib.asynccontextmanager
    async def _connection(self, doing: str) -> AsyncIterator[AsyncConnection]:
        assert self._pool is not None, "the pool is open"
        with translated(doing):
            async with self._pool.connection() as connection:
                try:
                    yield connection
                finally:
                    if connection.broken:
                        # The pool only forgets it: its socket would stay, in CLOSE_WAIT, until garbage is collected.
                        connection.pgconn.finish()
