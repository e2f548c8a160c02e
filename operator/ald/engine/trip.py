"""What follows when an interlock trips: the record, the first-out, and for Abort the safe state at once."""

from ald.engine import ending, interlock
from ald.engine.turn import Turn
from ald.plant.model import InterlockAction, Mode
from ald.records.event import InterlockCleared, InterlockTripped, MachineState


def judge(turn: Turn) -> None:
    """Look at every interlock, put on record what has changed, and act on what has tripped."""
    if turn.state.layout is None:
        return
    found = interlock.judge(turn.state, turn.at_ns)
    turn.change(violated=found.violated)
    for name in found.satisfied:
        turn.journal(
            InterlockCleared(at_ns=turn.at_ns, wall_ns=turn.wall_ns, run=_run(turn), interlock=name)
        )
    if found.tripped and not turn.state.first_out:
        first = min(found.tripped, key=lambda name: found.violated[name].since_ns)
        turn.change(first_out=first)
    for name in found.tripped:
        _record(turn, name)
    release(turn)
    if found.tripped:
        _abort(turn)


def look(turn: Turn) -> None:
    """Judge once more where time alone may have tripped an interlock."""
    due_ns = interlock.wake_ns(turn.state)
    if due_ns is not None and turn.at_ns >= due_ns:
        judge(turn)


def release(turn: Turn) -> None:
    """Forget which interlock was first once all are satisfied and nobody has to clear the machine any more."""
    if not turn.state.first_out or turn.is_in(MachineState.ABORTING, MachineState.ABORTED):
        return
    if not any(each.tripped for each in turn.state.violated.values()):
        turn.change(first_out="")


def _record(turn: Turn, name: str) -> None:
    known = turn.state.violated[name]
    (action,) = (i.action for i in turn.layout.plant.interlocks if i.name == name)
    turn.journal(
        InterlockTripped(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            run=_run(turn),
            interlock=name,
            action=action.value,
            since_ns=known.since_ns,
            readings=dict(known.readings),
            first_out=turn.state.first_out,
            message=known.message,
        )
    )


def _abort(turn: Turn) -> None:
    """Make the machine safe where a tripped interlock says so; in mode Observe there is nothing that we may do."""
    message = next((m for _, m in interlock.standing(turn.state, InterlockAction.ABORT)), "")
    if message and turn.layout.plant.mode is not Mode.OBSERVE:
        ending.interlocked(turn, message)


def _run(turn: Turn) -> str:
    return turn.state.run.identity.uid if turn.state.run is not None else ""
