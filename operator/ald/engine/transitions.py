"""The machine's states, what leads from one to the next, and what people may ask for in each: the only tables of them.

The states are PackML's (OPC 30060, table 203).
"""

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


class Request(enum.Enum):
    """What may be asked of the machine, or of the run on it by its uid."""

    START = "start"
    PAUSE = "pause"
    RUN = "run"
    STOP = "stop"
    ABORT = "abort"
    SAFE_STATE = "safe-state"
    CLEAR = "clear"


class Answer(enum.Enum):
    """OBEY: it is done, or so already. IGNORE: nothing is left to do about it. REFUSE: it is an error to ask."""

    OBEY = "obey"
    IGNORE = "ignore"
    REFUSE = "refuse"


_O, _I, _R = Answer.OBEY, Answer.IGNORE, Answer.REFUSE
_ANSWERS = {
    #            start pause run stop abort safe clear
    _STOPPED: (_R, _I, _I, _I, _I, _O, _R),
    _IDLE: (_O, _I, _I, _I, _I, _O, _R),
    _EXECUTE: (_R, _O, _O, _O, _O, _O, _R),
    _HELD: (_R, _O, _O, _O, _O, _O, _R),
    # Too late to leave a step out or to stand still, but noted.
    _COMPLETING: (_R, _O, _O, _O, _O, _O, _R),
    _ABORTING: (_R, _I, _I, _I, _I, _O, _R),
    _ABORTED: (_R, _I, _I, _I, _I, _O, _O),
}


def answer(state: MachineState, request: Request) -> Answer:
    """Return what a request comes to in `state`; one that is obeyed may still be refused for another reason."""
    return _ANSWERS[state][tuple(Request).index(request)]


def next_state(state: MachineState, cause: Cause) -> MachineState | None:
    """Return where `cause` leads from `state`, None where it leads nowhere."""
    return TRANSITIONS.get((state, cause))
