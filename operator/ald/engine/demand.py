"""What people want of the run in progress: go on, pause, or stop after the present step. Said twice it is the same; a stop is final."""

from ald.engine import hold
from ald.engine.inputs import ActionAsked
from ald.engine.state import Asked, Run
from ald.engine.transitions import Answer, Request, answer
from ald.engine.turn import Turn
from ald.wire import RunAction

REQUESTS = {
    RunAction.RUN: Request.RUN,
    RunAction.PAUSE: Request.PAUSE,
    RunAction.STOP: Request.STOP,
}


def take(turn: Turn, given: ActionAsked) -> bool:
    """Note what the run is to do; False where that changes nothing: said before, too late, or of another run."""
    run, request = turn.state.run, REQUESTS[given.action]
    if answer(turn.state.machine, request) is not Answer.OBEY:
        return False
    if run is None or run.identity.uid != given.uid:
        return False
    if run.asked.action in (RunAction.STOP, given.action):
        return False
    asked = Asked(action=given.action, by=given.by, reason=given.reason)
    turn.change_run(asked=asked)
    run = turn.run
    held = run.hold.message if run.hold is not None else ""
    said = "; ".join(filter(None, (held, run.failure, message(run))))
    # What was asked for before is asked for no more, and what holds the run goes on doing so.
    turn.explain(turn.state.reason, said or "the run goes on")
    return True


def is_stopping(run: Run) -> bool:
    """Tell whether steps are not to begin any more; those of the cleanup are."""
    return run.asked.action is RunAction.STOP and not run.in_cleanup


def message(run: Run) -> str:
    """Return what a request has changed that does not show yet, in plain words; empty for nothing."""
    if is_stopping(run):
        return f"stops after step {run.leaf.name if run.leaf else 'none'}: {_why(run.asked)}"
    if run.asked.action is RunAction.PAUSE and not hold.is_paused(run):
        when = "the cleanup is not paused" if run.in_cleanup else "pauses at the next hold point"
        return f"{when}: {_why(run.asked)}"
    return ""


def stopped(run: Run) -> str:
    """Return how a stopped run is to be remembered."""
    return f"stopped after {run.leaves_done} steps: {_why(run.asked)}"


def _why(asked: Asked) -> str:
    return f"{asked.reason or 'on request'} (by {asked.by})"
