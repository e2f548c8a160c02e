"""The life around the runs: start, configuration, connection, clearing, clock, shutdown."""

from msgspec.structs import replace

from ald.engine import ending, interlock, lost, safing, trip
from ald.engine.effects import UsePlant
from ald.engine.inputs import (
    AbortAsked,
    ClearAsked,
    ClockStep,
    LinkDown,
    OpenLeaf,
    OpenRun,
    PlantGiven,
    SafeStateAsked,
    ShutdownAsked,
    Started,
)
from ald.engine.layout import layout_of
from ald.engine.state import UIDS_MAX, LastRun
from ald.engine.transitions import Answer, Cause, Request, answer
from ald.engine.turn import Turn
from ald.errors import RefusedError
from ald.plant.model import InterlockAction, Mode, Plant, digest
from ald.records.event import (
    Cleared,
    ClockStepped,
    LinkChanged,
    MachineState,
    PlantLoaded,
    PulseDone,
    RunEnded,
    RunOutcome,
    SessionStarted,
    StepEnded,
    WriteOutcome,
)

RESTARTED = "the gateway restarted while the run was on; what it left is made safe"
LEFT_UNSAFE = "the gateway ended before the machine was safe or cleared"
DOUBTFUL = "the record of runs is damaged: a run may have been on"


def started(turn: Turn, given: Started) -> None:
    """Begin a session: say what was found, end what a dead executor left open, and make the machine safe."""
    turn.change(
        session=given.session,
        version=given.version,
        wall_offset_ns=given.wall_offset_ns,
        started_uids=given.started_uids,
        last_run=given.last_run,
    )
    turn.journal(
        SessionStarted(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            session=given.session,
            version=given.version,
            found=_found(given),
        )
    )
    if given.open_run is not None:
        turn.change(open_valves=_maybe_open(given.open_run))
    if given.unsafe is not None:
        turn.change(open_valves=turn.state.open_valves | set(given.unsafe.valves))
    if given.plant is not None:
        _use(turn, given.plant, digest(given.plant))
    if given.open_run is not None:
        _end_open_run(turn, lost.known(given.open_run))
        safing.begin(turn, RESTARTED, full=True, latch=given.open_run.latch)
        turn.move(Cause.ABORT, RunOutcome.GATEWAY_RESTARTED.value, RESTARTED)
    elif given.unsafe is not None:
        # In mode Observe, too, where it is given up in its time: what somebody has to look at is not forgotten by a change of mode.
        safing.begin(turn, LEFT_UNSAFE, full=True, latch=given.unsafe.latch)
        turn.move(Cause.ABORT, "SafeStatePending", LEFT_UNSAFE)
    elif given.is_doubtful and (given.plant is None or _controls(turn)):
        safing.begin(turn, DOUBTFUL, full=True)
    elif _controls(turn):
        safing.begin(turn, "the driver started", full=False)
    ending.reset(turn)


def plant_given(turn: Turn, given: PlantGiven) -> None:
    """Take over a configuration, or its confirmation.

    Raises:
        RefusedError: a run is active, or what came is not what was sent.
    """
    if digest(given.plant) != given.plant_digest:
        raise RefusedError(
            "DigestMismatch", "the configuration is not the one that its digest says; send it again"
        )
    if given.plant_digest != turn.state.plant_digest:
        if turn.state.stopping:
            # In mode Observe the safe state that the end waits for would never be settled.
            raise RefusedError("ShuttingDown", "the gateway is going down; its successor takes it")
        if turn.state.run is not None:
            raise RefusedError(
                "RunActive", "a configuration is taken over only while no run is active; wait"
            )
        if turn.state.layout is not None and turn.is_in(MachineState.ABORTING):
            # With the old configuration go the addresses of valves that may be open.
            raise RefusedError(
                "SafeStatePending",
                "the safe state of the present configuration is on its way; it is confirmed, or given up, within seconds",
            )
        _replace(turn, given)
    if given.confirmed:
        turn.change(plant_confirmed=True)
    ending.reset(turn)


def link_up(turn: Turn) -> None:
    """The connection stands: before anything else the valves go to their safe positions."""
    turn.change(connected=True, seen_ns=turn.at_ns)
    turn.journal(
        LinkChanged(
            at_ns=turn.at_ns, wall_ns=turn.wall_ns, connected=True, message="connected to the PLC"
        )
    )
    if _controls(turn):
        if turn.state.safing is None:
            safing.begin(turn, "the connection was made", full=False)
        else:
            safing.attempt(turn)
        ending.settle_empty(turn)
    ending.reset(turn)


def link_down(turn: Turn, given: LinkDown) -> None:
    """The connection is gone: a run ends, and the safe state is the first thing after the next one."""
    turn.change(connected=False, watchdog_ok=False, is_foreign=False)
    turn.journal(
        LinkChanged(at_ns=turn.at_ns, wall_ns=turn.wall_ns, connected=False, message=given.message)
    )
    if turn.state.run is not None:
        ending.abort(turn, RunOutcome.LINK_LOST, given.message)
        ending.end_aborted(turn)
    safing.interrupted(turn)
    # The PLC may come back as another: what was read and written before says nothing about it, and nobody sees meanwhile
    # what a hand on its panel opens.
    turn.change(scan=None, written={}, widths={}, violated={}, unready={}, exposures={})
    if turn.is_in(MachineState.IDLE):
        turn.move(Cause.STOP, "LinkDown", given.message)
    elif turn.is_in(MachineState.STOPPED):
        ending.reset(turn)


def abort_asked(turn: Turn, given: AbortAsked) -> None:
    """End the run that is meant. Without a uid it is a software stop: safe state whether or not a run is on."""
    run = turn.state.run
    if run is None:
        _leave_last_run(turn, given.uid, given.by, given.reason)
    is_meant = run is not None and given.uid in ("", run.identity.uid)
    if is_meant and answer(turn.state.machine, Request.ABORT) is Answer.OBEY:
        message = given.reason or "aborted on request"
        ending.abort(turn, given.outcome, message, by=given.by)
    elif run is None and not given.uid and _controls(turn):
        ending.safe_without_run(turn, "StopAsked", given.reason or "safe state on request")


def safe_state_asked(turn: Turn, given: SafeStateAsked) -> None:
    """Write the whole safe state in whatever state the machine is, end a run by it, and stay Aborted until cleared.

    Raises:
        RefusedError: nothing may be written.
    """
    if not _controls(turn):
        raise RefusedError(
            "NotControlled", "without a configuration, or in mode Observe, nothing is written"
        )
    message = f"safe state asked for by {given.by}: {given.comment or 'no comment'}"
    if turn.state.run is not None:
        ending.abort(turn, RunOutcome.ABORTED, message, by=given.by, latch=True)
    else:
        _leave_last_run(turn, "", given.by, given.comment)
        ending.safe_without_run(turn, "SafeStateAsked", message, latch=True)


def clear_asked(turn: Turn, given: ClearAsked) -> None:
    """Leave Aborted.

    Raises:
        RefusedError: the machine is not Aborted, or an interlock that aborts is violated.
    """
    if answer(turn.state.machine, Request.CLEAR) is Answer.REFUSE:
        raise RefusedError(
            "NotAborted", f"only Aborted is cleared; the machine is {turn.state.machine.value}"
        )
    for _, message in interlock.standing(turn.state, InterlockAction.ABORT):
        raise RefusedError("Interlocked", f"{message}; it would abort again at once")
    turn.journal(
        Cleared(at_ns=turn.at_ns, wall_ns=turn.wall_ns, by=given.by, comment=given.comment)
    )
    turn.move(Cause.CLEAR, "Cleared", f"cleared by {given.by}")
    trip.release(turn)
    ending.reset(turn)


def clock_stepped(turn: Turn, given: ClockStep) -> None:
    """Anchor wall times anew; durations never see it."""
    turn.change(wall_offset_ns=turn.state.wall_offset_ns + given.step_ns)
    turn.journal(ClockStepped(at_ns=turn.at_ns, wall_ns=turn.wall_ns, step_ns=given.step_ns))


def shutdown_asked(turn: Turn, given: ShutdownAsked) -> None:
    """Make the machine safe and end; a second request changes nothing."""
    if turn.state.stopping:
        return
    turn.change(stopping=given.reason)
    if turn.state.run is not None:
        ending.abort(turn, RunOutcome.SHUTDOWN, given.reason)
    elif _controls(turn) and turn.state.connected and turn.state.safing is None:
        safing.begin(turn, given.reason, full=False)
        ending.settle_empty(turn)
    if turn.state.safing is None or turn.state.safing.overdue:
        ending.stop(turn)


def _leave_last_run(turn: Turn, uid: str, by: str, why: str) -> None:
    """Have the run that the restart has cut short not taken up again: somebody has stopped it, or without a uid the machine."""
    last = turn.state.last_run
    if last is not None and last.resumable and uid in ("", last.run.uid):
        message = f"{last.message}; stopped since then by {by}: {why or 'no reason given'}"
        turn.change(last_run=replace(last, resumable=False, message=message))


def _controls(turn: Turn) -> bool:
    layout = turn.state.layout
    return layout is not None and layout.plant.mode is Mode.CONTROL


def _use(turn: Turn, plant: Plant, plant_digest: str) -> None:
    """Work with this plant from here on; nothing is known of it yet."""
    turn.change(
        layout=layout_of(plant),
        plant_digest=plant_digest,
        plant_confirmed=False,
        connected=False,
        watchdog_ok=False,
        is_foreign=False,
        scan=None,
        violated={},
        first_out="",
        unready={},
        written={},
        widths={},
        exposures={},
        safe_confirmed=False,
    )
    turn.journal(
        PlantLoaded(at_ns=turn.at_ns, wall_ns=turn.wall_ns, plant_digest=plant_digest, plant=plant)
    )


def _maybe_open(found: OpenRun) -> frozenset[str]:
    """Return the valves that a pulse may have left open, so that they are shut even where the safe state keeps them."""
    pulses = (found.pulse, *(each.pulse for each in found.beside))
    return frozenset(found.valves) | {pulse.valve for pulse in pulses if pulse is not None}


def _replace(turn: Turn, given: PlantGiven) -> None:
    if turn.is_in(MachineState.IDLE):
        turn.move(Cause.STOP, "NewPlant", "a new configuration is being taken over")
    turn.effects.append(UsePlant(plant=given.plant))
    _use(turn, given.plant, given.plant_digest)
    safing.interrupted(turn)
    if given.plant.mode is Mode.OBSERVE and not turn.is_in(MachineState.ABORTING):
        # Nothing may be written any more, so nothing is on its way either; what a run has left is given up in its time.
        turn.change(safing=None)


def _found(given: Started) -> str:
    if given.open_run is not None:
        run = given.open_run
        where = f"at step {run.step or 'none'} ({run.ordinal} of {run.leaves_total} begun)"
        return (
            f"run {run.run.namespace}/{run.run.name} was on, "
            f"{where if run.is_exact else lost.UNKNOWN_POSITION}; writing the whole safe state"
        )
    if given.unsafe is not None:
        return f"{LEFT_UNSAFE}; the whole safe state is written where anything may be"
    if given.is_doubtful:
        return f"{DOUBTFUL}; the whole safe state is written where anything may be"
    if given.plant is None:
        return "no configuration on the volume; waiting for one"
    if given.plant.mode is Mode.OBSERVE:
        return "no run was on; mode Observe, so nothing is written"
    return "no run was on; moving the valves to their safe positions"


def _end_open_run(turn: Turn, found: OpenRun) -> None:
    """Put on record how far the run had come, exactly where that is known, and that it is over."""
    uid = found.run.uid
    main = OpenLeaf(ordinal=found.ordinal, pulse=found.pulse)
    open_leaves = (*(() if found.leaf_ended else (main,)), *found.beside)
    if not found.is_exact:
        # Its first step is long over, perhaps; nothing is said of any step.
        open_leaves = ()
    for each in open_leaves:
        _end_open_leaf(turn, uid, each)
    pulses = found.pulses + sum(each.pulse is not None for each in open_leaves)
    last = LastRun(
        run=found.run,
        program_digest=found.program_digest,
        step=found.step,
        path=found.path,
        iterations=found.iterations,
        leaves_done=found.leaves_done,
        leaves_total=found.leaves_total,
        started_wall_ns=found.started_wall_ns,
        ended_wall_ns=turn.wall_ns,
        pulses=pulses,
        worst_error_ns=found.worst_error_ns,
        timing=found.timing,
        outcome=RunOutcome.GATEWAY_RESTARTED,
        message=f"{RESTARTED}; {lost.position(found)}",
        reached=found.reached,
        attempt=found.attempt,
        resumable=found.resumable,
        exact=found.is_exact and found.is_counted,
        begun=found.begun,
        width_counts=found.width_counts,
    )
    turn.journal(
        RunEnded(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            run=uid,
            outcome=last.outcome,
            message=last.message,
            by="",
            leaves_done=last.leaves_done,
            pulses=last.pulses,
            worst_error_ns=last.worst_error_ns,
            timing=last.timing,
            exact=last.exact,
        )
    )
    others = tuple(known for known in turn.state.started_uids if known != uid)
    turn.change(last_run=last, started_uids=(*others, uid)[-UIDS_MAX:])


def _end_open_leaf(turn: Turn, uid: str, found: OpenLeaf) -> None:
    pulse = found.pulse
    if pulse is not None:
        turn.journal(
            PulseDone(
                at_ns=turn.at_ns,
                wall_ns=turn.wall_ns,
                run=uid,
                ordinal=found.ordinal,
                path=pulse.path,
                name=pulse.name,
                iterations=pulse.iterations,
                valve=pulse.valve,
                open_ns=pulse.open_ns,
                due_ns=pulse.due_ns,
                opened_sent_ns=pulse.opened_sent_ns,
                opened_ack_ns=pulse.opened_ack_ns,
                closed_sent_ns=0,
                closed_ack_ns=0,
                error_ns=0,
                uncertainty_ns=max(0, turn.at_ns - pulse.due_ns),
                outcome=WriteOutcome.UNKNOWN,
                timed_by=pulse.timed_by,
            )
        )
    turn.journal(
        StepEnded(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            run=uid,
            ordinal=found.ordinal,
            error=RESTARTED,
        )
    )
