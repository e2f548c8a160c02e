"""One partition a day (UTC) for each sample table, made ahead; a default one catches what falls outside."""

import datetime

from psycopg import AsyncConnection, sql

TABLES = ("parameter_value_history", "process_data_points")
DAYS_AHEAD = 7
"""Days for which partitions are there in advance: how long the logger may be away before the default one is needed."""


def wanted(today: datetime.date) -> list[datetime.date]:
    """Return the days that need a partition: yesterday, whose last samples may still come, to `DAYS_AHEAD`."""
    return [today + datetime.timedelta(days=n) for n in range(-1, DAYS_AHEAD + 1)]


def name(table: str, day: datetime.date) -> str:
    return f"{table}_{day:%Y%m%d}"


async def ensure(connection: AsyncConnection, today: datetime.date) -> list[str]:
    """Make the partitions that are missing, each in a transaction of its own, and return their names.

    Rows of such a day that lie in the default partition move to the new one.
    """
    made = []
    for table in TABLES:
        present = await _present(connection, table)
        for day in wanted(today):
            if name(table, day) not in present:
                async with connection.transaction():
                    await _make(connection, table, day)
                made.append(name(table, day))
    return made


async def _present(connection: AsyncConnection, table: str) -> set[str]:
    found = await connection.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = %s::regclass",
        [table],
    )
    return {row[0] for row in await found.fetchall()}


async def _make(connection: AsyncConnection, table: str, day: datetime.date) -> None:
    start = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
    names = {
        "part": sql.Identifier(name(table, day)),
        "parent": sql.Identifier(table),
        "rest": sql.Identifier(f"{table}_default"),
        "first": sql.Literal(start),
        "end": sql.Literal(start + datetime.timedelta(days=1)),
    }
    # Of two that make the same partition the second finds it made.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [name(table, day)])
    if name(table, day) in await _present(connection, table):
        return
    for step in (
        "LOCK TABLE {rest} IN ACCESS EXCLUSIVE MODE",
        "CREATE TABLE {part} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        (
            "WITH moved AS (DELETE FROM {rest} WHERE timestamp >= {first} AND timestamp < {end} RETURNING *) "
            "INSERT INTO {part} SELECT * FROM moved"
        ),
        "ALTER TABLE {parent} ATTACH PARTITION {part} FOR VALUES FROM ({first}) TO ({end})",
    ):
        await connection.execute(sql.SQL(step).format(**names))
