"""What the history knows of one run: facts, steps, pulses, traces, and whether anything of it is missing. Reads only."""

import contextlib
import datetime
from collections.abc import Iterator
from typing import Any, Literal, LiteralString

import msgspec
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import class_row, dict_row

from ald.errors import NotFoundError
from ald.store.errors import translated
from ald.store.report_cycles import Loop, loops, reached
from ald.store.widths import Pulse, Widths, widths
from ald.wire import Reached

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 300
"""Longest statement; a day of a thousand parameters takes a minute."""

POINTS_MAX = 40
"""Points of a trace: equal parts of the run's time, each the mean of what was measured in it."""

NAMES_SHOWN_MAX = 10
"""Runs named when the one asked for is not there."""

Table = Literal["pulses", "samples", "steps"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """All executions of one leaf of the recipe. Times in seconds, None where none of them has ended."""

    path: str
    name: str
    kind: str
    count: int
    failed: int
    shortest_s: float | None
    median_s: float | None
    longest_s: float | None


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One signal over the run. `bad` of its `count` values are missing; a point is None where all are."""

    name: str
    unit: str
    count: int
    bad: int
    minimum: float | None
    mean: float | None
    maximum: float | None
    points: tuple[float | None, ...]


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """The stretch of a gateway's feed that holds the run; `missing` positions in it were never stored."""

    feed: str
    first: int
    last: int
    missing: int
    reasons: tuple[str, ...]


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the run: there are `values`, and by its scans there should be `expected`; `rejected` ones are dead letters."""

    scans: int
    values: int
    expected: int
    rejected: int
    feeds: tuple[Feed, ...]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the run as a whole, with its recipe's limits of a pulse's width error; None or empty where not on record.

    `attempts` above 1: it was taken up after restarts of the gateway. `exact` False: power was lost, and the run may have come
    further than the record.
    """

    uid: str
    namespace: str
    name: str
    machine_id: int
    machine: str
    recipe: str
    inputs: dict[str, float | int | bool | str]
    status: str
    outcome: str | None
    message: str
    ended_by: str
    started: datetime.datetime | None
    ended: datetime.datetime | None
    step: str
    held: str
    max_error_ns: int | None = None
    max_relative_error: float | None = None
    attempts: int = 1
    exact: bool = True


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one run. `pulses` is empty unless they were asked for."""

    run: Run
    loops: tuple[Loop, ...]
    steps: tuple[Step, ...]
    widths: Widths
    traces: tuple[Trace, ...]
    stored: Stored
    reached: Reached | None = None
    pulses: tuple[Pulse, ...] = ()


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which run: by name or uid, in a namespace (empty: any) of an installation (empty: any). The last one of a name counts."""

    name: str
    namespace: str = ""
    installation: str = ""


def read_report(url: str, wanted: Wanted, *, pulses: bool) -> Report:
    """Return the report of a run, all of it as of one moment; an empty `url` means libpq's own variables.

    Raises:
        NotFoundError: there is no such run; names some that there are.
        StoreError: the database does not serve now.
        RefusedError: its schema does not fit.
    """
    with _connection(url) as connection:
        run = _run(connection, wanted)
        rows = _pulses(connection, run.uid)
        return Report(
            run=run,
            loops=loops(connection, run.uid),
            reached=reached(connection, run.uid),
            steps=_steps(connection, run.uid),
            widths=widths(rows),
            traces=_traces(connection, run.uid),
            stored=_stored(connection, run),
            pulses=rows if pulses else (),
        )


def read_csv(url: str, wanted: Wanted, table: Table) -> Iterator[bytes]:
    """Yield one table of a run as CSV with a header, in pieces. Raises as `read_report`."""
    with _connection(url) as connection:
        run = _run(connection, wanted)
        with connection.cursor().copy(
            _COPY.format(_CSV[table]), {"uid": run.uid, "time": _TIME}
        ) as copy:
            for piece in copy:
                yield bytes(piece)


@contextlib.contextmanager
def _connection(url: str) -> Iterator[psycopg.Connection]:
    """Give a connection that can change nothing and sees one moment."""
    with translated("reading the history"):
        options = {
            "statement_timeout": STATEMENT_TIMEOUT_S * 1000,
            "default_transaction_read_only": "on",
            "default_transaction_isolation": r"repeatable\ read",
            "timezone": "UTC",
        }
        address = make_conninfo(
            url,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="ald-report",
            options=" ".join(f"-c {name}={value}" for name, value in options.items()),
        )
        with psycopg.connect(address) as connection:
            yield connection


_PLACES = sql.SQL(
    " FROM process_executions p JOIN machines m ON m.id = p.machine_id "
    "WHERE (%(namespace)s = '' OR coalesce(p.namespace, m.namespace) = %(namespace)s) "
    "AND (%(installation)s = '' OR m.installation = %(installation)s) "
)

_RUN = sql.SQL(
    "SELECT p.id::text AS uid, coalesce(p.namespace, m.namespace) AS namespace, coalesce(p.name, '') AS name, "
    "m.id AS machine_id, m.name AS machine, coalesce(p.program->>'recipe', '') AS recipe, "
    "coalesce(p.program->'inputs', '{}') AS inputs, p.status, p.outcome, coalesce(p.error_message, '') AS message, "
    "coalesce(p.ended_by, '') AS ended_by, p.start_time AS started, p.end_time AS ended, "
    "coalesce((SELECT s.current_step_name FROM process_execution_state s WHERE s.execution_id = p.id), '') AS step, "
    "coalesce((SELECT s.held FROM process_execution_state s WHERE s.execution_id = p.id), '') AS held, "
    "(p.program->'timing'->>'max_error_ns')::bigint AS max_error_ns, "
    "(p.program->'timing'->>'max_relative_error')::float AS max_relative_error, "
    # The logger leaves the counts out where the run's end does not know them.
    "p.attempts, (p.outcome IS NULL OR p.leaves_done IS NOT NULL) AS exact"
)
_NAMED = sql.SQL("AND (p.name = %(name)s OR p.id::text = %(name)s) ")
_NAMES = sql.SQL("SELECT coalesce(p.name, p.id::text)")
_LAST = sql.SQL("ORDER BY p.start_time DESC NULLS LAST LIMIT %(limit)s")


def _run(connection: psycopg.Connection, wanted: Wanted) -> Run:
    if connection.execute("SELECT to_regclass('process_executions')").fetchone() == (None,):
        raise NotFoundError(
            "this database holds no history yet; the logger makes it when it first starts"
        )
    values = msgspec.structs.asdict(wanted)
    cursor = connection.cursor(row_factory=class_row(Run))
    found = cursor.execute(_RUN + _PLACES + _NAMED + _LAST, {**values, "limit": 1}).fetchone()
    if found is not None:
        return found
    others = {**values, "limit": NAMES_SHOWN_MAX}
    rows = connection.execute(_NAMES + _PLACES + _LAST, others).fetchall()
    where = f" in namespace {wanted.namespace}" if wanted.namespace else ""
    names = f"the last ones there are {', '.join(row[0] for row in rows)}" if rows else ""
    raise NotFoundError(
        f"no run named {wanted.name}{where} is on record; {names or 'there is none at all'}"
    )


def _steps(connection: psycopg.Connection, uid: str) -> tuple[Step, ...]:
    cursor = connection.cursor(row_factory=class_row(Step)).execute(
        "SELECT coalesce(step_path, '') AS path, coalesce(step_name, '') AS name, coalesce(step_type, '') AS kind, "
        "count(*) AS count, count(*) FILTER (WHERE error <> '') AS failed, min(s)::float AS shortest_s, "
        "percentile_cont(0.5) WITHIN GROUP (ORDER BY s) AS median_s, max(s)::float AS longest_s "
        "FROM (SELECT *, extract(epoch FROM ended_at - started_at)::float AS s FROM step_execution_history "
        "WHERE process_id = %s) AS each GROUP BY step_path, step_name, step_type ORDER BY min(step_number)",
        [uid],
    )
    return tuple(cursor.fetchall())


# A pulse is whole when its end is confirmed and its step ended without an error: nothing cut it short.
_PULSES: LiteralString = (
    "SELECT a.step_sequence AS ordinal, coalesce(a.step_name, '') AS step, a.target AS valve, "
    "coalesce(a.iterations, '{}') AS iterations, a.plc_write_start_time AS opened, a.duration_ns AS open_ns, "
    "CASE WHEN a.plc_write_start_time IS NOT NULL AND a.plc_close_start_time IS NOT NULL THEN a.error_ns END AS error_ns, "
    "a.uncertainty_ns, a.final_status AS outcome, "
    "a.final_status = 'Confirmed' AND (a.error_ns IS NOT NULL OR coalesce(a.timed_by, '') = 'plc') "
    "AND coalesce(s.error, '') = '' AS whole, coalesce(a.timed_by, '') = 'plc' AS by_plc "
    "FROM recipe_execution_audit a LEFT JOIN step_execution_history s "
    "ON s.process_id = a.process_id AND s.step_number = a.step_sequence "
    "WHERE a.process_id = %(uid)s AND a.operation_type = 'valve' ORDER BY a.step_sequence"
)


def _pulses(connection: psycopg.Connection, uid: str) -> tuple[Pulse, ...]:
    cursor = connection.cursor(row_factory=dict_row).execute(_PULSES, {"uid": uid})
    return tuple(Pulse(**{**row, "iterations": tuple(row["iterations"])}) for row in cursor)


def _traces(connection: psycopg.Connection, uid: str) -> tuple[Trace, ...]:
    """Return all signals in the order in which they were first known."""
    cursor = connection.cursor(row_factory=dict_row).execute(
        # The scans' times bound the search to the partitions that hold the run.
        "WITH run AS (SELECT min(timestamp) AS low, max(timestamp) AS high FROM scans WHERE process_id = %(uid)s), "
        "parts AS (SELECT d.parameter_id AS id, least(%(points)s - 1, floor(%(points)s * extract(epoch FROM d.timestamp - low) "
        "/ greatest(extract(epoch FROM high - low), 1e-6)))::int AS part, count(*) AS count, count(value) AS good, "
        "min(value) AS low, max(value) AS high, avg(value) AS mean FROM process_data_points d, run "
        "WHERE d.process_id = %(uid)s AND d.timestamp BETWEEN run.low AND run.high GROUP BY 1, 2) "
        "SELECT c.name, c.unit, sum(count)::bigint AS count, (sum(count) - sum(good))::bigint AS bad, min(low) AS minimum, "
        "max(high) AS maximum, sum(mean * good) / nullif(sum(good), 0)::float AS mean, "
        "jsonb_object_agg(part, mean) AS points "
        "FROM parts JOIN component_parameters c USING (id) GROUP BY c.id, c.name, c.unit ORDER BY c.id",
        {"uid": uid, "points": POINTS_MAX},
    )
    return tuple(_trace(row) for row in cursor)


def _trace(row: dict[str, Any]) -> Trace:
    parts: dict[str, float | None] = row.pop("points")
    last = max(int(part) for part in parts)
    return Trace(**row, points=tuple(parts.get(str(part)) for part in range(last + 1)))


def _stored(connection: psycopg.Connection, run: Run) -> Stored:
    cursor = connection.cursor(row_factory=dict_row).execute(
        "SELECT count(*) AS scans, coalesce(sum(signals), 0)::bigint AS expected, (SELECT count(*) FROM process_data_points "
        "WHERE process_id = %(uid)s) AS values FROM scans WHERE process_id = %(uid)s",
        {"uid": run.uid},
    )
    row = cursor.fetchone()
    assert row is not None, "an aggregate has one row"
    feeds = _feeds(connection, run)
    rejected = sum(_rejected(connection, feed) for feed in feeds)
    return Stored(**row, rejected=rejected, feeds=feeds)


def _feeds(connection: psycopg.Connection, run: Run) -> tuple[Feed, ...]:
    """Return where the run lies: from its first record to its last; a gap counts when it ends within."""
    cursor = connection.cursor(row_factory=dict_row).execute(
        "WITH stretch AS (SELECT feed, min(feed_position) AS first, max(feed_position) AS last FROM ("
        "SELECT feed, feed_position FROM scans WHERE process_id = %(uid)s UNION ALL "
        "SELECT feed, feed_position FROM machine_events WHERE machine_id = %(machine_id)s AND process_id = %(uid)s "
        "AND timestamp BETWEEN least(%(started)s, %(ended)s) AND greatest(%(started)s, %(ended)s)) AS records GROUP BY feed) "
        "SELECT r.feed, r.first, r.last, coalesce(sum(s.gap), 0)::bigint AS missing, "
        "coalesce(array_agg(DISTINCT s.reason) FILTER (WHERE s.reason <> ''), '{}') AS reasons "
        "FROM stretch r LEFT JOIN feed_segments s ON s.feed = r.feed AND s.gap > 0 "
        "AND s.first_position > r.first AND s.first_position <= r.last GROUP BY r.feed, r.first, r.last ORDER BY r.feed",
        {
            "uid": run.uid,
            "machine_id": run.machine_id,
            "started": run.started,
            "ended": run.ended,
        },
    )
    return tuple(Feed(**{**row, "reasons": tuple(row["reasons"])}) for row in cursor)


def _rejected(connection: psycopg.Connection, feed: Feed) -> int:
    cursor = connection.execute(
        "SELECT count(*) FROM dead_letters WHERE feed = %s AND feed_position BETWEEN %s AND %s",
        [feed.feed, feed.first, feed.last],
    )
    row = cursor.fetchone()
    return int(row[0]) if row is not None else 0


_TIME = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'

_CSV: dict[Table, sql.Composable] = {
    "pulses": sql.SQL(
        "SELECT ordinal, step, valve, array_to_string(iterations, '/') AS iterations, to_char(opened, %(time)s) AS opened, "
        "open_ns, error_ns, uncertainty_ns, outcome, whole, by_plc FROM ({}) AS pulses"
    ).format(sql.SQL(_PULSES)),
    "steps": sql.SQL(
        "SELECT step_number AS ordinal, step_path AS path, step_name AS step, step_type AS kind, "
        "array_to_string(iterations, '/') AS iterations, to_char(started_at, %(time)s) AS started, "
        "to_char(ended_at, %(time)s) AS ended, error FROM step_execution_history WHERE process_id = %(uid)s "
        "ORDER BY step_number"
    ),
    "samples": sql.SQL(
        "SELECT to_char(d.timestamp, %(time)s) AS time, c.name AS parameter, d.value, c.unit, "
        "CASE d.quality WHEN 2 THEN 'good' WHEN 1 THEN 'stale' ELSE 'bad' END AS quality, d.feed_position AS position "
        "FROM process_data_points d JOIN component_parameters c ON c.id = d.parameter_id WHERE d.process_id = %(uid)s "
        "ORDER BY d.timestamp, c.id"
    ),
}
_COPY = sql.SQL("COPY ({}) TO STDOUT WITH (FORMAT csv, HEADER)")
