"""What has to be true of the plant before a run starts, as the last scan shows it; once a run is on, it is not asked for any more."""

from collections.abc import Iterator, Mapping, Sequence

from ald.engine import interlock, reading
from ald.engine.state import State, Unready
from ald.program.condition import Condition
from ald.standing import ReadinessStatus
from ald.units import format_duration

SHOWN_MAX = 5
"""Conditions that a message explains; a status names all."""

SAID_NS = 60_000_000_000
"""A status shows the values of so long ago at most, and is not written anew for every scan."""


def judge(state: State, at_ns: int) -> Mapping[str, Unready]:
    """Return which conditions are not met, by name. What is said of one stays as it is for `SAID_NS`."""
    return {
        name: known
        if (known := state.unready.get(name)) is not None and at_ns - known.said_ns < SAID_NS
        else Unready(message=message, said_ns=at_ns)
        for name, message in _unmet(state, at_ns)
    }


def obstacle(state: State, at_ns: int) -> str:
    """Return why no run may start now, empty where nothing stands against one."""
    if not any(_declared(state)):
        return ""
    assert state.layout is not None, "conditions are declared"
    if state.scan is None or interlock.is_stale(state, at_ns):
        gap = format_duration(state.layout.plant.max_scan_gap_ns)
        return f"nothing has been read for {gap}, so nobody knows whether the machine is ready"
    return _told([message for _, message in _unmet(state, at_ns)])


def status(state: State) -> ReadinessStatus:
    """Return what the status says, as the last scan has shown it."""
    declared = len(state.layout.readiness) if state.layout is not None else 0
    return ReadinessStatus(
        declared=declared,
        missing=tuple(state.unready),
        message=_told([each.message for each in state.unready.values()]),
    )


def _unmet(state: State, at_ns: int) -> Iterator[tuple[str, str]]:
    for name, text, condition in _declared(state):
        if condition is None or not reading.holds(state, condition, at_ns):
            yield name, _why(state, name, text, condition)


def _declared(state: State) -> Iterator[tuple[str, str, Condition | None]]:
    if state.layout is not None:
        for each, condition in zip(
            state.layout.plant.readiness, state.layout.readiness, strict=True
        ):
            yield each.name, each.condition, condition


def _why(state: State, name: str, text: str, condition: Condition | None) -> str:
    names = condition.reads if condition is not None else ()
    shown = reading.shown(state, {each: reading.good(state, each) for each in names})
    return f"{name} is not met: {text} ({shown or 'no condition'})"


def _told(messages: Sequence[str]) -> str:
    more = len(messages) - SHOWN_MAX
    return "; ".join(messages[:SHOWN_MAX]) + (f"; and {more} more" if more > 0 else "")
