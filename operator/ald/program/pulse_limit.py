"""The shortest pulse that the gateway can time itself: what a PLC's cycle and an uneven link leave uncertain is a small part of it.

minimum = (plc.cycle + spread of the write round trips) / timing.maxRelativeError
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from ald.plant import timed_pulse
from ald.plant.model import Plant, TimedPulse
from ald.program.model import Instruction, Pulse, Timing
from ald.units import format_duration

MICROSECOND_NS = 1000


def minimum_ns(cycle_ns: int, spread_ns: int, timing: Timing) -> int:
    """Return the shortest width, in whole microseconds as it is told; `spread_ns` is how much the time of a write to its acknowledgement varies."""
    # The share as it was written: of the float nearest to it some quotients come out above what they are.
    share = Fraction(str(timing.max_relative_error))
    return math.ceil((cycle_ns + spread_ns) / share / MICROSECOND_NS) * MICROSECOND_NS


def too_short(instructions: Sequence[Instruction], plant: Plant, limit_ns: int) -> Iterator[Pulse]:
    """Yield the pulses below the limit; those that the PLC times have another."""
    timed = timed_valves(plant)
    return (
        each
        for each in instructions
        if isinstance(each, Pulse) and each.open_ns < limit_ns and each.valve not in timed
    )


def timed_valves(plant: Plant) -> Mapping[str, TimedPulse]:
    """Return the valves whose pulses the PLC times itself."""
    return {valve.name: valve.timed for valve in plant.valves if valve.timed is not None}


def untimeable(instructions: Sequence[Instruction], plant: Plant) -> Iterator[tuple[Pulse, str]]:
    """Yield the pulses whose width a PLC's timer cannot hold, each with why."""
    timed = timed_valves(plant)
    for each in instructions:
        if isinstance(each, Pulse) and each.valve in timed:
            wrong = timed_pulse.broken(timed[each.valve], each.open_ns)
            if wrong:
                yield each, wrong


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
