"""The machine's states and what leads from one to the next: the only table of them (PackML, OPC 30060, table 203)."""

import enum

from ald.records.event import MachineState

_STOPPED = MachineState.STOPPED
_IDLE = MachineState.IDLE
_EXECUTE = MachineState.EXECUTE
_HELD = MachineState.HELD
_COMPLETING = MachineState.COMPLETING
_ABORTING = MachineState.ABORTING
_ABORTED = MachineState.ABORTED


class Cause(enum.Enum):
    """What moves the machine from state to state."""

    RESET = "reset"
    STOP = "stop"
    START = "start"
    HOLD = "hold"
    UNHOLD = "unhold"
    COMPLETE = "complete"
    DONE = "done"
    ABORT = "abort"
    SAFE = "safe"
    LATCH = "latch"
    CLEAR = "clear"


TRANSITIONS: dict[tuple[MachineState, Cause], MachineState] = {
    (_STOPPED, Cause.RESET): _IDLE,
    (_STOPPED, Cause.ABORT): _ABORTING,
    (_IDLE, Cause.STOP): _STOPPED,
    (_IDLE, Cause.START): _EXECUTE,
    (_IDLE, Cause.ABORT): _ABORTING,
    (_EXECUTE, Cause.HOLD): _HELD,
    (_EXECUTE, Cause.COMPLETE): _COMPLETING,
    (_EXECUTE, Cause.ABORT): _ABORTING,
    # A purge of the cleanup can hold, and a held run can fail and be cleaned up.
    (_COMPLETING, Cause.HOLD): _HELD,
    (_COMPLETING, Cause.DONE): _IDLE,
    (_COMPLETING, Cause.ABORT): _ABORTING,
    (_HELD, Cause.UNHOLD): _EXECUTE,
    (_HELD, Cause.COMPLETE): _COMPLETING,
    (_HELD, Cause.ABORT): _ABORTING,
    (_ABORTING, Cause.SAFE): _STOPPED,
    (_ABORTING, Cause.LATCH): _ABORTED,
    (_ABORTED, Cause.CLEAR): _STOPPED,
}


def next_state(state: MachineState, cause: Cause) -> MachineState | None:
    """Return where `cause` leads from `state`, None where it leads nowhere."""
    return TRANSITIONS.get((state, cause))
