"""Pausing a run at a hold point: no pulse and no write is under way, so every valve that a pulse opens is shut.

Gas flows and heat stay as they are. A step that only lets time pass is held in its middle, and what is left of its time is
left afterwards; anything else is finished first. What a purge counts while it is paused is what a flow feedback has shown. The
cleanup is not paused.

A paused run for which something else stands in the way says both, and goes on when both are gone.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from ald.engine import counter, demand, hold, obstacle, purge, reservation
from ald.engine.obstacle import Obstacle
from ald.engine.state import Phase, Pulsing, Purging, Ramping, Run, Waiting, Watching, phases
from ald.engine.turn import Turn
from ald.program.model import Leaf, Together
from ald.wire import RunAction


def begin_if_due(turn: Turn) -> bool:
    """Hold the run where that was asked for and here is a hold point; tell whether it is paused now."""
    run = turn.run
    if hold.is_paused(run):
        return True
    if not is_wanted(run) or run.hold is not None or not _is_hold_point(run):
        return False
    for phase in phases(run):
        if isinstance(phase, Purging):
            purge.suspend(turn, phase)
    in_the_way = _in_the_way(turn)
    hold.pause(turn, _message(run, in_the_way), in_the_way.reason if in_the_way else "")
    return True


def review(turn: Turn) -> bool:
    """Say what holds a paused run now, and let it go on where nobody and nothing does any more; tell whether it goes on.

    One that is to stop ends its present step, whatever stands in the way of the next.
    """
    run = turn.run
    if not hold.is_paused(run):
        return False
    in_the_way = _in_the_way(turn)
    reason = in_the_way.reason if in_the_way else ""
    if is_wanted(run):
        hold.keep(turn, hold.PAUSED, _message(run, in_the_way), reason)
    elif in_the_way is not None and not demand.is_stopping(run):
        hold.keep(turn, reason, in_the_way.message, reason)
    else:
        _resume(turn)
        return True
    return False


def is_wanted(run: Run) -> bool:
    """Tell whether the run is to be paused as soon as it can; the cleanup is not paused."""
    return run.asked.action is RunAction.PAUSE and not run.in_cleanup


def _resume(turn: Turn) -> None:
    """Let a paused run go on: the whole schedule lies later by the time that it stood still."""
    run = turn.run
    assert run.hold is not None, "the run is paused"
    stood_ns = turn.at_ns - run.hold.since_ns
    turn.change_run(
        due_ns=run.due_ns + stood_ns,
        slip_ns=run.slip_ns + stood_ns,
        phase=_later(run.phase, stood_ns),
        branches=tuple(
            replace(each, due_ns=each.due_ns + stood_ns, phase=_later(each.phase, stood_ns))
            for each in run.branches
        ),
    )
    hold.end(turn)
    for phase in phases(turn.run):
        if isinstance(phase, Purging):
            purge.go_on(turn, phase)


def _is_hold_point(run: Run) -> bool:
    return all(_may_stand_still(phase) for phase in phases(run))


def _may_stand_still(phase: Phase) -> bool:
    match phase:
        case Waiting() | Watching():
            return True
        case Pulsing():
            return phase.is_ready
        case Ramping(write=write):
            return write is None
        case Purging(write=write, extended=is_extended):
            # One that is drawn out waits for its flow, and says so.
            return write is None and not is_extended
        case _:
            return False


def _later(phase: Phase | None, by_ns: int) -> Phase | None:
    match phase:
        case Waiting() | Purging():
            return replace(phase, end_ns=phase.end_ns + by_ns)
        case Watching():
            # What was true before the pause says nothing about the time of it.
            return replace(phase, deadline_ns=phase.deadline_ns + by_ns, since_ns=None)
        case Ramping():
            return replace(
                phase,
                began_ns=phase.began_ns + by_ns,
                next_ns=phase.next_ns + by_ns,
                end_ns=phase.end_ns + by_ns,
            )
        case _:
            return phase


def _in_the_way(turn: Turn) -> Obstacle | None:
    """Return what stands in the way of what is under way, or comes next, besides that somebody paused the run."""
    found = (obstacle.before(turn.state, each, turn.at_ns) for each in _present(turn.run))
    missing = reservation.MISSING if reservation.is_missing(turn.run) else None
    return next((each for each in found if each is not None), missing)


def _present(run: Run) -> Iterator[Leaf | Together]:
    """Yield the present leaf, or the next one; of branches those of each."""
    indices = [b.index for b in run.branches if b.index < b.end] if run.branches else [run.index]
    for index in indices:
        found = counter.leaf_at(run.program, index)
        if found is not None:
            yield found


def _message(run: Run, in_the_way: Obstacle | None) -> str:
    following = counter.leaf_at(run.program, run.index)
    where = "in" if run.phase is not None or run.branches else "before"
    message = (
        f"paused {where} step {following.name if following else 'none'} by {run.asked.by}: valves are shut, "
        "gas flows and heat stay as they are. "
    )
    if in_the_way is None:
        return f"{message}action: Run goes on"
    return f"{message}Besides, {in_the_way.message}. action: Run goes on once that is over"
