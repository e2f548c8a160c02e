"""A run that stands still for a reason, and goes on when the reason is gone."""

from msgspec.structs import replace

from ald.engine import obstacle
from ald.engine.state import Hold, Run
from ald.engine.transitions import Cause
from ald.engine.turn import Turn
from ald.records.event import HoldEnded, HoldStarted

PAUSED = "Paused"
"""The reason of a hold that somebody asked for, and ends by asking."""


def is_paused(run: Run) -> bool:
    """Tell whether time stands still for the present step."""
    return run.hold is not None and run.hold.is_paused


def start(turn: Turn, reason: str, message: str, longest_ns: int | None = None) -> None:
    """Hold the run; nothing happens when it is held already."""
    if turn.run.hold is None:
        _begin(
            turn,
            Hold(reason=reason, message=message, since_ns=turn.at_ns, longest_ns=longest_ns),
        )


def pause(turn: Turn, message: str, obstacle: str) -> None:
    """Hold a run that is not held, so that time stands still for the present step."""
    _begin(
        turn,
        Hold(
            reason=PAUSED, message=message, since_ns=turn.at_ns, is_paused=True, obstacle=obstacle
        ),
    )


def keep(turn: Turn, reason: str, message: str, obstacle: str = "") -> None:
    """Hold the run, or go on holding it for what is now the reason; how long it may be held counts from the beginning."""
    held = turn.run.hold
    if held is None:
        start(turn, reason, message)
    elif (held.reason, held.message) != (reason, message):
        turn.change_run(hold=replace(held, reason=reason, message=message, obstacle=obstacle))
        _record(turn, reason, message)
        turn.explain(reason, message)


def end(turn: Turn, reason: str = "") -> None:
    """Let the run go on; nothing happens when it is not held, or not for this `reason` where one is given."""
    if turn.run.hold is None or reason not in ("", turn.run.hold.reason):
        return
    turn.change_run(hold=None)
    turn.journal(HoldEnded(at_ns=turn.at_ns, wall_ns=turn.wall_ns, run=turn.run.identity.uid))
    turn.move(Cause.UNHOLD, "Running", "the run goes on")
    if turn.run.in_cleanup:
        turn.move(Cause.COMPLETE, "CleaningUp", "the cleanup steps go on")


def deadline_ns(turn_max_hold_ns: int, held: Hold) -> int:
    """Return when the hold has lasted too long."""
    return held.since_ns + (turn_max_hold_ns if held.longest_ns is None else held.longest_ns)


def _begin(turn: Turn, held: Hold) -> None:
    turn.change_run(hold=held)
    _record(turn, held.reason, held.message)
    turn.move(Cause.HOLD, held.reason, held.message)


def _record(turn: Turn, reason: str, message: str) -> None:
    turn.change(scan_gaps=turn.state.scan_gaps + (reason == obstacle.SCAN_GAP))
    turn.journal(
        HoldStarted(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            run=turn.run.identity.uid,
            reason=reason,
            message=message,
        )
    )
