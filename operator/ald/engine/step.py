"""The engine: one input with its time in, the next state and the effects in order out. The same function replays."""

from ald.engine import (
    course,
    ending,
    positions,
    readiness,
    reservation,
    safety,
    safing,
    session,
    trip,
    writing,
)
from ald.engine.effects import Effect
from ald.engine.inputs import (
    AbortAsked,
    ActionAsked,
    Answered,
    ClearAsked,
    ClockStep,
    ConfirmAsked,
    Input,
    LinkDown,
    LinkUp,
    Looked,
    PlantGiven,
    RecordRoom,
    Reserved,
    RunGiven,
    SafeStateAsked,
    Scanned,
    Sent,
    ShutdownAsked,
    Started,
    Tick,
    WatchdogSeen,
)
from ald.engine.state import State
from ald.engine.turn import Turn
from ald.records.event import RunOutcome


def step(state: State, given: Input) -> tuple[State, tuple[Effect, ...]]:
    """Return the state after `given`, and what is to be done, in this order.

    Raises:
        RefusedError: a request that is not allowed now; the state stays as it was.
    """
    turn = Turn(state, given.at_ns)
    match given:
        case Tick():
            _tick(turn)
        case Sent() | Answered() | Looked():
            _settled(turn, given)
        case Scanned():
            _scanned(turn, given)
        case WatchdogSeen():
            turn.change(watchdog_ok=given.ok, is_foreign=given.is_foreign)
            _unblocked(turn)
        case Reserved():
            reservation.taken(turn, given)
            _unblocked(turn)
        case RecordRoom():
            turn.change(record_ok=given.ok)
            _unblocked(turn)
        case RunGiven() | ActionAsked() | ConfirmAsked():
            _request(turn, given)
        case _:
            _session(turn, given)
    return turn.state, tuple(turn.effects)


def _request(turn: Turn, given: RunGiven | ActionAsked | ConfirmAsked) -> None:
    match given:
        case RunGiven():
            course.start(turn, given)
        case ActionAsked():
            course.action_asked(turn, given)
        case ConfirmAsked():
            course.confirm_asked(turn, given)


def _session(
    turn: Turn,
    given: Started
    | PlantGiven
    | LinkUp
    | LinkDown
    | AbortAsked
    | ClearAsked
    | SafeStateAsked
    | ClockStep
    | ShutdownAsked,
) -> None:
    match given:
        case Started():
            session.started(turn, given)
        case PlantGiven():
            session.plant_given(turn, given)
        case LinkUp():
            session.link_up(turn)
        case LinkDown():
            session.link_down(turn, given)
        case AbortAsked():
            session.abort_asked(turn, given)
        case SafeStateAsked():
            session.safe_state_asked(turn, given)
        case ClearAsked():
            session.clear_asked(turn, given)
        case ClockStep():
            session.clock_stepped(turn, given)
        case ShutdownAsked():
            session.shutdown_asked(turn, given)


def _tick(turn: Turn) -> None:
    safe = turn.state.safing
    if safe is not None:
        if not safe.overdue and turn.at_ns >= safe.deadline_ns:
            ending.overdue(turn)
        elif safe.retry_ns is not None and turn.at_ns >= safe.retry_ns and turn.state.connected:
            safing.attempt(turn)
    trip.look(turn)
    if _is_running(turn):
        course.tick(turn)


def _settled(turn: Turn, given: Sent | Answered | Looked) -> None:
    match given:
        case Sent():
            if turn.state.run is not None:
                course.sent(turn, given)
        case Answered():
            _answered(turn, given)
        case Looked():
            if _is_running(turn):
                course.looked(turn, given)


def _answered(turn: Turn, given: Answered) -> None:
    if safing.owns(turn, given.token):
        if safing.answered(turn, given):
            ending.settled(turn)
    elif _is_running(turn):
        course.answered(turn, given)
    elif turn.state.run is not None:
        writing.late(turn, given)


def _scanned(turn: Turn, given: Scanned) -> None:
    turn.change(scan=given.scan, seen_ns=given.scan.ended_ns)
    exposed = safety.exposed_by_others(turn.state)
    if exposed:
        turn.change(exposures={**turn.state.exposures, **exposed})
    turn.change(unready=readiness.judge(turn.state, turn.at_ns))
    trip.judge(turn)
    if not _is_running(turn):
        return
    misplaced = positions.mismatch(turn.state)
    if misplaced:
        ending.abort(turn, RunOutcome.VALVE_MISMATCH, misplaced)
    else:
        course.scanned(turn, given.scan)


def _unblocked(turn: Turn) -> None:
    if _is_running(turn):
        course.unblocked(turn)


def _is_running(turn: Turn) -> bool:
    """Tell whether a run is on and not being ended."""
    return turn.state.run is not None and turn.state.ending is None
