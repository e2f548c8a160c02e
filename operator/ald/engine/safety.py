"""The proof's rules once more, right before each write: nothing that breaks one reaches the link.

A valve opens only when the PLC is ours to write to, the link is up, no safe state is on its way, no interlock is violated,
its time is within its maximum and, where the PLC times it, stands in its register, no other valve of a group with it is open, and every group it belongs to has been purged since another of its
valves was open. A valve is open that a pulse opened, and one that reads open although nobody here opened it. What counts as
purged is decided in `ald.engine.purge`; here it is only compared.
"""

from collections.abc import Iterator

from ald.engine import interlock, reading
from ald.engine.effects import Coils, Lane, Target, Words
from ald.engine.layout import VALVE_PREFIX, Layout
from ald.engine.state import Exposure, Pulsing, State
from ald.plant.model import ExclusionGroup, InterlockAction, Mode, Valve
from ald.units import format_duration


def violation(state: State, lane: Lane, target: Target) -> str:
    """Return which rule the write would break, in plain words; empty when it may go out."""
    layout = state.layout
    if layout is None:
        return "there is no plant to write to"
    if layout.plant.mode is Mode.OBSERVE:
        return "the machine is in mode Observe, which never writes"
    if lane is Lane.SAFE:
        return ""
    if isinstance(target, Words):
        return next(_misset(state, layout, target), "")
    return next(_misopened(state, layout, target), "")


def unpurged(exposure: Exposure, group: ExclusionGroup, valve: str) -> int:
    """Return how much purge is missing before `valve` may open, in ns; 0 when none is."""
    if exposure.valve == valve:
        return 0
    return max(0, group.minimum_purge_ns - exposure.counted_ns)


def exposed_by_others(state: State) -> dict[str, Exposure]:
    """Return, as exposed to the worst, the groups of which a valve reads open that no pulse has opened."""
    groups = state.layout.plant.groups if state.layout is not None else ()
    return {
        group.name: Exposure(group=group.name)
        for group in groups
        if opened_by_others(state, group) is not None
    }


def opened_by_others(state: State, group: ExclusionGroup) -> str | None:
    """Return a valve of the group that reads open although no pulse has opened it."""
    strangers = (v for v in group.valves if v not in state.open_valves and _is_open(state, v))
    return next(strangers, None)


def _is_open(state: State, valve: str) -> bool:
    return valve in state.open_valves or reading.known(state, VALVE_PREFIX + valve) == 1.0


def _opened(layout: Layout, target: Coils) -> list[Valve]:
    """Return the valves that the write opens, by their coil or by their trigger."""
    return [
        valve
        for valve in layout.plant.valves
        if _sets(target, valve.coil)
        or (valve.timed is not None and _sets(target, valve.timed.trigger))
    ]


def _misopened(state: State, layout: Layout, target: Coils) -> Iterator[str]:
    for valve in _opened(layout, target):
        if valve.timed is not None and _sets(target, valve.coil):
            yield f"valve {valve.name} stays shut: the PLC alone opens it, when it is triggered"
        for broken in _broken(state, layout, valve):
            yield f"valve {valve.name} stays shut: {broken}"


def _sets(target: Coils, coil: int) -> bool:
    return 0 <= coil - target.address < len(target.bits) and target.bits[coil - target.address]


def _misset(state: State, layout: Layout, target: Words) -> Iterator[str]:
    """Yield why the write may not change a valve's width: only its own step does, while it is shut."""
    phase = state.run.phase if state.run is not None else None
    for valve in layout.plant.valves:
        if valve.timed is None:
            continue
        point = valve.timed.duration
        first, end = target.address, target.address + len(target.words)
        if not (first < point.address + point.type.words and point.address < end):
            continue
        if valve.name in state.open_valves:
            yield f"the width of valve {valve.name} stays as it is: the valve is open"
        elif not isinstance(phase, Pulsing) or phase.leaf.valve != valve.name:
            yield f"the width of valve {valve.name} stays as it is: no step of a run opens it"


def _broken(state: State, layout: Layout, valve: Valve) -> Iterator[str]:
    """Yield every rule that opening `valve` now would break."""
    if not state.connected:
        yield "there is no connection to the PLC"
    if state.safing is not None or state.ending is not None:
        yield "the safe state is on its way"
    for _, message in interlock.standing(state, *InterlockAction):
        yield message
    phase = state.run.phase if state.run is not None else None
    if not isinstance(phase, Pulsing) or phase.leaf.valve != valve.name:
        yield "no step of a run opens it"
    elif phase.leaf.open_ns > valve.max_open_ns:
        yield (
            f"{format_duration(phase.leaf.open_ns)} is longer than its maximum of "
            f"{format_duration(valve.max_open_ns)}"
        )
    elif valve.timed is not None and state.widths.get(valve.name) != phase.leaf.open_ns:
        yield "its duration register is not known to hold its time"
    for group in layout.groups_of[valve.name]:
        yield from _group(state, group, valve)


def _group(state: State, group: ExclusionGroup, valve: Valve) -> Iterator[str]:
    others = sorted(name for name in group.valves if name != valve.name and _is_open(state, name))
    if others:
        yield f"valve {others[0]} of group {group.name} is open"
    exposure = state.exposures.get(group.name, Exposure(group=group.name))
    missing = unpurged(exposure, group, valve.name)
    if missing:
        last = f"valve {exposure.valve}" if exposure.valve else "an unknown valve"
        yield (
            f"group {group.name} was last exposed to {last} and needs "
            f"{format_duration(missing)} more purge"
        )
