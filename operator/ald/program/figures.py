"""Whether the figures of a program can be worked with: what the engine relies on when it carries them out.

The compiler makes only such programs. This is for the gateway, which takes them from the wire: a duration that is none, or a
rate of 0, would end its executor in the middle of a run.
"""

import math
from collections.abc import Iterator

from ald.program.model import (
    Instruction,
    Program,
    Prompt,
    Pulse,
    Purge,
    Ramp,
    Set,
    Timing,
    Wait,
    WaitFor,
)
from ald.units import DURATION_NS_MAX, RELATIVE_ERROR_MAX, RELATIVE_ERROR_MIN

Ranges = Iterator[tuple[str, float, float, float]]
"""What it is, its value, and between which two it lies, both included."""

_FLOAT_MAX = math.nextafter(math.inf, 0)


def fault(program: Program) -> str:
    """Return the first figure that nobody can work with, in plain words; empty when all are sound."""
    for where, ranges in _everywhere(program):
        for what, value, low, high in ranges:
            if not low <= value <= high:
                return f"{where}{what} {value} is not from {low} to {high}"
    return ""


def _everywhere(program: Program) -> Iterator[tuple[str, Ranges]]:
    for index, each in enumerate(program.instructions):
        yield f"instruction {index}: ", _ranges(each)
    if program.timing is not None:
        yield "", _of_timing(program.timing)


def _ranges(instruction: Instruction) -> Ranges:
    match instruction:
        case Pulse(open_ns=value):
            yield "open_ns", value, 1, DURATION_NS_MAX
        case Purge(duration_ns=duration_ns, flow=value):
            yield "duration_ns", duration_ns, 0, DURATION_NS_MAX
            yield "flow", value, -_FLOAT_MAX, _FLOAT_MAX
        case Wait(duration_ns=value):
            yield "duration_ns", value, 0, DURATION_NS_MAX
        case WaitFor(stable_ns=stable_ns, timeout_ns=timeout_ns):
            yield "stable_ns", stable_ns, 0, DURATION_NS_MAX
            yield "timeout_ns", timeout_ns, 0, DURATION_NS_MAX
        case Prompt(timeout_ns=value):
            yield "timeout_ns", value, 0, DURATION_NS_MAX
        case Ramp(per_second=per_second, to=value):
            yield "per_second", per_second, math.nextafter(0, 1), _FLOAT_MAX
            yield "to", value, -_FLOAT_MAX, _FLOAT_MAX
        case Set(value=value):
            yield "value", value, -_FLOAT_MAX, _FLOAT_MAX
        case _:
            pass


def _of_timing(timing: Timing) -> Ranges:
    yield "max_relative_error", timing.max_relative_error, RELATIVE_ERROR_MIN, RELATIVE_ERROR_MAX
    if timing.max_error_ns is not None:
        yield "max_error_ns", timing.max_error_ns, 1, DURATION_NS_MAX
