"""How far a run came in the loops of its recipe."""

import msgspec
import psycopg
from psycopg.rows import class_row, dict_row

from ald.program.start_at import RESTORE_MARK
from ald.wire import Reached


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    """One outermost loop of the recipe: the last cycle `begun`, 0 for none, of `count`; the run wanted them from `first` on."""

    name: str
    count: int
    begun: int
    first: int = 1


# A loop that the run begins in the middle of may stand in the program twice.
_LOOPS = (
    "WITH loops AS (SELECT i->>'path' AS path, i->>'name' AS name, max((i->>'count')::bigint) AS count, "
    "min(coalesce((i->>'first')::bigint, 1)) AS first, min(n) AS n "
    "FROM process_executions p, jsonb_array_elements(p.program->'instructions') WITH ORDINALITY AS each (i, n) "
    "WHERE p.id = %(uid)s AND i->>'type' = 'loop' AND (i->>'depth')::int = 0 GROUP BY i->>'path', i->>'name') "
    "SELECT name, count, first, coalesce((SELECT max(s.iterations[1]) FROM step_execution_history s "
    "WHERE s.process_id = %(uid)s AND starts_with(s.step_path, path || '.')), 0) AS begun FROM loops ORDER BY n"
)

_REACHED = (
    "WITH last AS (SELECT coalesce(step_name, '') AS step, iterations FROM step_execution_history "
    "WHERE process_id = %(uid)s AND starts_with(step_path, 'spec.steps') "
    "AND NOT starts_with(coalesce(step_name, ''), %(mark)s) ORDER BY step_number DESC LIMIT 1) "
    "SELECT step, iterations, ARRAY(SELECT max((i->>'count')::bigint) FROM process_executions p, "
    "jsonb_array_elements(p.program->'instructions') AS i WHERE p.id = %(uid)s AND i->>'type' = 'loop' "
    "AND starts_with(i->>'path', 'spec.steps') AND starts_with(step, (i->>'name') || '/') GROUP BY i->>'name' ORDER BY length(i->>'name')) AS counts FROM last"
)


def loops(connection: psycopg.Connection, uid: str) -> tuple[Loop, ...]:
    """Return the outermost loops of a run's program, in its order."""
    return tuple(connection.cursor(row_factory=class_row(Loop)).execute(_LOOPS, {"uid": uid}))


def reached(connection: psycopg.Connection, uid: str) -> Reached | None:
    """Return how far a run came; None before its first step."""
    row = (
        connection.cursor(row_factory=dict_row)
        .execute(_REACHED, {"uid": uid, "mark": RESTORE_MARK})
        .fetchone()
    )
    if row is None:
        return None
    pairs = zip(row["iterations"] or (), row["counts"], strict=False)
    return Reached(step=row["step"], iterations=tuple((int(at), int(count)) for at, count in pairs))
