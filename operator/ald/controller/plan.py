"""What a program would do, as the status of a dry run shows it. Pure."""

from __future__ import annotations

from ald.api.run import PLAN_ROWS_MAX
from ald.controller.apply import Document
from ald.plant.model import Plant
from ald.program.model import Estimate, Program
from ald.program.proof_table import proof_table
from ald.program.table import duration_text, step_table

TEXT_LENGTH_MAX = 400


def plan(program: Program, plant: Plant) -> Document:
    """Return the plan of a dry run: step table, duration, what was proven, openings of each valve."""
    rows = step_table(program, plant)
    openings = sorted(program.estimate.openings.items())
    return {
        "duration": duration(program.estimate),
        "steps": [
            {
                "name": row.name[:TEXT_LENGTH_MAX],
                "kind": row.kind,
                "detail": row.detail[:TEXT_LENGTH_MAX],
                "repeats": row.count,
            }
            for row in rows[:PLAN_ROWS_MAX]
        ],
        "omitted": max(0, len(rows) - PLAN_ROWS_MAX),
        "separations": [
            {
                "group": row.group,
                "valves": list(row.valves),
                "required": row.required[:TEXT_LENGTH_MAX],
                "smallest": row.smallest,
                "before": row.before[:TEXT_LENGTH_MAX],
            }
            for row in proof_table(program, plant)
        ],
        "openings": [{"valve": valve, "count": count} for valve, count in openings],
    }


def duration(estimate: Estimate) -> str:
    """Return how long a program takes: `21m46s`, or `13m..45m` where it waits on the plant."""
    return duration_text(estimate.minimum_ns, estimate.maximum_ns)
