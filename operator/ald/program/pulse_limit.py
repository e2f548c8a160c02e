"""The shortest pulse that the gateway can time itself: what a PLC's cycle and an uneven link leave uncertain is a small part of it.

minimum = (plc.cycle + spread of the write round trips) / timing.maxRelativeError
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ald.program.model import Instruction, Pulse, Timing
from ald.units import format_duration


def minimum_ns(cycle_ns: int, spread_ns: int, timing: Timing) -> int:
    """Return the shortest width; `spread_ns` is how much the time of a write to its acknowledgement varies."""
    return math.ceil((cycle_ns + spread_ns) / timing.max_relative_error)


def too_short(instructions: Sequence[Instruction], limit_ns: int) -> Iterator[Pulse]:
    """Yield the pulses below the limit."""
    return (each for each in instructions if isinstance(each, Pulse) and each.open_ns < limit_ns)


def reason(pulse: Pulse, limit_ns: int, made_of: str, timing: Timing) -> str:
    """Return why a pulse is too short, with the figures."""
    return (
        f"step {pulse.name} opens valve {pulse.valve} for {format_duration(pulse.open_ns)}, and the shortest pulse that can be"
        f" timed honestly is {format_duration(limit_ns)}: ({made_of}) / {timing.max_relative_error:g}"
    )


ADVICE = (
    "lengthen it, allow a larger timing.maxRelativeError in the recipe, or say timing.shortPulses: Allow to run it all the"
    " same and judge it afterwards by TimingMet"
)
