"""How runs end: at once by the safe state, or in good order; and what the machine is afterwards."""

from ald.engine import branch, counter, pulse, reservation, safing, writing
from ald.engine.effects import Exit
from ald.engine.state import Ending, LastRun, Pulsing, Settling
from ald.engine.transitions import Cause
from ald.engine.turn import Turn
from ald.plant.model import Mode
from ald.records.event import MachineState, RunEnded, RunOutcome, SessionEnded, StepEnded

LATCHING = frozenset({RunOutcome.SAFETY_VIOLATION, RunOutcome.VALVE_MISMATCH, RunOutcome.INTERLOCK})
"""After these somebody has to look at the machine and clear it before the next run."""


def abort(
    turn: Turn, outcome: RunOutcome, message: str, *, by: str = "", latch: bool = False
) -> None:
    """Write the safe state now; the run is on record as ended once that is settled, or at once without a connection.

    `latch`: the machine stays Aborted until somebody clears it, also where the run is being ended already.
    """
    if turn.state.ending is not None:
        if latch:
            safing.latch(turn)
        return
    reservation.close(turn)
    turn.change(ending=Ending(outcome=outcome, message=message, by=by))
    is_latched = latch or outcome in LATCHING
    safing.begin(turn, message, full=True, latch=is_latched)
    turn.move(Cause.ABORT, outcome.value, message)
    if not turn.state.connected:
        end_aborted(turn)
    settle_empty(turn)


def interlocked(turn: Turn, message: str) -> None:
    """An interlock wants the safe state, whether or not a run is on; only people lead out of it."""
    if turn.state.run is not None and turn.state.ending is None:
        abort(turn, RunOutcome.INTERLOCK, message)
    elif not turn.is_in(MachineState.ABORTED):
        if turn.is_in(MachineState.ABORTING):
            turn.explain(RunOutcome.INTERLOCK.value, message)
        safe_without_run(turn, RunOutcome.INTERLOCK.value, message, latch=True)


def safe_without_run(turn: Turn, reason: str, message: str, *, latch: bool = False) -> None:
    """Write the whole safe state although no run is on; `latch` as in `abort`."""
    known = turn.state.safing
    # Who asks again and again must not keep the last outputs from being reached.
    if known is None or not known.full or known.overdue:
        safing.begin(turn, message, full=True, latch=latch)
    elif latch:
        safing.latch(turn)
    if turn.is_in(MachineState.IDLE, MachineState.STOPPED):
        turn.move(Cause.ABORT, reason, message)
    settle_empty(turn)


def end_aborted(turn: Turn) -> None:
    """Put the end of an aborted run on record, once."""
    ending = turn.state.ending
    if ending is not None:
        end_run(turn, ending)


def end_run(turn: Turn, ending: Ending) -> None:
    """Put the end of the run on record, with whatever was under way."""
    run = turn.run
    _end_leaf(turn, ending.message)
    for number in range(len(run.branches)):
        branch.within(turn, number, lambda: _end_leaf(turn, ending.message))
    run = turn.run
    turn.journal(
        RunEnded(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            run=run.identity.uid,
            outcome=ending.outcome,
            message=ending.message,
            by=ending.by,
            leaves_done=run.leaves_done,
            pulses=run.pulses,
            worst_error_ns=run.widths.worst_ns,
            timing=run.widths.timing,
            exact=run.is_counted,
        )
    )
    last = LastRun(
        run=run.identity,
        program_digest=run.program_digest,
        step=run.leaf.name if run.leaf else "",
        path=run.leaf.path if run.leaf else "",
        iterations=counter.iterations(run.program, run.around),
        leaves_done=run.leaves_done,
        leaves_total=run.leaves_before + run.program.estimate.leaves,
        started_wall_ns=run.first_wall_ns,
        ended_wall_ns=turn.wall_ns,
        pulses=run.pulses,
        worst_error_ns=run.widths.worst_ns,
        timing=run.widths.timing,
        outcome=ending.outcome,
        message=ending.message,
        reached=run.reached,
        attempt=run.attempt,
        exact=run.is_counted,
    )
    turn.change(run=None, ending=None, last_run=last)


def _end_leaf(turn: Turn, error: str) -> None:
    run = turn.run
    if isinstance(run.phase, Pulsing):
        pulse.record_cut_short(turn, run.phase)
    writing.unanswered(turn, run.phase, error)
    if run.phase is not None and not isinstance(run.phase, Settling):
        turn.journal(
            StepEnded(
                at_ns=turn.at_ns,
                wall_ns=turn.wall_ns,
                run=run.identity.uid,
                ordinal=run.ordinal,
                error=error,
            )
        )


def settled(turn: Turn) -> None:
    """Every write of the safe state has been answered."""
    safe = turn.state.safing
    assert safe is not None, "a safe state is on its way"
    end_aborted(turn)
    if not safing.confirmed(turn):
        safing.retry_later(turn)
        return
    safing.settle(turn)
    if turn.is_in(MachineState.ABORTING):
        if safe.latch:
            turn.move(Cause.LATCH, turn.state.reason, f"{turn.state.message}; clear to go on")
        else:
            turn.move(Cause.SAFE, "SafeStateConfirmed", safe.reason)
    if turn.state.stopping:
        stop(turn)
    else:
        reset(turn)


def settle_empty(turn: Turn) -> None:
    """A safe state that keeps everything is settled as soon as there is a connection."""
    if safing.is_empty(turn):
        settled(turn)


def overdue(turn: Turn) -> None:
    """The safe state was not confirmed in time."""
    safing.give_up_waiting(turn)
    end_aborted(turn)
    if turn.is_in(MachineState.ABORTING):
        turn.move(
            Cause.LATCH,
            "SafeStateUnconfirmed",
            "the PLC has not confirmed the safe state",
        )
    if turn.state.stopping:
        stop(turn)


def stop(turn: Turn) -> None:
    """The last record of this session, once."""
    if any(isinstance(effect, Exit) for effect in turn.effects):
        return
    turn.journal(
        SessionEnded(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            session=turn.state.session,
            reason=turn.state.stopping,
        )
    )
    turn.effects.append(Exit())


def reset(turn: Turn) -> None:
    """Go from Stopped to Idle when nothing stands against it; otherwise say what does."""
    if not turn.is_in(MachineState.STOPPED):
        return
    reason, message = _obstacle(turn)
    if reason:
        turn.explain(reason, message)
    else:
        turn.move(Cause.RESET, "Ready", "ready for a run")


def _obstacle(turn: Turn) -> tuple[str, str]:
    state = turn.state
    if state.layout is None:
        return "NoPlant", "no configuration has been given yet"
    if state.layout.plant.mode is Mode.OBSERVE:
        return "ObserveMode", "mode Observe: values are read, nothing is written, no run is taken"
    if not state.plant_confirmed:
        return "NotConfirmed", "the operator has not confirmed this configuration yet"
    if not state.connected:
        return "LinkDown", "there is no connection to the PLC"
    if not state.safe_confirmed:
        return "SafeStateUnconfirmed", "the PLC has not confirmed the valves' safe positions yet"
    return "", ""
