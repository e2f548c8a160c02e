"""Bring a database to the schema of this program: numbered files, each once, each whole or not at all."""

import hashlib
import re
from collections.abc import Sequence
from importlib import resources

import msgspec
from psycopg import AsyncConnection

from ald.errors import RefusedError
from ald.store.errors import SCHEMA_CHANGED, SCHEMA_NEWER

LOCK = 0x616C645F6D696772
"""Key of the advisory lock that migrators take, the letters `ald_migr`."""

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the schema; `checksum` is the SHA-256 of `sql`."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """One step that a database has had."""

    version: int
    name: str
    checksum: str


def migrations() -> tuple[Migration, ...]:
    """Return the migrations that this program carries, in order from 1 without a gap."""
    found = []
    for file in resources.files("ald.store").joinpath("migrations").iterdir():
        match = _FILE.fullmatch(file.name)
        if match is not None:
            found.append(
                Migration(version=int(match[1]), name=match[2], sql=file.read_text("utf-8"))
            )
    found.sort(key=lambda m: m.version)
    assert [m.version for m in found] == list(range(1, len(found) + 1)), "numbered from 0001"
    return tuple(found)


def pending(known: Sequence[Migration], applied: Sequence[Applied]) -> tuple[Migration, ...]:
    """Return what a database still needs.

    Raises:
        RefusedError: it has had migrations that this program does not know (`SchemaNewer`), or others than these
            (`SchemaChanged`).
    """
    by_version = {m.version: m for m in known}
    for done in applied:
        mine = by_version.get(done.version)
        if mine is None:
            raise RefusedError(
                SCHEMA_NEWER,
                f"the database has schema version {done.version} ({done.name}), this program knows up to "
                f"{len(known)}; run the program of that version or a newer one",
            )
        if mine.checksum != done.checksum:
            raise RefusedError(
                SCHEMA_CHANGED,
                f"migration {done.version} ({done.name}) of the database is not the one of this program; "
                "they come from different builds: run the build that made this database",
            )
    return tuple(m for m in known if m.version not in {d.version for d in applied})


async def migrate(
    connection: AsyncConnection, known: Sequence[Migration] | None = None
) -> tuple[Migration, ...]:
    """Apply what is missing and return it; of two migrators at once the second waits and finds nothing to do.

    Each migration is one transaction with its own record, so that one that fails leaves the database as it was.
    `connection` is in autocommit mode and without an open transaction.

    Raises:
        RefusedError: see `pending`.
        psycopg.Error: a migration failed.
    """
    assert connection.autocommit, "each migration opens its own transaction"
    known = migrations() if known is None else known
    await connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    try:
        todo = pending(known, await _applied(connection))
        for migration in todo:
            async with connection.transaction():
                await connection.execute(migration.sql.encode())
                await connection.execute(
                    "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
                    [migration.version, migration.name, migration.checksum],
                )
    finally:
        if not connection.closed:
            await connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
    return todo


async def _applied(connection: AsyncConnection) -> list[Applied]:
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        "version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, "
        "applied_at timestamptz NOT NULL DEFAULT now())"
    )
    rows = await connection.execute(
        "SELECT version, name, checksum FROM schema_migrations ORDER BY version"
    )
    return [Applied(version=v, name=n, checksum=c) for v, n, c in await rows.fetchall()]
