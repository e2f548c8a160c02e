"""The course of a run: from leaf to leaf through the program, its loops and its cleanup."""

from collections.abc import Callable

from ald.engine import (
    admission,
    branch,
    counter,
    demand,
    ending,
    hold,
    leaf,
    obstacle,
    pausing,
    prompting,
    pulse,
    reservation,
    setpoint,
    together,
)
from ald.engine.inputs import ActionAsked, Answered, ConfirmAsked, Looked, RunGiven, Sent
from ald.engine.state import Ending, Pulsing, Settling
from ald.engine.transitions import Cause
from ald.engine.turn import Turn
from ald.engine.verdict import Done, Failed, Fatal, Joined, Verdict
from ald.program.model import Leaf, Together
from ald.records.event import RunOutcome, RunStarted
from ald.records.scan import Scan


def start(turn: Turn, given: RunGiven) -> None:
    """Begin a run; one that was started before is left as it is.

    Raises:
        RefusedError: it may not start now.
    """
    order = given.order
    if admission.is_known(turn, order):
        return
    turn.change(run=admission.admit(turn, given))
    turn.journal(
        RunStarted(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            run=order.run,
            recipe_source=order.recipe_source,
            program_digest=order.program_digest,
            program=order.program,
            attempt=order.attempt,
        )
    )
    name = f"{order.run.namespace}/{order.run.name}"
    how = "is on" if order.attempt == 1 else f"goes on (attempt {order.attempt})"
    turn.move(Cause.START, "Running", f"run {name} {how}")
    _apply(turn, _advance(turn))


def tick(turn: Turn) -> None:
    """Time has passed."""
    run = turn.run
    if (
        run.hold is not None
        and prompting.waiting(run) is None
        and turn.at_ns >= hold.deadline_ns(_max_hold_ns(turn), run.hold)
    ):
        message = f"held for longer than maxHold: {run.hold.message}"
        _apply(turn, Fatal(outcome=RunOutcome.HOLD_TIMEOUT, message=message))
        return
    if hold.is_paused(run):
        _apply(turn, _reviewed(turn))
    elif isinstance(run.phase, Settling):
        _hold_unseen(turn)
    else:
        _apply(turn, _told(turn, lambda: leaf.ticked(turn)))


def sent(turn: Turn, given: Sent) -> None:
    """A write has left."""
    _sent(turn, given)
    for number, _ in list(branch.under_way(turn.run)):
        branch.within(turn, number, lambda: _sent(turn, given))


def answered(turn: Turn, given: Answered) -> None:
    """A write has been answered."""
    _apply(turn, _told(turn, lambda: leaf.answered(turn, given)))


def looked(turn: Turn, given: Looked) -> None:
    """Something has been looked at."""
    _apply(turn, _told(turn, lambda: leaf.looked(turn, given)))
    is_on = turn.state.run is not None and turn.state.ending is None
    if is_on and turn.run.hold is None and leaf.is_ready(turn.run.phase):
        _apply(turn, _pull(turn))


def scanned(turn: Turn, scan: Scan) -> None:
    """The plant has been read."""
    wrong = setpoint.scanned(turn, scan)
    if wrong and turn.run.branches:
        _apply(turn, together.give_up(turn, wrong))
    elif wrong and isinstance(turn.run.phase, Pulsing):
        turn.change_run(doubt=wrong)
        if leaf.is_ready(turn.run.phase):
            _apply(turn, _pull(turn))
    elif wrong:
        _apply(turn, Failed(error=wrong))
    else:
        _apply(turn, _told(turn, lambda: leaf.scanned(turn, scan)))
        if turn.state.run is not None and isinstance(turn.run.phase, Settling):
            hold.end(turn, obstacle.SCAN_GAP)
            _finish_if_settled(turn)
    if turn.state.run is not None and turn.state.ending is None:
        unblocked(turn)


def action_asked(turn: Turn, given: ActionAsked) -> None:
    """Somebody wants something else of the run."""
    if demand.take(turn, given):
        _apply(turn, _as_asked(turn))


def confirm_asked(turn: Turn, given: ConfirmAsked) -> None:
    """Somebody answers a prompt.

    Raises:
        RefusedError: no such prompt waits.
    """
    if turn.state.run is not None and turn.run.branches:
        _apply(turn, together.confirm(turn, given))
    else:
        _apply(turn, prompting.confirm(turn, given))


def unblocked(turn: Turn) -> None:
    """An obstacle may be gone: a run that it holds between two steps goes on."""
    run = turn.run
    if hold.is_paused(run):
        _apply(turn, _reviewed(turn))
    elif run.branches:
        _apply(turn, together.unblocked(turn))
    # A step that holds the run by itself knows when it goes on.
    elif run.hold is not None and leaf.is_ready(run.phase):
        _apply(turn, _pull(turn))
    elif run.hold is not None and run.phase is None:
        _apply(turn, _advance(turn))


def _reviewed(turn: Turn) -> Verdict | None:
    """Look at what holds a paused run, and let it go on where nothing does any more."""
    if not pausing.review(turn):
        return None
    run = turn.run
    if run.phase is None and not run.branches:
        return _advance(turn)
    if leaf.is_ready(run.phase):
        return _pull(turn)
    return _told(turn, lambda: leaf.ticked(turn))


def _as_asked(turn: Turn) -> Verdict | None:
    run = turn.run
    if hold.is_paused(run):
        return _reviewed(turn)
    if run.phase is None and not run.branches and demand.is_stopping(run):
        return _advance(turn)
    if leaf.is_ready(run.phase):
        return _pull(turn)
    # What only waits for the plant need not wait for it before a stop.
    return _told(turn, lambda: leaf.ticked(turn))


def _sent(turn: Turn, given: Sent) -> None:
    if isinstance(turn.run.phase, Pulsing):
        pulse.sent(turn, turn.run.phase, given.token, given.sent_ns)


def _told(turn: Turn, what: Callable[[], Verdict | None]) -> Verdict | None:
    """Give news to whatever is under way: one leaf, or one in each branch."""
    if turn.run.branches:
        return together.act(turn, what)
    return leaf.guarded(turn, what)


def _apply(turn: Turn, verdict: Verdict | None) -> None:
    """Carry on from what a leaf came to. Each round begins at most one leaf, and only a broken one is over at once."""
    while verdict is not None:
        match verdict:
            case Done() if not turn.run.doubt:
                verdict = _next(turn, verdict)
            case Done():
                verdict = _failed(turn, turn.run.doubt)
            case Joined():
                verdict = _joined(turn, verdict)
            case Failed(error=error):
                verdict = _failed(turn, error)
            case Fatal(outcome=outcome, message=message):
                ending.abort(turn, outcome, message)
                verdict = None
    if turn.state.run is not None and turn.state.ending is None:
        pausing.begin_if_due(turn)


def _next(turn: Turn, done: Done) -> Verdict | None:
    """Put the end of the leaf on record and begin the next one."""
    run = turn.run
    taken_ns = done.due_ns - run.due_ns
    leaf.ended(turn, "")
    turn.change_run(
        index=run.index + 1,
        due_ns=done.due_ns,
        slip_ns=run.slip_ns + taken_ns - done.nominal_ns,
    )
    return _advance(turn)


def _joined(turn: Turn, joined: Joined) -> Verdict | None:
    """Go on behind the branches of a `together`."""
    run = turn.run
    taken_ns = joined.due_ns - run.due_ns
    turn.change_run(
        index=joined.index,
        due_ns=joined.due_ns,
        slip_ns=run.slip_ns + taken_ns - joined.nominal_ns,
    )
    return _advance(turn)


def _failed(turn: Turn, error: str) -> Verdict | None:
    """Put the failure on record and go to the cleanup; a failure in the cleanup is the end of all trying."""
    run = turn.run
    hold.end(turn)
    message = f"step {run.leaf.name}: {error}" if run.leaf is not None else error
    if run.phase is not None and not isinstance(run.phase, Settling):
        leaf.ended(turn, error)
    if run.in_cleanup:
        before = run.failure or (demand.stopped(run) if run.stopped else "")
        message += f" (in the cleanup after: {before})" if before else " (in the cleanup)"
        return Fatal(outcome=RunOutcome.STEP_FAILED, message=message)
    turn.change_run(
        # What was given up because somebody stops the run is no failure.
        failure="" if run.stopped else message,
        doubt="",
        index=run.program.cleanup,
        counters=(),
        due_ns=turn.at_ns,
        readbacks=(),
    )
    _begin_cleanup(turn)
    return _advance(turn)


def _advance(turn: Turn) -> Verdict | None:
    """Begin the leaf that is next, or end the run."""
    run = turn.run
    index, counters = counter.seek(run.program, run.index, run.counters)
    if not run.in_cleanup and (index == run.program.cleanup or demand.is_stopping(run)):
        turn.change_run(stopped=index != run.program.cleanup)
        _begin_cleanup(turn)
        index, counters = counter.seek(run.program, run.program.cleanup, ())
    turn.change_run(index=index, counters=counters)
    following = counter.leaf_at(run.program, index)
    if following is None:
        turn.change_run(phase=Settling(), around=())
        _finish_if_settled(turn)
        return None
    if _is_held(turn, following):
        return None
    reservation.enter(turn, following)
    if isinstance(following, Together):
        return together.begin(turn, following)
    return leaf.begin(turn, following)


def _pull(turn: Turn) -> Verdict | None:
    """Trigger the pulse that is ready, unless the run holds before it; one that is to stop does not wait for what is in the way.

    Nothing waits for one that is to fail.
    """
    run = turn.run
    assert run.leaf is not None, "a pulse is ready"
    if run.doubt:
        return leaf.give_up(turn, run.doubt)
    if demand.is_stopping(run) and obstacle.before(turn.state, run.leaf, turn.at_ns) is not None:
        turn.change_run(stopped=True)
        return leaf.give_up(turn, demand.message(run))
    return None if _is_held(turn, run.leaf) else leaf.pull(turn)


def _is_held(turn: Turn, following: Leaf | Together) -> bool:
    """Hold the run before what comes next where something stands in the way of that, or somebody wants a pause; tell whether it is held."""
    in_the_way = obstacle.before(turn.state, following, turn.at_ns)
    if in_the_way is None and reservation.is_missing(turn.run):
        in_the_way = reservation.MISSING
    if in_the_way is not None:
        hold.keep(turn, in_the_way.reason, in_the_way.message)
        return True
    hold.end(turn)
    return pausing.begin_if_due(turn)


def _begin_cleanup(turn: Turn) -> None:
    hold.end(turn)
    reservation.close(turn)
    run = turn.run
    turn.change_run(in_cleanup=True, index=run.program.cleanup, counters=(), around=())
    reason, message = "CleaningUp", "the steps are done; cleaning up"
    if run.failure:
        reason, message = "StepFailed", run.failure
    elif run.stopped:
        reason, message = "Stopping", demand.stopped(run)
    turn.move(Cause.COMPLETE, reason, message)


def _hold_unseen(turn: Turn) -> None:
    """Hold a run of whose last set points no scan tells, so that it ends after maxHold at the latest."""
    gap = obstacle.unseen(turn.state, turn.at_ns)
    if gap is not None:
        hold.start(turn, gap.reason, gap.message)


def _finish_if_settled(turn: Turn) -> None:
    """End the run in good order once the last set points have been read back."""
    run = turn.run
    if run.readbacks:
        return
    end = Ending(
        outcome=RunOutcome.COMPLETED, message=f"all {run.leaves_done} steps are done", by=""
    )
    if run.failure:
        end = Ending(outcome=RunOutcome.STEP_FAILED, message=run.failure, by="")
    elif run.stopped:
        end = Ending(outcome=RunOutcome.STOPPED, message=demand.stopped(run), by=run.asked.by)
    ending.end_run(turn, end)
    turn.move(Cause.DONE, "Ready", end.message)


def _max_hold_ns(turn: Turn) -> int:
    return turn.layout.plant.max_hold_ns
