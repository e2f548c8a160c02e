"""The timers of the world's PLC: what a trigger starts, and what is there when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ald.plant.model import TimedPulse, Valve

if TYPE_CHECKING:
    from unit.engine.world import World


def pulled(world: World, valve: Valve) -> None:
    """The PLC's cycle sees the trigger, if it is still set."""
    timed = valve.timed
    if timed is None or not world.coils[timed.trigger] or valve.name in world.timers:
        return
    number = world.timers[valve.name] = world.now
    world.bits[timed.done.address] = False
    world.switch(valve.coil, True)
    width_ns = world.words[timed.duration.address] * timed.resolution_ns
    if not world.is_stuck:
        world.later(world.now + width_ns, lambda: _over(world, valve, timed, number))


def _over(world: World, valve: Valve, timed: TimedPulse, number: int) -> None:
    if world.timers.get(valve.name) == number:
        del world.timers[valve.name]
        world.switch(valve.coil, False)
        world.bits[timed.done.address] = True
        world.switch(timed.trigger, False)
