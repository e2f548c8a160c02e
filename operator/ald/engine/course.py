"""The course of a run: from leaf to leaf through the program, its loops and its cleanup."""

from collections.abc import Callable

from ald.engine import (
    admission,
    counter,
    demand,
    ending,
    hold,
    obstacle,
    pausing,
    prompting,
    pulse,
    purge,
    ramp,
    setpoint,
    waiting,
)
from ald.engine.inputs import ActionAsked, Answered, ConfirmAsked, RunGiven, Sent
from ald.engine.state import (
    Ending,
    Prompting,
    Pulsing,
    Purging,
    Ramping,
    Setting,
    Settling,
    Waiting,
    Watching,
)
from ald.engine.transitions import Cause
from ald.engine.turn import Turn
from ald.engine.verdict import Done, Failed, Fatal, Verdict
from ald.errors import SafetyError
from ald.program.model import Leaf, Prompt, Pulse, Purge, Ramp, Set, Wait, WaitFor
from ald.records.event import RunOutcome, RunStarted, StepEnded, StepStarted
from ald.records.scan import Scan
from ald.wire import RunAction

LATE_NS = 50_000_000
"""A leaf that begins later than this moves the schedule, instead of cutting the next steps short to catch up."""

KINDS: dict[type[Leaf], str] = {
    Pulse: "valve",
    Purge: "purge",
    Set: "set",
    Ramp: "ramp",
    Wait: "wait",
    WaitFor: "waitFor",
    Prompt: "prompt",
}
"""What the record calls the kinds of leaves: the words of the recipe."""


def start(turn: Turn, given: RunGiven) -> None:
    """Begin a run; one that was started before is left as it is.

    Raises:
        RefusedError: it may not start now.
    """
    order = given.order
    if admission.is_known(turn, order.run.uid):
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
        )
    )
    name = f"{order.run.namespace}/{order.run.name}"
    turn.move(Cause.START, "Running", f"run {name} is on")
    _apply(turn, _advance(turn))


def tick(turn: Turn) -> None:
    """Time has passed."""
    run = turn.run
    is_bounded = not isinstance(run.phase, Prompting)
    if (
        run.hold is not None
        and is_bounded
        and turn.at_ns >= hold.deadline_ns(_max_hold_ns(turn), run.hold)
    ):
        message = f"held for longer than maxHold: {run.hold.message}"
        _apply(turn, Fatal(outcome=RunOutcome.HOLD_TIMEOUT, message=message))
        return
    _apply(turn, _guarded(turn, lambda: _ticked(turn)))


def sent(turn: Turn, given: Sent) -> None:
    """A write has left."""
    if isinstance(turn.run.phase, Pulsing):
        pulse.sent(turn, turn.run.phase, given.token, given.sent_ns)


def answered(turn: Turn, given: Answered) -> None:
    """A write has been answered."""
    _apply(turn, _guarded(turn, lambda: _answered(turn, given)))


def scanned(turn: Turn, scan: Scan) -> None:
    """The plant has been read."""
    wrong = setpoint.scanned(turn, scan)
    if wrong and isinstance(turn.run.phase, Pulsing):
        turn.change_run(doubt=wrong)
    elif wrong:
        _apply(turn, Failed(error=wrong))
    else:
        _apply(turn, _guarded(turn, lambda: _scanned(turn, scan)))
    if turn.state.run is not None and turn.state.ending is None:
        unblocked(turn)


def action_asked(turn: Turn, given: ActionAsked) -> None:
    """Somebody wants something else of the run."""
    if demand.take(turn, given):
        _apply(turn, _guarded(turn, lambda: _as_asked(turn)))


def confirm_asked(turn: Turn, given: ConfirmAsked) -> None:
    """Somebody answers a prompt.

    Raises:
        RefusedError: no such prompt waits.
    """
    _apply(turn, prompting.confirm(turn, given))


def unblocked(turn: Turn) -> None:
    """An obstacle may be gone: a run that it holds between two steps goes on."""
    run = turn.run
    # A step that holds the run by itself knows when it goes on, and who has paused it says so.
    if run.hold is not None and run.phase is None and not hold.is_paused(run):
        _apply(turn, _advance(turn))


def _as_asked(turn: Turn) -> Verdict | None:
    run = turn.run
    if hold.is_paused(run) and run.asked.action is not RunAction.PAUSE:
        pausing.resume(turn)
        if run.phase is None:
            return _advance(turn)
    if run.phase is None and demand.is_stopping(run):
        return _advance(turn)
    # What only waits for the plant need not wait for it before a stop.
    return _ticked(turn)


def _ticked(turn: Turn) -> Verdict | None:
    match None if hold.is_paused(turn.run) else turn.run.phase:
        case Pulsing() as phase:
            pulse.tick(turn, phase)
            return None
        case Purging() as phase:
            return purge.tick(turn, phase)
        case Ramping() as phase:
            return ramp.tick(turn, phase)
        case Waiting() | Watching() | Prompting() as phase:
            return _waited(turn, phase)
        case Setting() | Settling() | None:
            return None


def _waited(turn: Turn, phase: Waiting | Watching | Prompting) -> Verdict | None:
    match phase:
        case Waiting():
            return waiting.tick_wait(turn, phase)
        case Watching():
            return waiting.tick_watch(turn, phase)
        case Prompting():
            return prompting.tick(turn, phase)


def _answered(turn: Turn, given: Answered) -> Verdict | None:
    match turn.run.phase:
        case Pulsing() as phase:
            return pulse.answered(turn, phase, given)
        case Purging() as phase:
            return purge.answered(turn, phase, given)
        case Setting() as phase:
            return setpoint.answered(turn, phase, given)
        case Ramping() as phase:
            return ramp.answered(turn, phase, given)
        case Waiting() | Watching() | Prompting() | Settling() | None:
            return None


def _scanned(turn: Turn, scan: Scan) -> Verdict | None:
    match turn.run.phase:
        case Purging() as phase:
            return purge.scanned(turn, phase, scan)
        case Watching() as phase if not hold.is_paused(turn.run):
            return waiting.scanned(turn, phase, scan)
        case Settling():
            _finish_if_settled(turn)
            return None
        case _:
            return None


def _guarded(turn: Turn, act: Callable[[], Verdict | None]) -> Verdict | None:
    """Return what `act` comes to; a broken safety rule undoes all that it began and ends the run."""
    mark = turn.mark()
    try:
        return act()
    except SafetyError as error:
        turn.rewind(mark)
        return Fatal(outcome=RunOutcome.SAFETY_VIOLATION, message=str(error))


def _apply(turn: Turn, verdict: Verdict | None) -> None:
    """Carry on from what a leaf came to. Each round begins at most one leaf, and only a broken one is over at once."""
    while verdict is not None:
        match verdict:
            case Done() if not turn.run.doubt:
                verdict = _next(turn, verdict)
            case Done():
                verdict = _failed(turn, turn.run.doubt)
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
    _leaf_ended(turn, "")
    turn.change_run(
        index=run.index + 1,
        due_ns=done.due_ns,
        slip_ns=run.slip_ns + taken_ns - done.nominal_ns,
    )
    return _advance(turn)


def _failed(turn: Turn, error: str) -> Verdict | None:
    """Put the failure on record and go to the cleanup; a failure in the cleanup is the end of all trying."""
    run = turn.run
    hold.end(turn)
    message = f"step {run.leaf.name}: {error}" if run.leaf is not None else error
    if run.in_cleanup:
        return Fatal(outcome=RunOutcome.STEP_FAILED, message=f"{message} (in the cleanup)")
    if run.phase is not None:
        _leaf_ended(turn, error)
    turn.change_run(
        failure=message,
        doubt="",
        index=run.program.cleanup,
        counters=(),
        due_ns=turn.at_ns,
        readbacks=(),
    )
    _begin_cleanup(turn)
    return _advance(turn)


def _leaf_ended(turn: Turn, error: str) -> None:
    run = turn.run
    turn.journal(
        StepEnded(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            run=run.identity.uid,
            ordinal=run.ordinal,
            error=error,
        )
    )
    done = run.leaves_done if error else run.leaves_done + 1
    turn.change_run(leaves_done=done, phase=None)


def _advance(turn: Turn) -> Verdict | None:
    """Begin the leaf that is next, or end the run."""
    run = turn.run
    index, counters = counter.seek(run.program, run.index, run.counters)
    if not run.in_cleanup and (index == run.program.cleanup or demand.is_stopping(run)):
        turn.change_run(stopped=index != run.program.cleanup)
        _begin_cleanup(turn)
        index, counters = counter.seek(run.program, run.program.cleanup, ())
    turn.change_run(index=index, counters=counters)
    leaf = counter.leaf_at(run.program, index)
    if leaf is None:
        turn.change_run(phase=Settling())
        _finish_if_settled(turn)
        return None
    in_the_way = obstacle.before(turn.state, leaf, turn.at_ns)
    if in_the_way is not None:
        hold.keep(turn, in_the_way.reason, in_the_way.message)
        return None
    hold.end(turn)
    if pausing.begin_if_due(turn):
        return None
    return _begin(turn, leaf)


def _begin(turn: Turn, leaf: Leaf) -> Verdict | None:
    run = turn.run
    late_ns = turn.at_ns - run.due_ns
    if late_ns > LATE_NS:
        turn.change_run(due_ns=turn.at_ns, slip_ns=run.slip_ns + late_ns)
    turn.change_run(ordinal=run.ordinal + 1, leaf=leaf, phase=None)
    turn.journal(
        StepStarted(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            run=run.identity.uid,
            ordinal=run.ordinal + 1,
            path=leaf.path,
            name=leaf.name,
            step=KINDS[type(leaf)],
            iterations=tuple(c.iteration for c in run.counters),
        )
    )
    return _guarded(turn, lambda: _began(turn, leaf))


def _began(turn: Turn, leaf: Leaf) -> Verdict | None:
    match leaf:
        case Pulse():
            pulse.begin(turn, leaf)
        case Purge():
            return purge.begin(turn, leaf)
        case Set():
            setpoint.begin(turn, leaf)
        case Ramp():
            return ramp.begin(turn, leaf)
        case Wait():
            waiting.begin_wait(turn, leaf)
        case WaitFor():
            waiting.begin_watch(turn, leaf, turn.run.conditions[turn.run.index])
        case Prompt():
            prompting.begin(turn, leaf)
    return None


def _begin_cleanup(turn: Turn) -> None:
    hold.end(turn)
    run = turn.run
    turn.change_run(in_cleanup=True, index=run.program.cleanup, counters=())
    reason, message = "CleaningUp", "the steps are done; cleaning up"
    if run.failure:
        reason, message = "StepFailed", run.failure
    elif run.stopped:
        reason, message = "Stopping", demand.stopped(run)
    turn.move(Cause.COMPLETE, reason, message)


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
