"""How far a run may come before the volume knows of it, so that after a loss of power nothing is done twice.

What the process remembers is lost with power, and no valve waits for a disk. So the volume is told beforehand: up to this cycle
the run may have come. It begins none that is not reserved; the next ones are asked for while some are left, and where the volume
does not take them in time the run holds. A cycle here is one iteration of the innermost loop around a step, or a step outside
all loops that opens a valve. Other steps outside loops are done again by whoever takes the run up, so that they need no reservation.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from ald.engine import counter
from ald.engine.effects import Reservation, Reserve
from ald.engine.inputs import Reserved
from ald.engine.obstacle import Obstacle
from ald.engine.state import Counter, Run
from ald.engine.turn import Turn
from ald.program import together
from ald.program.model import (
    EndLoop,
    Instruction,
    Leaf,
    Loop,
    Program,
    Pulse,
    Purge,
    Together,
    Wait,
)
from ald.program.start_at import RESTORE_MARK
from ald.wire import Reached

AHEAD = 5
"""Cycles that are reserved at once: as many may be uncertain after power was lost."""

HORIZON_NS = 1_500_000_000
"""Where five cycles are shorter than this, so many more are reserved as take so long: a disk needs its time, however short they are."""

AHEAD_MAX = 200
"""And never more, also of cycles that take no time by themselves."""

LEFT_SHARE = 0.6
"""More are asked for when less than this share of them is left: the disk has the time that these take."""

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
    place = (run.index, run.counters)
    is_next = not run.in_cleanup and _is_new(run) and _counts(run.program, place)
    return is_next and run.cycle >= run.reserved


def enter(turn: Turn, following: Leaf | Together) -> None:
    """Count the cycle that the present instruction begins, if it begins one, and ask for more where few are left.

    That takes its time, and waits for a step that has no edge to keep, until half of those are gone too.
    """
    run = turn.run
    if run.in_cleanup:
        return
    if _is_new(run):
        place = (run.index, run.counters)
        counted = run.cycle + _counts(run.program, place)
        turn.change_run(cycle=counted, cycle_place=_key(place))
        run = turn.run
    is_calm = not isinstance(following, Pulse | Together)
    is_urgent = 2 * run.cycle >= run.ask_from + run.asked_cycles
    if run.cycle >= run.ask_from and (is_calm or is_urgent) and not run.is_reserved_whole:
        wanted, made = _walk(run, None)
        turn.change_run(
            asked_cycles=wanted,
            ask_from=_ask_from(run.cycle, wanted),
            is_reserved_whole=made.is_over,
        )
        turn.effects.append(Reserve(cycle=wanted, reservation=made))


def taken(turn: Turn, given: Reserved) -> None:
    """The volume has a reservation; one of another run or attempt says nothing about this one."""
    run = turn.state.run
    if run is not None and (given.run, given.attempt) == (run.identity.uid, run.attempt):
        turn.change_run(reserved=max(run.reserved, given.cycle))


def close(turn: Turn) -> None:
    """Ask the volume to remember that the run is at the end of its steps, or being ended: it is not to be taken up again."""
    run = turn.run
    if run.is_reserved_whole:
        return
    turn.change_run(is_reserved_whole=True)
    made = _made(run, run.reached, run.begun, is_over=True)
    turn.effects.append(Reserve(cycle=run.asked_cycles, reservation=made))


def begun(run: Run) -> Run:
    """Return the run with its first cycles reserved: `first` is on the volume before the run is on record."""
    wanted, _ = _walk(run, None)
    return replace(run, reserved=wanted, asked_cycles=wanted, ask_from=_ask_from(0, wanted))


def first(run: Run) -> Reservation:
    """Return what has to be on the volume before the run begins."""
    return up_to(run, run.reserved)


def up_to(run: Run, cycle: int) -> Reservation:
    """Return how far the run may come with so many cycles begun."""
    return _walk(run, cycle)[1]


class _Stretch(NamedTuple):
    """Steps in a row from a place on, up to the index behind them, and as often again in the iterations that follow."""

    place: Place
    behind: int
    times: int
    is_counted: bool


def _walk(run: Run, upto: int | None) -> tuple[int, Reservation]:
    """Return how many cycles will have begun, and how far the run may come then; `upto` None: as many as are enough."""
    instructions = run.program.instructions
    ordinal, reached = run.begun, run.reached
    cycle, lasting_ns = run.cycle, 0
    for each in _ahead(run):
        index, counters = each.place
        length_ns = sum(_nominal_ns(step) for step in instructions[index : each.behind])
        times = each.times
        if each.is_counted:
            left = (
                _enough(cycle - run.cycle, lasting_ns, length_ns) if upto is None else upto - cycle
            )
            times = min(times, left)
            if times <= 0:
                return cycle, _made(run, reached, ordinal, is_over=False)
            cycle += times
        reached = _reached(run.program, (index, _later(counters, times - 1)), reached)
        # At most so many: the mark of a together is none.
        ordinal += times * (each.behind - index)
        lasting_ns += times * length_ns
        if times < each.times:
            return cycle, _made(run, reached, ordinal, is_over=False)
    # The cleanup may have begun as soon as the last of the steps may be over.
    return max(cycle, run.cycle + AHEAD), _made(run, reached, ordinal, is_over=True)


def _enough(have: int, lasting_ns: int, length_ns: int) -> int:
    """Return how many more cycles of this length are to be reserved, when some are that last so long."""
    by_time = -((lasting_ns - HORIZON_NS) // length_ns) if length_ns else AHEAD_MAX
    return min(max(AHEAD - have, by_time), AHEAD_MAX - have)


def _ahead(run: Run) -> Iterator[_Stretch]:
    """Yield where the steps go from the present one on; a loop that holds no other is told at once, however often it repeats."""
    program = run.program
    index, counters = counter.seek(program, run.index, run.counters)
    is_begun = not _is_new(run)
    while index < program.cleanup:
        place = (index, counters)
        behind = _behind(program, run.marks, place)
        is_counted = not is_begun and _counts(program, place)
        yield _Stretch(place, behind, 1, is_counted)
        is_begun = False
        times = _again(program, run.marks, counters)
        if times:
            counters = _later(counters, 1)
            yield _Stretch((counters[-1].loop + 1, counters), behind, times, is_counted=True)
            counters = _later(counters, times - 1)
        index, counters = counter.seek(program, behind, counters)


def _again(program: Program, marks: tuple[int, ...], counters: tuple[Counter, ...]) -> int:
    """Return how many iterations of the innermost loop are to come, 0 where it holds others."""
    if not counters:
        return 0
    inner = counters[-1]
    loop = program.instructions[inner.loop]
    assert isinstance(loop, Loop), "a counter names a loop"
    is_plain = marks[bisect.bisect_right(marks, inner.loop)] == loop.end
    return loop.final - inner.iteration if is_plain else 0


def _later(counters: tuple[Counter, ...], times: int) -> tuple[Counter, ...]:
    """Return the counters so many iterations of the innermost loop later."""
    if not times:
        return counters
    *outer, inner = counters
    return (*outer, Counter(loop=inner.loop, iteration=inner.iteration + times))


def _ask_from(cycle: int, wanted: int) -> int:
    """Return with which cycle more are to be asked for."""
    return wanted - math.ceil((wanted - cycle) * LEFT_SHARE) + 1


def _nominal_ns(step: Instruction) -> int:
    match step:
        case Pulse(open_ns=open_ns):
            return open_ns
        case Purge(duration_ns=duration_ns) | Wait(duration_ns=duration_ns):
            return duration_ns
        case _:
            return 0


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


def _counts(program: Program, place: Place) -> bool:
    """Tell whether what begins here is a cycle."""
    index, counters = place
    found = program.instructions[index]
    leaves = [found]
    if isinstance(found, Together):
        leaves = [*program.instructions[index + 1 : together.end(found, index)]]
    return bool(counters) or any(isinstance(each, Pulse) for each in leaves)


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
