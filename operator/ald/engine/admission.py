"""Whether a run may start now; everything that needs no hardware was decided before, when its program was compiled."""

from collections.abc import Iterator
from itertools import chain

import msgspec

from ald.engine import counter, interlock, obstacle, positions, readiness, reservation
from ald.engine.inputs import RunGiven
from ald.engine.state import UIDS_MAX, LastRun, Run
from ald.engine.transitions import Answer, Request, answer
from ald.engine.turn import Turn
from ald.engine.widths import counted_on, widths_of
from ald.errors import InvalidInputError, RefusedError
from ald.plant.model import Mode
from ald.program import figures, pulse_limit
from ald.program.condition import Condition
from ald.program.model import WaitFor, digest
from ald.program.together import shared
from ald.units import format_duration
from ald.wire import PROTOCOL, RunOrder

UID_HEX_DIGITS = 32


def is_known(turn: Turn, order: RunOrder) -> bool:
    """Tell whether this attempt at a run has been started here: it is never started again."""
    uid = order.run.uid
    run, last = turn.state.run, turn.state.last_run
    if order.attempt == 1:
        return uid in turn.state.started_uids
    begun = [each.attempt for each in (run, last) if each is not None and _uid(each) == uid]
    return bool(begun) and max(begun) >= order.attempt


def admit(turn: Turn, given: RunGiven) -> Run:
    """Return the run, ready to begin, and remember its uid.

    Raises:
        RefusedError: it may not start now; the reason says why.
    """
    order = given.order
    # One after another: each looks only at what the ones before have found sound.
    for reason, message in chain(
        _not_resumable(turn, order),
        _unfit(turn, order),
        _unready(turn),
        _unsafe(turn),
        _too_short(turn, given),
    ):
        raise RefusedError(reason, message)
    run = Run(
        identity=order.run,
        program=order.program,
        program_digest=order.program_digest,
        conditions=_conditions(order),
        first_wall_ns=turn.wall_ns,
        marks=reservation.marks_of(order.program),
        started_ns=turn.at_ns,
        due_ns=turn.at_ns,
        widths=widths_of(order.program),
    )
    before = turn.state.last_run
    if order.attempt > 1 and before is not None:
        run = _counting_on(run, before)
    others = tuple(known for known in turn.state.started_uids if known != order.run.uid)
    turn.change(started_uids=(*others, order.run.uid)[-UIDS_MAX:])
    return reservation.begun(run)


def _counting_on(run: Run, before: LastRun) -> Run:
    """Return the run as another attempt: what it has done, and where it was, it does not begin anew."""
    return msgspec.structs.replace(
        run,
        attempt=before.attempt + 1,
        leaves_before=before.leaves_done,
        first_wall_ns=before.started_wall_ns,
        begun=before.begun,
        leaves_done=before.leaves_done,
        pulses=before.pulses,
        reached=before.reached,
        is_counted=before.exact,
        widths=counted_on(run.widths, before.width_counts, before.worst_error_ns, before.timing),
    )


def _not_resumable(turn: Turn, order: RunOrder) -> Iterator[tuple[str, str]]:
    """Yield why an attempt after the first cannot go on with the one before it."""
    before = turn.state.last_run
    if order.attempt == 1:
        return
    if before is None or before.run.uid != order.run.uid:
        yield "NotResumable", "the last run here was another one, or none"
    elif not before.resumable or order.attempt != before.attempt + 1:
        yield (
            "NotResumable",
            f"attempt {before.attempt} at the run ended {before.outcome.value}: {before.message}",
        )


def _uid(run: Run | LastRun) -> str:
    return (run.identity if isinstance(run, Run) else run.run).uid


def _unfit(turn: Turn, order: RunOrder) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the order itself."""
    if order.protocol != PROTOCOL:
        yield "Protocol", f"this gateway speaks version {PROTOCOL}, the order {order.protocol}"
    digits = order.run.uid.replace("-", "")
    if len(digits) != UID_HEX_DIGITS or set(digits.lower()) - set("0123456789abcdef"):
        yield "BadUid", f"a run's uid is a UUID, not {order.run.uid!r}"
    if digest(order.program) != order.program_digest:
        yield "DigestMismatch", "the program is not the one that its digest says; send it again"
    if order.program.plant_digest != turn.state.plant_digest:
        yield (
            "PlantMismatch",
            "the program was compiled against another configuration; compile anew",
        )
    fault = counter.fault(order.program) or figures.fault(order.program)
    if fault:
        yield "BadProgram", fault
    elif turn.state.layout is not None:
        for found in shared(order.program.instructions, turn.state.layout.plant):
            yield "BadProgram", str(found)
        for pulse, why in pulse_limit.untimeable(
            order.program.instructions, turn.state.layout.plant
        ):
            yield (
                "BadProgram",
                f"step {pulse.name} opens valve {pulse.valve} for {format_duration(pulse.open_ns)}: {why}",
            )


def _unready(turn: Turn) -> Iterator[tuple[str, str]]:
    """Yield what stands against any run now."""
    state = turn.state
    if state.layout is None:
        yield "NoPlant", "no configuration has been given yet"
        return
    plant = state.layout.plant
    if plant.mode is Mode.OBSERVE:
        yield "ObserveMode", "the machine is in mode Observe, which never writes"
    if answer(state.machine, Request.START) is Answer.REFUSE:
        yield "NotIdle", f"the machine is {state.machine.value}: {state.message}"
    if state.stopping:
        yield "ShuttingDown", "the gateway is going down"
    if not state.connected or not state.safe_confirmed:
        yield "LinkDown", "the PLC is not connected, or has not confirmed the valves' positions"
    if state.scan is None:
        yield "NoScan", "nothing has been read from the PLC yet; try again"
    misplaced = positions.mismatch(state)
    if misplaced:
        yield "ValveMismatch", misplaced
    if plant.heartbeat is None and not plant.allow_without_watchdog:
        yield (
            "NoWatchdog",
            "the machine has no heartbeat register; declare one, or set allowWithoutWatchdog",
        )
    in_the_way = obstacle.found(state)
    if in_the_way is not None:
        yield in_the_way.reason, in_the_way.message


def _unsafe(turn: Turn) -> Iterator[tuple[str, str]]:
    """Yield what of the plant itself stands against any run now."""
    violated = interlock.unsatisfied(turn.state, turn.at_ns)
    if violated:
        yield "Interlocked", violated
    unready = readiness.obstacle(turn.state, turn.at_ns)
    if unready:
        yield "NotReady", unready


def _too_short(turn: Turn, given: RunGiven) -> Iterator[tuple[str, str]]:
    """Yield the pulse that is too short for this PLC and this link as it is now."""
    program, layout = given.order.program, turn.state.layout
    timing = program.timing
    if layout is None or timing is None or timing.allow_short:
        return
    link = layout.plant.link
    measured_ns = given.write_spread_ns
    spread_ns = link.write_spread_ns if measured_ns is None else measured_ns
    # The closing edge may have to wait for the pause, too.
    uneven_ns = spread_ns + link.pause_request_ns
    limit_ns = pulse_limit.minimum_ns(link.cycle_ns, uneven_ns, timing)
    of = (
        "as plc.writeSpread declares: too few writes have been measured"
        if measured_ns is None
        else "p99 - p1 of the last write round trips"
    )
    made_of = f"plc.cycle {format_duration(link.cycle_ns)} + {format_duration(spread_ns)} ({of})"
    if link.pause_request_ns:
        made_of += f" + plc.pauses.betweenRequests {format_duration(link.pause_request_ns)}"
    for pulse in pulse_limit.too_short(program.instructions, layout.plant, limit_ns):
        yield "PulseTooShort", pulse_limit.reason(pulse, limit_ns, made_of, timing)


def _conditions(order: RunOrder) -> dict[int, Condition]:
    """Return the conditions by instruction, compiled.

    Raises:
        RefusedError: one of them is no condition.
    """
    compiled = {}
    for index, instruction in enumerate(order.program.instructions):
        if isinstance(instruction, WaitFor):
            try:
                compiled[index] = Condition(instruction.condition, instruction.path)
            except InvalidInputError as error:
                raise RefusedError("BadProgram", str(error)) from error
    return compiled
