"""How far a run may come before the volume knows of it, so that after a loss of power nothing is done twice.

What the process remembers is lost with power, and no valve waits for a disk. So the volume is told beforehand: up to this cycle
the run may have come. It begins none that is not reserved; the next ones are asked for while some are left, and where the volume
does not take them in time the run holds. A cycle here is one iteration of the innermost loop around a step, or a step outside
all loops.
"""

from __future__ import annotations

import bisect

from ald.engine import counter
from ald.engine.effects import Reservation, Reserve
from ald.engine.inputs import Reserved
from ald.engine.obstacle import Obstacle
from ald.engine.state import Counter, Run
from ald.engine.turn import Turn
from ald.program import together
from ald.program.model import EndLoop, Loop, Program, Together
from ald.program.start_at import RESTORE_MARK
from ald.wire import Reached

AHEAD = 5
"""Cycles that are reserved at once: as many may be uncertain after power was lost."""

LEFT_MIN = 3
"""More are asked for when fewer than this are left: two whole cycles are the time that the disk has."""

MISSING = Obstacle(
    reason="NotReserved",
    message="the gateway's volume does not take the note of how far the run may come; the run goes on when it does."
    " Free space on it, or look at the disk",
)
"""Why a run holds although nothing is wrong with the plant."""

Place = tuple[int, tuple[Counter, ...]]


def marks_of(program: Program) -> tuple[int, ...]:
    """Return where loops begin and end among the steps, ascending."""
    steps = program.instructions[: program.cleanup]
    return tuple(at for at, each in enumerate(steps) if isinstance(each, Loop | EndLoop))


def is_missing(run: Run) -> bool:
    """Tell whether the present instruction begins a cycle that is not reserved."""
    return not run.in_cleanup and _is_new(run) and run.cycle >= run.reserved


def enter(turn: Turn) -> None:
    """Count the cycle that the present instruction begins, if it begins one, and ask for more where few are left."""
    run = turn.run
    if run.in_cleanup or not _is_new(run):
        return
    turn.change_run(cycle=run.cycle + 1, cycle_place=_key((run.index, run.counters)))
    run = turn.run
    if run.asked_cycles - run.cycle < LEFT_MIN and not run.is_reserved_whole:
        wanted = run.cycle + AHEAD
        made = up_to(run, wanted)
        turn.change_run(asked_cycles=wanted, is_reserved_whole=made.is_over)
        turn.effects.append(Reserve(cycle=wanted, reservation=made))


def taken(turn: Turn, given: Reserved) -> None:
    """The volume has a reservation; one of another run or attempt says nothing about this one."""
    run = turn.state.run
    if run is not None and (given.run, given.attempt) == (run.identity.uid, run.attempt):
        turn.change_run(reserved=max(run.reserved, given.cycle))


def close(turn: Turn) -> None:
    """Ask the volume to remember that the run is being ended: it is not to be taken up again."""
    run = turn.run
    made = _made(run, run.reached, run.begun, is_over=True)
    turn.effects.append(Reserve(cycle=run.asked_cycles, reservation=made))


def first(run: Run) -> Reservation:
    """Return what has to be on the volume before the run begins."""
    return up_to(run, AHEAD)


def up_to(run: Run, cycle: int) -> Reservation:
    """Return how far the run may come with so many cycles begun."""
    program, marks = run.program, run.marks
    index, counters = counter.seek(program, run.index, run.counters)
    begun = run.begun
    reached = run.reached
    for _ in range(run.cycle if not _is_new(run) else run.cycle + 1, cycle + 1):
        if index >= program.cleanup:
            break
        reached = _reached(program, (index, counters), reached)
        behind = _behind(program, marks, (index, counters))
        # At most so many: the mark of a together is none.
        begun += behind - index
        index, counters = counter.seek(program, behind, counters)
    # The cleanup may have begun as soon as the last of the steps may be over.
    return _made(run, reached, begun, is_over=index >= program.cleanup)


def _made(run: Run, reached: Reached, ordinal: int, *, is_over: bool) -> Reservation:
    return Reservation(
        run=run.identity.uid,
        attempt=run.attempt,
        begun=run.reached,
        reached=reached,
        ordinal=ordinal,
        leaves_done=run.leaves_done,
        pulses=run.pulses,
        is_over=is_over,
    )


def _is_new(run: Run) -> bool:
    return run.cycle_place != _key((run.index, run.counters))


def _key(place: Place) -> tuple[int, ...]:
    index, counters = place
    inside = tuple(number for each in counters for number in (each.loop, each.iteration))
    return inside or (index,)


def _reached(program: Program, place: Place, before: Reached) -> Reached:
    """Return the place in the words of the recipe; what only restores has reached nothing."""
    index, counters = place
    found = counter.leaf_at(program, index)
    assert found is not None, "it lies among the steps"
    if found.name.startswith(RESTORE_MARK):
        return before
    return Reached(step=found.name, iterations=counter.iterations(program, counters))


def _behind(program: Program, marks: tuple[int, ...], place: Place) -> int:
    """Return the index behind the cycle that begins at this place."""
    index, counters = place
    if counters:
        return marks[bisect.bisect_right(marks, index)]
    found = program.instructions[index]
    return together.end(found, index) if isinstance(found, Together) else index + 1
