"""The safe state: which writes it takes, in which order, and whether the PLC confirmed them.

Valves first, neighbouring coils in one write; then the outputs in the order of the machine. Every write says what shall be,
never what shall change, so the whole of it may be written again after a reconnection or a refusal, until it is confirmed.
"""

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from ald.engine.effects import CancelWrites, Coils, Lane
from ald.engine.inputs import Answered
from ald.engine.layout import VALVE_PREFIX, Layout, target_of
from ald.engine.state import Known, SafeWrite, Safing
from ald.engine.turn import Turn
from ald.errors import SafetyError
from ald.plant.model import SafeAction, Valve
from ald.records.event import SafeStateReached, WriteOutcome, Written

CONFIRM_NS = 10_000_000_000
"""A safe state that the PLC has not confirmed after this time counts as not confirmed; trying goes on all the same."""

RETRY_NS = 500_000_000
"""Wait before the next attempt where the connection stands but the PLC refused a write."""

COILS_MAX = 1968
"""Coils in one write (Modbus Application Protocol V1.1b3, 6.11)."""


TRIGGER_SUFFIX = ".trigger"
"""The trigger of a valve that the PLC times is on record as `valve.tma.trigger`."""


class _Coil(msgspec.Struct, frozen=True):
    """One coil of the safe state."""

    address: int
    name: str
    is_on: bool
    is_trigger: bool


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One write of the safe state; an empty `error`, or why it cannot be made."""

    names: tuple[str, ...]
    values: tuple[float, ...]
    target: Coils
    is_valve: bool


def begin(turn: Turn, reason: str, *, full: bool, latch: bool = False) -> None:
    """Write the safe state now, or as soon as there is a connection. A wider one already asked for stays wide."""
    known = turn.state.safing
    turn.change(
        safe_confirmed=False,
        safing=Safing(
            reason=reason,
            full=full or (known is not None and known.full),
            started_ns=turn.at_ns,
            deadline_ns=turn.at_ns + CONFIRM_NS,
            latch=latch or (known is not None and known.latch),
        ),
    )
    if turn.state.connected:
        attempt(turn)


def latch(turn: Turn) -> None:
    """Whatever comes of the safe state on its way, somebody has to clear the machine."""
    turn.change(safing=replace(_safing(turn), latch=True))


def attempt(turn: Turn) -> None:
    """Write all of it from the beginning."""
    safing = _safing(turn)
    for lane in (Lane.RECIPE, Lane.SAFE):
        turn.effects.append(CancelWrites(lane=lane))
    writes = (*_valves(turn), *(_outputs(turn) if safing.full else ()))
    turn.change(safing=replace(safing, writes=writes, retry_ns=None))


def interrupted(turn: Turn) -> None:
    """The connection is gone: whatever was under way starts anew with the next one."""
    if turn.state.safing is not None:
        turn.change(safing=replace(turn.state.safing, writes=(), retry_ns=None))


def answered(turn: Turn, answer: Answered) -> bool:
    """Take in the answer to a write of the safe state; True when the attempt is complete."""
    safing = _safing(turn)
    writes = tuple(_settled(w, answer) if w.token == answer.token else w for w in safing.writes)
    turn.change(safing=replace(safing, writes=writes))
    for write in writes:
        if write.token == answer.token:
            _record(turn, write)
    return all(write.outcome is not None for write in writes)


def owns(turn: Turn, token: int) -> bool:
    """Tell whether `token` is a write of the safe state under way."""
    safing = turn.state.safing
    return safing is not None and any(write.token == token for write in safing.writes)


def is_empty(turn: Turn) -> bool:
    """Tell whether an attempt is under way that has nothing to write."""
    safing = turn.state.safing
    return safing is not None and turn.state.connected and not safing.writes


def confirmed(turn: Turn) -> bool:
    """Tell whether every write of the complete attempt was acknowledged."""
    return all(w.outcome is WriteOutcome.CONFIRMED for w in _safing(turn).writes)


def settle(turn: Turn) -> None:
    """Every write is acknowledged: the machine is as safe as it gets."""
    safing = _safing(turn)
    _report(turn, safing, is_confirmed=True)
    turn.change(safing=None, safe_confirmed=True, open_valves=frozenset())


def retry_later(turn: Turn) -> None:
    """The PLC refused a write: try the whole again in a while."""
    turn.change(safing=replace(_safing(turn), retry_ns=turn.at_ns + RETRY_NS))


def give_up_waiting(turn: Turn) -> None:
    """The deadline has passed: say so once, and go on trying."""
    safing = replace(_safing(turn), overdue=True)
    turn.change(safing=safing)
    _report(turn, safing, is_confirmed=False)


def closing_of(safing: Safing | None, valve: str) -> SafeWrite | None:
    """Return the write of the safe state that shuts `valve`, if one is known."""
    for write in safing.writes if safing is not None else ():
        if write.is_valve and VALVE_PREFIX + valve in write.names:
            return write
    return None


def plan_valves(layout: Layout, open_valves: frozenset[str]) -> list[Planned]:
    """Return the writes for the valves: neighbouring coils together, in the fewest requests.

    A valve that is to be kept is left out, unless a pulse has it open: a pulse always ends. Triggers go first: one that the PLC
    has not looked at yet would open its valve behind the write that shuts it.
    """
    wanted: list[_Coil] = []
    for valve, is_open in _positions(layout, open_valves):
        if is_open is None:
            continue
        wanted.append(_Coil(valve.coil, VALVE_PREFIX + valve.name, is_open, is_trigger=False))
        if valve.timed is not None:
            name = f"{VALVE_PREFIX}{valve.name}{TRIGGER_SUFFIX}"
            wanted.append(_Coil(valve.timed.trigger, name, is_on=False, is_trigger=True))
    groups: list[list[_Coil]] = []
    for coil in sorted(wanted, key=lambda coil: coil.address):
        if groups and coil.address == groups[-1][-1].address + 1 and len(groups[-1]) < COILS_MAX:
            groups[-1].append(coil)
        else:
            groups.append([coil])
    groups.sort(key=lambda group: not any(coil.is_trigger for coil in group))
    return [
        Planned(
            names=tuple(coil.name for coil in group),
            values=tuple(float(coil.is_on) for coil in group),
            target=Coils(address=group[0].address, bits=tuple(coil.is_on for coil in group)),
            is_valve=True,
        )
        for group in groups
    ]


def _positions(layout: Layout, open_valves: frozenset[str]) -> Iterator[tuple[Valve, bool | None]]:
    """Yield each valve with its safe position, True for open, None for as it is."""
    actions = {entry.valve: entry.action for entry in layout.plant.safe_state.valves}
    for name, valve in layout.valves.items():
        action = actions.get(name, SafeAction.CLOSED)
        if action is SafeAction.KEEP and name not in open_valves:
            yield valve, None
        else:
            yield valve, action is SafeAction.OPEN


def _valves(turn: Turn) -> list[SafeWrite]:
    return [
        SafeWrite(
            token=turn.write(Lane.SAFE, planned.target),
            names=planned.names,
            values=planned.values,
            target=planned.target,
            is_valve=True,
        )
        for planned in plan_valves(turn.layout, turn.state.open_valves)
    ]


def _outputs(turn: Turn) -> list[SafeWrite]:
    writes = []
    for output in turn.layout.plant.safe_state.outputs:
        if output.value is None:
            continue
        try:
            parameter = turn.layout.setpoint(parameter=output.parameter, gas=output.gas)
            target = target_of(parameter, output.value)
        except SafetyError:
            # One output that cannot be written must not keep the others from being made safe.
            continue
        writes.append(
            SafeWrite(
                token=turn.write(Lane.SAFE, target),
                names=(parameter.name,),
                values=(output.value,),
                target=target,
                is_valve=False,
            )
        )
    return writes


def _settled(write: SafeWrite, answer: Answered) -> SafeWrite:
    outcome = WriteOutcome.UNKNOWN if answer.unknown else WriteOutcome.REFUSED
    return replace(
        write,
        sent_ns=answer.sent_ns,
        acked_ns=answer.acked_ns,
        outcome=WriteOutcome.CONFIRMED if answer.ok else outcome,
        error=answer.error,
    )


def _record(turn: Turn, write: SafeWrite) -> None:
    assert write.outcome is not None, "only settled writes go on record"
    if write.outcome is WriteOutcome.CONFIRMED:
        known = {
            name: Known(value=value, acked_ns=write.acked_ns)
            for name, value in zip(write.names, write.values, strict=True)
        }
        turn.change(written={**turn.state.written, **known})
    for name, value in zip(write.names, write.values, strict=True):
        turn.journal(
            Written(
                at_ns=turn.at_ns,
                wall_ns=turn.wall_ns,
                run=turn.state.run.identity.uid if turn.state.run else "",
                ordinal=turn.state.run.ordinal if turn.state.run else 0,
                by="safe-state",
                target=name,
                value=value,
                sent_ns=write.sent_ns,
                ack_ns=write.acked_ns,
                outcome=write.outcome,
                error=write.error,
            )
        )


def _report(turn: Turn, safing: Safing, *, is_confirmed: bool) -> None:
    valves = [w.acked_ns for w in safing.writes if w.is_valve]
    failed = [w for w in safing.writes if w.outcome is not WriteOutcome.CONFIRMED]
    if is_confirmed:
        detail = f"{len(safing.writes)} writes acknowledged"
    elif not turn.state.connected:
        detail = "there is no connection to the PLC; trying goes on"
    else:
        named = ", ".join(name for write in failed for name in write.names)
        reasons = "; ".join(sorted({write.error for write in failed if write.error}))
        detail = f"not acknowledged: {named} ({reasons or 'no answer yet'}); trying goes on"
    turn.journal(
        SafeStateReached(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            reason=safing.reason,
            confirmed=is_confirmed,
            valves_ns=max(0, max(valves, default=0) - safing.started_ns),
            total_ns=turn.at_ns - safing.started_ns,
            detail=detail,
        )
    )


def _safing(turn: Turn) -> Safing:
    assert turn.state.safing is not None, "a safe state is on its way"
    return turn.state.safing
