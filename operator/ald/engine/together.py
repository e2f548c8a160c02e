"""Branches side by side: each goes from leaf to leaf on a schedule of its own, and the run goes on when all are done.

While the run is held, no branch begins a leaf; what is under way goes on to its end. A leaf that fails takes the others with it:
a pulse and a write under way are finished, a purge gives the set point its value back, and what only lets time pass is over.
"""

from collections.abc import Callable
from functools import partial

from ald.engine import branch, counter, demand, hold, leaf, obstacle, pausing, prompting, purge
from ald.engine.inputs import ConfirmAsked
from ald.engine.obstacle import Obstacle
from ald.engine.state import Branch, Prompting, Purging, Ramping, Run, Waiting, Watching
from ald.engine.turn import Turn
from ald.engine.verdict import Done, Failed, Joined, Verdict
from ald.program import model, together

ITS_OWN_HOLDS = frozenset({prompting.REASON, purge.FLOW_LOW})
"""Reasons of holds that end with the leaf that holds the run."""


def begin(turn: Turn, mark: model.Together) -> Verdict | None:
    """Begin every branch, all due at the same time."""
    run = turn.run
    late_ns = turn.at_ns - run.due_ns
    if late_ns > leaf.LATE_NS:
        turn.change_run(due_ns=turn.at_ns, slip_ns=run.slip_ns + late_ns)
    due_ns = turn.run.due_ns
    branches = tuple(
        Branch(index=begin, end=end, due_ns=due_ns)
        for begin, end in together.spans(mark, run.index)
    )
    turn.change_run(leaf=mark, around=run.counters, phase=None, branches=branches, broken="")
    return go_on(turn)


def act(turn: Turn, what: Callable[[], Verdict | None]) -> Verdict | None:
    """Give news to every branch that has a leaf under way, and carry on from what comes of it."""
    for number, _ in list(branch.under_way(turn.run)):
        verdict = _carried(turn, number, what)
        if verdict is not None:
            return verdict
    return go_on(turn)


def confirm(turn: Turn, given: ConfirmAsked) -> Verdict | None:
    """Give the answer to the branch whose prompt waits.

    Raises:
        RefusedError: no prompt of this id waits.
    """
    waiting = [n for n, each in branch.under_way(turn.run) if isinstance(each.phase, Prompting)]
    if not waiting:
        return prompting.confirm(turn, given)
    verdict = _carried(turn, waiting[0], lambda: prompting.confirm(turn, given))
    # A purge beside it that waits for its flow has not been able to say so while the prompt held the run.
    return verdict if verdict is not None else act(turn, lambda: leaf.ticked(turn))


def give_up(turn: Turn, error: str) -> Verdict | None:
    """Something failed: bring every branch to its end; in the cleanup that is the end of all trying."""
    run = turn.run
    if run.in_cleanup:
        return Failed(error=error)
    if not run.broken:
        turn.change_run(broken=error)
    return go_on(turn)


def unblocked(turn: Turn) -> Verdict | None:
    """An obstacle may be gone, or there may be another."""
    is_held = turn.run.hold is not None
    return go_on(turn) if is_held and not _is_held_otherwise(turn.run) else None


def go_on(turn: Turn) -> Verdict | None:
    """Begin what may begin now, cut short what nobody needs any more, and join the branches when all are at their end."""
    verdict = _begin_due(turn)
    if verdict is None and turn.run.broken:
        verdict = _cut_short(turn)
    if verdict is not None:
        return verdict
    run = turn.run
    is_winding = bool(run.broken) or demand.is_stopping(run)
    if any(
        each.phase is not None or not (is_winding or each.index == each.end)
        for each in run.branches
    ):
        return None
    return _join(turn)


def _join(turn: Turn) -> Verdict:
    run = turn.run
    mark = counter.leaf_at(run.program, run.index)
    assert isinstance(mark, model.Together), "branches belong to a together"
    turn.change_run(branches=(), broken="")
    if run.broken:
        return Failed(error=run.broken)
    is_whole = all(each.index == each.end for each in run.branches)
    return Joined(
        # What a stop leaves out makes the mark the place where the run was left.
        index=together.end(mark, run.index) if is_whole else run.index,
        due_ns=max(each.due_ns for each in run.branches),
        nominal_ns=max(each.nominal_ns for each in run.branches),
    )


def _begin_due(turn: Turn) -> Verdict | None:
    """Begin what comes next in every branch where that may begin, unless something stands in the way of any of them."""
    run = turn.run
    is_stopping = demand.is_stopping(run)
    waiting = [
        n
        for n, each in enumerate(run.branches)
        if leaf.is_ready(each.phase) or (_is_between(each) and not is_stopping)
    ]
    if not waiting or run.broken or _is_held_otherwise(run):
        return None
    if is_stopping and _in_the_way(turn, waiting):
        turn.change_run(stopped=True)
        return give_up(turn, demand.message(run))
    if _is_held(turn, waiting):
        return None
    # A prompt holds the run, so what may begin beside it begins before it.
    for number in sorted(waiting, key=lambda n: isinstance(_following(run, n), model.Prompt)):
        if turn.run.hold is not None or turn.run.broken or pausing.is_wanted(turn.run):
            return None
        act = partial(leaf.begin, turn, _following(run, number))
        if leaf.is_ready(run.branches[number].phase):
            act = partial(leaf.pull, turn)
        verdict = _carried(turn, number, act)
        if verdict is not None:
            return verdict
    return None


def _in_the_way(turn: Turn, waiting: list[int]) -> Obstacle | None:
    found = (obstacle.before(turn.state, _following(turn.run, n), turn.at_ns) for n in waiting)
    return next((each for each in found if each is not None), None)


def _is_held(turn: Turn, waiting: list[int]) -> bool:
    """Hold the run where something stands in the way of what waits, let it go on where nothing does; tell whether it is held."""
    in_the_way = _in_the_way(turn, waiting)
    if in_the_way is None:
        hold.end(turn)
        return False
    hold.keep(turn, in_the_way.reason, in_the_way.message)
    return True


def _is_held_otherwise(run: Run) -> bool:
    """Tell whether the run is held by a person, or by a leaf: then it is not what stands in the way that lets it go on."""
    return run.hold is not None and (run.hold.is_paused or run.hold.reason in ITS_OWN_HOLDS)


def _is_between(each: Branch) -> bool:
    return each.phase is None and each.index < each.end


def _following(run: Run, number: int) -> model.Leaf:
    found = run.program.instructions[run.branches[number].index]
    assert not isinstance(found, model.Loop | model.EndLoop | model.Together), (
        "branches hold leaves"
    )
    return found


def _carried(turn: Turn, number: int, what: Callable[[], Verdict | None]) -> Verdict | None:
    """Return None where the branches carry on, and what the whole run comes to where they do not."""
    verdict = branch.within(turn, number, lambda: _settled(turn, number, leaf.guarded(turn, what)))
    match verdict:
        case Done(due_ns=due_ns, nominal_ns=nominal_ns):
            each = turn.run.branches[number]
            branch.change(
                turn,
                number,
                index=each.index + 1,
                due_ns=due_ns,
                nominal_ns=each.nominal_ns + nominal_ns,
                cut="",
            )
            return None
        case Failed(error=error):
            return _failed(turn, number, error)
        case _:
            return verdict


def _settled(turn: Turn, number: int, verdict: Verdict | None) -> Verdict | None:
    """Put the end of a leaf on record, within its branch."""
    if isinstance(verdict, Done):
        leaf.ended(turn, turn.run.branches[number].cut)
    elif isinstance(verdict, Failed) and turn.run.phase is not None:
        leaf.ended(turn, verdict.error)
    return verdict


def _failed(turn: Turn, number: int, error: str) -> Verdict | None:
    run = turn.run
    own, whole = run.branches[number].leaf, run.leaf
    assert own is not None and whole is not None, "a leaf of a together failed"  # noqa: PT018 -- both or none
    message = f"{own.name.removeprefix(whole.name + '/')}: {error}"
    if run.in_cleanup:
        return Failed(error=message)
    branch.change(turn, number, phase=None)
    if not run.broken:
        turn.change_run(broken=message)
    return None


def _cut_short(turn: Turn) -> Verdict | None:
    """End what only lets time pass; what is on its way to the PLC is waited for."""
    cut = f"given up: {turn.run.broken}"
    for number, each in list(branch.under_way(turn.run)):
        if leaf.is_ready(each.phase):
            verdict = _carried(turn, number, lambda: leaf.give_up(turn, cut))
            if verdict is not None:
                return verdict
        if not _is_cuttable(each):
            continue
        branch.change(turn, number, cut=cut)
        verdict = _carried(turn, number, lambda: _cut(turn))
        if verdict is not None:
            return verdict
    return None


def _is_cuttable(each: Branch) -> bool:
    match each.phase:
        case Waiting() | Watching() | Prompting():
            return True
        case Ramping(write=write):
            return write is None
        case Purging(write=write):
            return write is None
        case _:
            return False


def _cut(turn: Turn) -> Verdict | None:
    phase = turn.run.phase
    if isinstance(phase, Purging):
        return purge.cut(turn, phase)
    if isinstance(phase, Prompting):
        hold.end(turn, prompting.REASON)
    return Done(due_ns=turn.at_ns, nominal_ns=0)
