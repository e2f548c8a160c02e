"""Where a run wants its program to begin."""

from ald.api.run import StartAt
from ald.plant.model import Plant
from ald.program.model import Program
from ald.program.start_at import start_at
from ald.program.start_place import Start


def begin(program: Program, wanted: StartAt | None, plant: Plant) -> Program:
    """Return the program as a run begins it; None: at its beginning.

    Raises:
        InvalidInputError: it has no such loop or cycle; paths are the run's.
    """
    if wanted is None:
        return program
    start = Start(step=wanted.step, cycle=wanted.cycle, outer_cycles=wanted.outer_cycles)
    return start_at(program, start, plant)
