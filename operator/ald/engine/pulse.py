"""One opening of one valve: on record, opened, and shut exactly `open_ns` after the opening write left.

What only differs where the PLC shuts it is in `ald.engine.timed`.
"""

from msgspec.structs import replace

from ald.engine import safing
from ald.engine.effects import Coils, Lane
from ald.engine.inputs import Answered
from ald.engine.layout import VALVE_PREFIX, coil_of
from ald.engine.state import Exposure, Known, Pulsing, Timer
from ald.engine.turn import Turn
from ald.engine.verdict import Done, Failed, Fatal, Verdict
from ald.engine.widths import added, added_by_plc
from ald.errors import SafetyError
from ald.program.model import Pulse
from ald.records.event import PulseDone, PulseOpening, RunOutcome, TimedBy, WriteOutcome


def begin(turn: Turn, leaf: Pulse) -> None:
    """Put the pulse on record, then write the opening edge; where the PLC times the valve, `ald.engine.timed` goes on.

    Raises:
        SafetyError: the valve may not open now.
    """
    valve = turn.layout.valves.get(leaf.valve)
    if valve is None:
        raise SafetyError(f"this machine has no valve {leaf.valve}")
    turn.journal(
        PulseOpening(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            run=turn.run.identity.uid,
            ordinal=turn.run.ordinal,
            valve=leaf.valve,
            due_ns=turn.run.due_ns,
        )
    )
    timer = Timer() if valve.timed is not None else None
    phase = Pulsing(leaf=leaf, open_token=0, timer=timer)
    turn.change_run(phase=phase)
    if timer is None:
        open_by(turn, phase, coil_of(valve, is_open=True))


def open_by(turn: Turn, phase: Pulsing, target: Coils) -> None:
    """Write what opens the valve; it counts as open from here on.

    Raises:
        SafetyError: the valve may not open now.
    """
    name = phase.leaf.valve
    token = turn.write(Lane.RECIPE, target)
    turn.change_run(phase=replace(phase, open_token=token))
    exposed = {
        group.name: Exposure(group=group.name, valve=name) for group in turn.layout.groups_of[name]
    }
    turn.change(
        exposures={**turn.state.exposures, **exposed},
        open_valves=turn.state.open_valves | {name},
    )


def wake_ns(phase: Pulsing) -> int | None:
    """Return when the closing edge is due: timed from the opening write as sent."""
    if phase.opened_sent_ns and phase.close_token is None:
        return phase.opened_sent_ns + phase.leaf.open_ns
    return None


def tick(turn: Turn, phase: Pulsing) -> None:
    """Write the closing edge when it is due."""
    due_ns = wake_ns(phase)
    if due_ns is not None and turn.at_ns >= due_ns:
        _close(turn, phase)


def sent(turn: Turn, phase: Pulsing, token: int, sent_ns: int) -> None:
    """Note when an edge left."""
    if token == phase.open_token:
        turn.change_run(phase=replace(phase, opened_sent_ns=sent_ns))
    elif token == phase.close_token:
        turn.change_run(phase=replace(phase, closed_sent_ns=sent_ns))


def answered(turn: Turn, phase: Pulsing, answer: Answered) -> Verdict | None:
    """Take in the answer to one of the two edges."""
    if answer.token == phase.open_token:
        return _opening_answered(turn, phase, answer)
    if answer.token == phase.close_token:
        return _closing_answered(turn, phase, answer)
    return None


def _opening_answered(turn: Turn, phase: Pulsing, answer: Answered) -> Verdict | None:
    name = phase.leaf.valve
    if answer.ok:
        phase = replace(phase, opened_ack_ns=answer.acked_ns)
        turn.change_run(phase=phase)
        return _over(turn, phase)
    if answer.unknown:
        return Fatal(
            outcome=of_unknown(turn),
            message=f"the PLC did not say whether valve {name} opened: {answer.error}",
        )
    error = f"valve {name} did not open: {answer.error}"
    give_up(turn, phase, error)
    return _over(turn, replace(phase, error=error))


def give_up(turn: Turn, phase: Pulsing, error: str) -> None:
    """Fail the step with this error once the valve, which should be shut, was shut all the same."""
    phase = replace(phase, error=error)
    turn.change_run(phase=phase)
    if phase.close_token is None:
        _close(turn, phase)


def _closing_answered(turn: Turn, phase: Pulsing, answer: Answered) -> Verdict | None:
    name = phase.leaf.valve
    if answer.ok:
        shut = Known(value=0.0, acked_ns=answer.acked_ns)
        turn.change(
            open_valves=turn.state.open_valves - {name},
            written={**turn.state.written, VALVE_PREFIX + name: shut},
        )
        phase = replace(phase, closed_sent_ns=answer.sent_ns, closed_ack_ns=answer.acked_ns)
        turn.change_run(phase=phase)
        return _over(turn, phase)
    if answer.unknown:
        message = f"the PLC did not acknowledge the closing of valve {name}: {answer.error}"
        return Fatal(outcome=of_unknown(turn), message=message)
    return Fatal(
        outcome=RunOutcome.SAFETY_VIOLATION,
        message=f"the PLC refused to close valve {name}: {answer.error}",
    )


def _over(turn: Turn, phase: Pulsing) -> Verdict | None:
    """End the pulse once both edges are answered: that it is shut does not tell that it was open."""
    is_opening = bool(phase.open_token) and not phase.opened_ack_ns and not phase.error
    if not phase.closed_ack_ns or is_opening:
        return None
    closed = (phase.closed_sent_ns, phase.closed_ack_ns)
    record(turn, phase, closed, WriteOutcome.CONFIRMED, is_whole=not phase.error)
    if phase.error:
        return Failed(error=phase.error)
    open_ns = phase.leaf.open_ns
    return Done(due_ns=turn.run.due_ns + open_ns, nominal_ns=open_ns)


def of_unknown(turn: Turn) -> RunOutcome:
    """Return how a run ends of which a valve's position is not known: on a sound connection the link is not at fault."""
    return RunOutcome.VALVE_UNKNOWN if turn.state.connected else RunOutcome.LINK_LOST


def record_cut_short(turn: Turn, phase: Pulsing) -> None:
    """Put a pulse on record that the safe state ended, or whose end is not known."""
    if phase.closed_ack_ns:
        closed = (phase.closed_sent_ns, phase.closed_ack_ns)
        record(turn, phase, closed, WriteOutcome.CONFIRMED, is_whole=False)
        return
    write = safing.closing_of(turn.state.safing, phase.leaf.valve)
    if write is None or write.outcome is None:
        record(turn, phase, (phase.closed_sent_ns, 0), WriteOutcome.UNKNOWN, is_whole=False)
        return
    closed = (phase.closed_sent_ns or write.sent_ns, write.acked_ns)
    record(turn, phase, closed, write.outcome, is_whole=False)


def record(
    turn: Turn,
    phase: Pulsing,
    closed: tuple[int, int],
    outcome: WriteOutcome,
    *,
    is_whole: bool,
) -> None:
    """Put the pulse on record; `closed` is when its closing write was sent and acknowledged.

    Only a whole pulse counts for the width errors: one that was refused or cut short missed nothing.
    """
    run, leaf = turn.run, phase.leaf
    closed_sent, closed_ack = closed
    by_plc = phase.timer is not None
    is_measured = phase.opened_sent_ns > 0 and closed_sent > 0 and not by_plc
    error_ns = closed_sent - phase.opened_sent_ns - leaf.open_ns if is_measured else 0
    uncertainty_ns = _uncertainty_ns(turn, phase, closed, is_whole=is_whole)
    turn.journal(
        PulseDone(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            run=run.identity.uid,
            ordinal=run.ordinal,
            path=leaf.path,
            name=leaf.name,
            iterations=tuple(c.iteration for c in run.counters),
            valve=leaf.valve,
            open_ns=leaf.open_ns,
            due_ns=run.due_ns,
            opened_sent_ns=phase.opened_sent_ns,
            opened_ack_ns=phase.opened_ack_ns,
            closed_sent_ns=closed_sent,
            closed_ack_ns=closed_ack,
            error_ns=error_ns,
            uncertainty_ns=uncertainty_ns,
            outcome=outcome,
            timed_by=TimedBy.PLC if by_plc else TimedBy.GATEWAY,
        )
    )
    found = run.widths
    if is_whole and by_plc:
        found = added_by_plc(found, uncertainty_ns)
    elif is_whole:
        found = added(found, error_ns, leaf.open_ns)
    turn.change_run(pulses=run.pulses + 1, widths=found)


def _close(turn: Turn, phase: Pulsing) -> None:
    valve = turn.layout.valves[phase.leaf.valve]
    token = turn.write(Lane.RECIPE, coil_of(valve, is_open=False))
    turn.change_run(phase=replace(phase, close_token=token))


def _uncertainty_ns(turn: Turn, phase: Pulsing, closed: tuple[int, int], *, is_whole: bool) -> int:
    """Return how far the width at the valve may differ from the measured one: the longer round trip and one PLC cycle.

    From one that the PLC timed, which is the wanted one, by a cycle; one that it did not end may be of any length up to that.
    """
    if phase.timer is not None:
        cycle_ns = turn.layout.plant.link.cycle_ns
        return cycle_ns if is_whole else cycle_ns + phase.leaf.open_ns
    closed_sent, closed_ack = closed
    opening = max(0, phase.opened_ack_ns - phase.opened_sent_ns)
    closing = max(0, closed_ack - closed_sent)
    return max(opening, closing) + turn.layout.plant.link.cycle_ns
