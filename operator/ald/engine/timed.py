"""A pulse that the PLC times: width written where it is not there yet, trigger, and then looked at until the PLC is done.

While the valve is open the width is looked at once more: a hand on the PLC's panel may have changed it since it was written.
`ald.plant.timed_pulse` has the handshake. The valve counts as open from the trigger until the PLC says that it is shut, and one
of which it does not say so in time is shut by the safe state.
"""

from msgspec.structs import replace

from ald.engine import pulse
from ald.engine.effects import Coils, Lane, Words
from ald.engine.inputs import Answered, Looked
from ald.engine.layout import VALVE_PREFIX
from ald.engine.state import Known, Pulsing, Timer
from ald.engine.turn import Turn
from ald.engine.verdict import Done, Fatal, Verdict
from ald.errors import SafetyError
from ald.plant import timed_pulse
from ald.plant.model import Table, TimedPulse, Valve
from ald.records.event import RunOutcome, WriteOutcome
from ald.units import format_duration

DONE_WITHIN_NS = 100_000_000
"""Longest time from the width and two cycles of the PLC to the last look at a pulse that the PLC has not ended."""

LOOK_EVERY_NS = 2_000_000
"""Shortest time from one look to the next; a slower PLC is looked at once a cycle."""

CYCLES = 2
"""The PLC sees the trigger in one of its cycles and the end of the width in another."""


def begin(turn: Turn, phase: Pulsing) -> None:
    """Pull the trigger where the register holds the width already; write the width first where it does not.

    Raises:
        SafetyError: the valve may not open now, or the register cannot hold the width.
    """
    valve, timed = _valve(turn, phase)
    broken = timed_pulse.broken(timed, phase.leaf.open_ns)
    if broken:
        raise SafetyError(f"valve {valve.name} stays shut: {broken}")
    if turn.state.widths.get(valve.name) == phase.leaf.open_ns:
        pull(turn, phase)
        return
    _forget(turn, valve)
    words = timed_pulse.words_of(timed, phase.leaf.open_ns)
    token = turn.write(Lane.RECIPE, Words(address=timed.duration.address, words=words))
    _change(turn, phase, prepare=token, was_prepared=True)


def pull(turn: Turn, phase: Pulsing) -> None:
    """Pull the trigger, now that the register holds the width.

    Raises:
        SafetyError: the valve may not open now.
    """
    _, timed = _valve(turn, phase)
    pulse.open_by(turn, phase, Coils(address=timed.trigger, bits=(True,)))


def wake_ns(phase: Pulsing) -> int | None:
    """Return when the next look is due."""
    timer = _timer(phase)
    return timer.next_look_ns if timer.look is None and phase.close_token is None else None


def tick(turn: Turn, phase: Pulsing) -> None:
    """Look at the width, or whether the PLC is done, when that is due."""
    due_ns = wake_ns(phase)
    if due_ns is not None and turn.at_ns >= due_ns:
        _look(turn, phase)


def answered(turn: Turn, phase: Pulsing, answer: Answered) -> Verdict | None:
    """Take in the answer to the width, the trigger, or the closing of a valve that was not to open."""
    if answer.token == _timer(phase).prepare:
        _width_answered(turn, phase, answer)
        return None
    verdict = pulse.answered(turn, phase, answer)
    opened = turn.run.phase
    if answer.token == phase.open_token and answer.ok and isinstance(opened, Pulsing):
        # A cycle later the PLC has taken the width, whatever is in the register afterwards.
        _change(turn, opened, next_look_ns=answer.acked_ns + turn.layout.plant.link.cycle_ns)
    return verdict


def looked(turn: Turn, phase: Pulsing, found: Looked) -> Verdict | None:
    """Take in what a look has found."""
    timer = phase.timer
    if timer is None:
        return None
    if found.token == timer.prepare:
        _width_found(turn, phase, found)
    elif found.token == timer.look:
        return (_end_found if timer.was_checked else _width_checked)(turn, phase, found)
    return None


def _width_answered(turn: Turn, phase: Pulsing, answer: Answered) -> None:
    valve, timed = _valve(turn, phase)
    if not answer.ok:
        pulse.give_up(turn, phase, f"the width of valve {valve.name} was not set: {answer.error}")
        return
    point = timed.duration
    _change(turn, phase, prepare=turn.look(point.table, point.address, point.type.words))


def _width_found(turn: Turn, phase: Pulsing, found: Looked) -> None:
    """Let the trigger be next when the register holds what was written: a wrong width would be a wrong film."""
    valve, timed = _valve(turn, phase)
    open_ns = phase.leaf.open_ns
    if found.values is None:
        pulse.give_up(turn, phase, f"the width of valve {valve.name} was not read: {found.error}")
        return
    words = timed_pulse.words_of(timed, open_ns)
    if found.values != words:
        pulse.give_up(
            turn,
            phase,
            f"the width of valve {valve.name} reads {found.values}, and {words} was written"
            f" for {format_duration(open_ns)}",
        )
        return
    turn.change(widths={**turn.state.widths, valve.name: open_ns})
    _change(turn, phase, prepare=None)


def _width_checked(turn: Turn, phase: Pulsing, found: Looked) -> Verdict | None:
    """Go on when the register still holds the width of the pulse under way.

    One that cannot be read is written again before the next pulse.
    """
    valve, timed = _valve(turn, phase)
    words = timed_pulse.words_of(timed, phase.leaf.open_ns)
    if found.values != words:
        _forget(turn, valve)
    if found.values not in (None, words):
        return Fatal(
            outcome=RunOutcome.VALVE_MISMATCH,
            message=f"the width of valve {valve.name} reads {found.values} in its pulse, and {words} was written: "
            "something else changed it. Look at the PLC's program and its panel",
        )
    end_ns = phase.opened_sent_ns + phase.leaf.open_ns
    tick(turn, _change(turn, phase, look=None, was_checked=True, next_look_ns=end_ns))
    return None


def _look(turn: Turn, phase: Pulsing) -> None:
    _, timed = _valve(turn, phase)
    timer, point = _timer(phase), timed.duration
    if not timer.was_checked:
        token = turn.look(point.table, point.address, point.type.words)
    elif timer.cleared:
        token = turn.look(timed.done.table, timed.done.address, 1)
    else:
        token = turn.look(Table.COIL, timed.trigger, 1)
    _change(turn, phase, look=token, next_look_ns=None)


def _end_found(turn: Turn, phase: Pulsing, found: Looked) -> Verdict | None:
    valve, _ = _valve(turn, phase)
    if found.values is None:
        message = f"the PLC does not say whether valve {valve.name} is shut: {found.error}"
        return _look_again(turn, phase, found, pulse.of_unknown(turn), message)
    if not _timer(phase).cleared:
        if found.values[0]:
            message = f"the PLC has not ended the pulse of valve {valve.name} in time"
            return _look_again(turn, phase, found, RunOutcome.VALVE_MISMATCH, message)
        _look(turn, _change(turn, phase, look=None, cleared=True))
        return None
    if not found.values[0]:
        return Fatal(
            outcome=RunOutcome.VALVE_MISMATCH,
            message=f"the PLC ended the pulse of valve {valve.name} before its time",
        )
    return _done(turn, phase, found.acked_ns)


def _look_again(
    turn: Turn, phase: Pulsing, found: Looked, outcome: RunOutcome, message: str
) -> Verdict | None:
    """Look once more, unless this look left when the PLC should have been done for long."""
    cycle_ns = turn.layout.plant.link.cycle_ns
    end_ns = phase.opened_ack_ns + phase.leaf.open_ns + CYCLES * cycle_ns
    if (found.sent_ns or turn.at_ns) > end_ns + DONE_WITHIN_NS:
        return Fatal(outcome=outcome, message=message)
    _change(turn, phase, look=None, next_look_ns=turn.at_ns + max(cycle_ns, LOOK_EVERY_NS))
    return None


def _done(turn: Turn, phase: Pulsing, seen_ns: int) -> Verdict:
    name, open_ns = phase.leaf.valve, phase.leaf.open_ns
    shut = Known(value=0.0, acked_ns=seen_ns)
    turn.change(
        open_valves=turn.state.open_valves - {name},
        written={**turn.state.written, VALVE_PREFIX + name: shut},
    )
    pulse.record(turn, phase, (0, seen_ns), WriteOutcome.CONFIRMED, is_whole=True)
    due_ns = turn.run.due_ns
    if _timer(phase).was_prepared:
        # What the new width took moves the schedule, instead of cutting the next step short.
        due_ns = max(due_ns, phase.opened_sent_ns)
    return Done(due_ns=due_ns + open_ns, nominal_ns=open_ns)


def _forget(turn: Turn, valve: Valve) -> None:
    turn.change(widths={n: w for n, w in turn.state.widths.items() if n != valve.name})


def _change(turn: Turn, phase: Pulsing, **changes: object) -> Pulsing:
    phase = replace(phase, timer=replace(_timer(phase), **changes))
    turn.change_run(phase=phase)
    return phase


def _timer(phase: Pulsing) -> Timer:
    assert phase.timer is not None, "the PLC times this pulse"
    return phase.timer


def _valve(turn: Turn, phase: Pulsing) -> tuple[Valve, TimedPulse]:
    valve = turn.layout.valves[phase.leaf.valve]
    assert valve.timed is not None, "the PLC times this valve"
    return valve, valve.timed
