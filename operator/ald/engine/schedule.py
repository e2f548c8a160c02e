"""When a run should end: the shortest course from its beginning, what it has slipped against that, and what its present step adds."""

from collections.abc import Sequence

from ald.engine import demand
from ald.engine.state import Phase, Purging, Ramping, Run, State, Watching
from ald.program.model import Instruction, Pulse, Purge, Wait, WaitFor


def end_ns(state: State, run: Run) -> int | None:
    """Return the monotonic time at which the run should end, None where nobody can tell: steps are or will be left out."""
    if run.failure or run.broken or run.stopped or demand.is_stopping(run):
        return None
    course_ns = run.started_ns + run.program.estimate.minimum_ns + run.slip_ns
    return course_ns + (_longest_ns(state, run) if run.branches else _more_ns(state, run))


def _more_ns(state: State, run: Run) -> int:
    """Return how much longer than its shortest time the present step takes, as far as that is known by now."""
    return _beyond_ns(state, run.phase, run.due_ns)


def _longest_ns(state: State, run: Run) -> int:
    """Return how much later than in the shortest course the last of the branches comes to its end."""
    ends, shortest = [0], [0]
    for each in run.branches:
        rest_ns = _least_ns(run.program.instructions[each.index : each.end])
        more_ns = _beyond_ns(state, each.phase, each.due_ns)
        ends.append(each.due_ns - run.due_ns + more_ns + rest_ns)
        shortest.append(each.nominal_ns + rest_ns)
    return max(0, max(ends) - max(shortest))


def _beyond_ns(state: State, phase: Phase | None, due_ns: int) -> int:
    match phase:
        case Ramping(end_ns=end_ns):
            return end_ns - due_ns
        case Watching(leaf=leaf):
            return max(0, state.seen_ns - due_ns - leaf.stable_ns)
        case Purging(extended=True, end_ns=end_ns):
            return max(0, state.seen_ns - end_ns)
        case _:
            return 0


def _least_ns(steps: Sequence[Instruction]) -> int:
    """Return the shortest time that these steps of a branch take one after another."""
    least_ns = 0
    for each in steps:
        match each:
            case Pulse(open_ns=this_ns) | Purge(duration_ns=this_ns):
                least_ns += this_ns
            case Wait(duration_ns=this_ns) | WaitFor(stable_ns=this_ns):
                least_ns += this_ns
            case _:
                pass
    return least_ns
