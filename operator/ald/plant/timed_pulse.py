"""Pulses that the PLC times: which widths its register can hold, and as which words.

The handshake, from one pulse of a valve to the next:

    we write       the width, in counts, to the duration register, where it is not there yet
    we write       1 to the trigger, which was 0
    the PLC        sees the rising edge: takes the width, clears done, sets the valve's coil
    the PLC        when the width is over: clears the valve's coil, sets done, and then clears the trigger
    we read        the trigger until it is 0, and then done: 1 says that the valve was open for the whole width

A trigger or a coil that we clear before its time ends the pulse: the PLC clears all three, and leaves done at 0. So a trigger
that nobody serves stays 1, and a done that is left from the pulse before is never taken for that of this one.
"""

from ald.plant.model import Point, TimedPulse
from ald.plant.words import integer_range, words_of_raw
from ald.units import format_duration


def broken(timed: TimedPulse, open_ns: int) -> str:
    """Return why the register cannot hold this width, with the figures; empty where it can."""
    step_ns, most = timed.resolution_ns, _most(timed.duration)
    if open_ns % step_ns:
        return f"the PLC times whole multiples of {format_duration(step_ns)}"
    if not step_ns <= open_ns <= most * step_ns:
        return f"the PLC times {format_duration(step_ns)} to {format_duration(most * step_ns)}"
    return ""


def words_of(timed: TimedPulse, open_ns: int) -> tuple[int, ...]:
    """Return the words of a width that is not `broken`."""
    assert not broken(timed, open_ns), f"the duration register cannot hold {open_ns} ns"
    point = timed.duration
    return words_of_raw(open_ns // timed.resolution_ns, point.type, point.order)


def _most(point: Point) -> int:
    return integer_range(point.type)[1]
