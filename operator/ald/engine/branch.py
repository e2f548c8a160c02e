"""One branch seen as if it were the run, so that leaves need not know that others are under way beside them."""

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from ald.engine.state import Branch, Run
from ald.engine.turn import Turn
from ald.engine.verdict import Verdict


def within(turn: Turn, number: int, act: Callable[[], Verdict | None]) -> Verdict | None:
    """Return what `act` comes to, where the run's present leaf, phase, number and schedule are those of this branch.

    How much later the schedule lies is counted once, when the branches join.
    """
    home = turn.run
    each = home.branches[number]
    turn.change_run(
        index=each.index,
        due_ns=each.due_ns,
        ordinal=each.ordinal,
        leaf=each.leaf,
        phase=each.phase,
    )
    verdict = act()
    run = turn.run
    assert run.leaf is None or run.leaf is not home.leaf, "a branch holds leaves only"
    change(
        turn,
        number,
        index=run.index,
        due_ns=run.due_ns,
        ordinal=run.ordinal,
        leaf=run.leaf,
        phase=run.phase,
    )
    turn.change_run(
        index=home.index,
        due_ns=home.due_ns,
        slip_ns=home.slip_ns,
        ordinal=run.begun,
        leaf=home.leaf,
        phase=None,
    )
    return verdict


def change(turn: Turn, number: int, **changes: object) -> None:
    """Replace fields of one branch."""
    branches = turn.run.branches
    changed = replace(branches[number], **changes)
    turn.change_run(branches=(*branches[:number], changed, *branches[number + 1 :]))


def under_way(run: Run) -> Iterator[tuple[int, Branch]]:
    """Yield the branches that are not between two leaves, with their numbers."""
    return ((i, each) for i, each in enumerate(run.branches) if each.phase is not None)
