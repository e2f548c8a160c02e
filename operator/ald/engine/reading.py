"""What is known of the plant's values: the last scan, and what was written after it began."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from ald.engine.state import State
from ald.program.condition import Condition
from ald.records.scan import Quality

_VALUE = struct.Struct("<d")

SHOWN_MAX = 5
"""Values that a message shows."""


def good(state: State, signal: str) -> float | None:
    """Return the signal's value in the last scan, in its unit; None where it is not good."""
    if state.scan is None or state.layout is None:
        return None
    column = state.layout.columns.get(signal)
    if column is None or state.scan.qualities[column] != Quality.GOOD:
        return None
    value: float = _VALUE.unpack_from(state.scan.values, 8 * column)[0]
    return value


def known(state: State, parameter: str) -> float | None:
    """Return the value of a signal as last written or last well read, whichever is newer; None: not known.

    A scan is newer when it began a cycle of the PLC after the acknowledgement: only then the write shows for certain.
    """
    written = state.written.get(parameter)
    if written is None:
        return good(state, parameter)
    found = good(state, parameter) if is_newer(state, written.acked_ns) else None
    return written.value if found is None else found


def is_newer(state: State, acked_ns: int) -> bool:
    """Tell whether the last scan shows for certain what was acknowledged then."""
    if state.scan is None or state.layout is None:
        return False
    return state.scan.started_ns > acked_ns + state.layout.plant.link.cycle_ns


def is_doubtful(state: State, parameter: str) -> bool:
    """Tell whether a write of this signal may have reached the PLC or not, and no scan has shown it since."""
    written = state.written.get(parameter)
    if written is None or written.moved_ns <= written.acked_ns:
        return False
    return not is_newer(state, written.moved_ns) or good(state, parameter) is None


def holds(state: State, condition: Condition, at_ns: int) -> bool:
    """Return whether `condition` is true of the last scan; false where one of its parameters is not good."""
    if state.scan is None:
        return False
    age_s = (at_ns - state.scan.ended_ns) / 1e9
    found = {name: good(state, name) for name in condition.reads}
    commanded = {name: known(state, name) for name in condition.setpoints}
    values = {name: value for name, value in found.items() if value is not None}
    return condition.evaluate(
        values,
        {name: value for name, value in commanded.items() if value is not None},
        dict.fromkeys(values, int(Quality.GOOD)),
        dict.fromkeys(values, age_s),
    )


def shown(state: State, readings: Mapping[str, float | None]) -> str:
    """Return values of parameters with their units for a message, the first few of them."""
    return ", ".join(_shown(state, *item) for item in list(readings.items())[:SHOWN_MAX])


def _shown(state: State, name: str, value: float | None) -> str:
    if value is None:
        return f"{name} is not good"
    assert state.layout is not None, "a plant is loaded"
    return f"{name} = {value:g} {state.layout.parameters[name].unit}".rstrip()
