"""Interlocks: what must be true of the plant, as the last scan shows it.

A permissive that is false, that cannot be evaluated, or of which a value is not good is violated; and every one is when no
scan has come for `max_scan_gap_ns`. One that has been violated for its `for_ns` has tripped, and stays so until a scan
shows it satisfied. What follows from it is decided in `ald.engine.trip` and `ald.engine.course`; here it is only judged.
"""

from collections.abc import Iterator, Mapping

import msgspec
from msgspec.structs import replace

from ald.engine import reading
from ald.engine.state import State, Violated
from ald.plant.model import Interlock, InterlockAction
from ald.program.condition import Condition
from ald.standing import InterlockStatus
from ald.units import format_duration

SHOWN_MAX = 5
"""Interlocks that a status explains; it names all of them."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """All that are violated now, and the names of those that have tripped, or are satisfied again, since the last time."""

    violated: Mapping[str, Violated]
    tripped: tuple[str, ...]
    satisfied: tuple[str, ...]


def judge(state: State, at_ns: int) -> Judgement:
    """Look at every interlock."""
    violated: dict[str, Violated] = {}
    tripped = []
    for interlock, permissive in _interlocks(state):
        if _is_satisfied(state, permissive, at_ns):
            continue
        found = state.violated.get(interlock.name)
        if found is None:
            found = _violated(state, interlock, permissive, at_ns)
        if not found.tripped and at_ns - found.since_ns >= interlock.for_ns:
            found = replace(found, tripped=True)
            tripped.append(interlock.name)
        violated[interlock.name] = found
    satisfied = [n for n, was in state.violated.items() if was.tripped and n not in violated]
    return Judgement(violated=violated, tripped=tuple(tripped), satisfied=tuple(satisfied))


def unsatisfied(state: State, at_ns: int) -> str:
    """Return why an interlock does not let a run start, however short it has been violated; empty where all let it."""
    for interlock, permissive in _interlocks(state):
        known = state.violated.get(interlock.name)
        if known is not None:
            return known.message
        if not _is_satisfied(state, permissive, at_ns):
            return _violated(state, interlock, permissive, at_ns).message
    return ""


def standing(state: State, *actions: InterlockAction) -> Iterator[tuple[Interlock, str]]:
    """Yield the tripped interlocks of these actions, the first that tripped first, each with what it says."""
    found = [
        (interlock, known.message)
        for interlock, _ in _interlocks(state)
        if interlock.action in actions
        and (known := state.violated.get(interlock.name)) is not None
        and known.tripped
    ]
    yield from sorted(found, key=lambda item: item[0].name != state.first_out)


def status(state: State) -> InterlockStatus:
    """Return what the status says: the names of all that have tripped, and what the first of them say."""
    found = list(standing(state, *InterlockAction))
    more = len(found) - SHOWN_MAX
    messages = [message for _, message in found[:SHOWN_MAX]]
    return InterlockStatus(
        declared=len(state.layout.permissives) if state.layout is not None else 0,
        tripped=tuple(interlock.name for interlock, _ in found),
        first_out=state.first_out,
        message="; ".join(messages) + (f"; and {more} more" if more > 0 else ""),
    )


def wake_ns(state: State) -> int | None:
    """Return when an interlock trips although no scan comes; None while only a scan can bring that about."""
    return min(_times(state), default=None)


def is_stale(state: State, at_ns: int) -> bool:
    """Tell whether the last scan is too old to be believed."""
    assert state.layout is not None, "a plant is loaded"
    return at_ns - state.seen_ns >= state.layout.plant.max_scan_gap_ns


def _times(state: State) -> Iterator[int]:
    if state.layout is None or not state.connected:
        return
    for interlock, _ in _interlocks(state):
        known = state.violated.get(interlock.name)
        if known is None:
            yield state.seen_ns + state.layout.plant.max_scan_gap_ns
        elif not known.tripped:
            yield known.since_ns + interlock.for_ns


def _interlocks(state: State) -> Iterator[tuple[Interlock, Condition | None]]:
    """Yield the interlocks with their conditions. Without a connection nothing is known, and nothing judged."""
    if state.layout is not None and state.connected:
        yield from zip(state.layout.plant.interlocks, state.layout.permissives, strict=True)


def _is_satisfied(state: State, permissive: Condition | None, at_ns: int) -> bool:
    if is_stale(state, at_ns):
        return False
    if state.scan is None:
        # Nothing has been read since the connection was made: that lasts for a moment, and no run starts in it.
        return True
    return permissive is not None and reading.holds(state, permissive, at_ns)


def _violated(
    state: State, interlock: Interlock, permissive: Condition | None, at_ns: int
) -> Violated:
    names = permissive.reads if permissive is not None else ()
    readings = {name: reading.good(state, name) for name in names}
    why = f"not true: {interlock.permissive}"
    if is_stale(state, at_ns):
        assert state.layout is not None, "a plant is loaded"
        gap = format_duration(state.layout.plant.max_scan_gap_ns)
        why = f"nothing has been read for {gap}, so nobody knows whether {interlock.permissive}"
    shown = reading.shown(state, readings)
    message = f"interlock {interlock.name} is violated: {why} ({shown or 'no condition'})"
    return Violated(since_ns=at_ns, readings=readings, message=message)
