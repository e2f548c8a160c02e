"""What guards simulated machines besides their rules: in some lives an interlock on the temperature, which rises now and then."""

from __future__ import annotations

import functools
import random
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ald.plant.model import Interlock, InterlockAction, Plant
from ald.plant.words import encode
from unit.engine.programs import MS, PLANT, S

if TYPE_CHECKING:
    from unit.engine.simulation import Simulation

GUARDED_SHARE = 0.4
UNTIL_NS = 5 * S
SEEN_NS = 1500 * MS
"""Within this time scans of a calm link show it, and what follows from it is done."""
LIMIT, HOT, COOL = 400.0, 450.0, 20.0

_TEMPERATURE = next(p for p in PLANT.parameters if p.name == "heater.temperature")


def guarded(seed: int, plant: Plant) -> Plant:
    """Return the plant, in some lives with an interlock, drawn apart so that nothing else is drawn otherwise."""
    rng = random.Random(f"interlocks of {seed}")
    if rng.random() >= GUARDED_SHARE:
        return plant
    guard = Interlock(
        name="hot",
        permissive=f"value('heater.temperature') < {LIMIT}",
        for_ns=rng.choice((0, 300 * MS)),
        action=rng.choice(list(InterlockAction)),
    )
    return replace(plant, interlocks=(guard,))


def schedule(sim: Simulation) -> None:
    """Let the temperature rise and fall again, while there is trouble."""
    if not sim.plant.interlocks:
        return
    rng = random.Random(f"heat of {sim.seed}")
    for _ in range(rng.randrange(1, 4)):
        when = sim.start_ns + rng.randrange(UNTIL_NS)
        sim.at(when, functools.partial(_heat, sim))
        sim.at(when + rng.randrange(50 * MS, 3 * S), functools.partial(cool, sim))


def cool(sim: Simulation) -> None:
    """The temperature is as it should be."""
    sim.plc.hot_ns = None
    _set(sim, COOL)


def opened(sim: Simulation, name: str) -> None:
    """No valve opens while an interlock, whatever it does, has been violated for long."""
    sim.require(not _is_known(sim), f"{name} opened, and it has been too hot for long")


def begins(sim: Simulation) -> None:
    """No step begins while an interlock that holds has been violated for long."""
    is_holding = any(each.action is InterlockAction.HOLD for each in sim.plant.interlocks)
    sim.require(not (is_holding and _is_known(sim)), "a step begins, and it has been too hot")


def _heat(sim: Simulation) -> None:
    if sim.is_calm or sim.plc.hot_ns is not None:
        return
    sim.plc.hot_ns = since_ns = sim.now
    _set(sim, HOT)
    (guard,) = sim.plant.interlocks
    run = sim.present_run()
    if guard.action is InterlockAction.ABORT and run is not None:
        sim.at(since_ns + guard.for_ns + SEEN_NS, lambda: _aborted(sim, since_ns, run))


def _aborted(sim: Simulation, since_ns: int, run: str) -> None:
    """A run that an interlock aborts is over soon."""
    is_on = run == sim.present_run() and sim.plc.hot_ns == since_ns
    sim.require(not (is_on and sim.troubled_ns < since_ns), "it is too hot, and the run goes on")


def _is_known(sim: Simulation) -> bool:
    """Tell whether it has been too hot for so long that the driver must have seen it."""
    if sim.plc.hot_ns is None or not sim.plant.interlocks:
        return False
    (guard,) = sim.plant.interlocks
    since_ns = max(sim.plc.hot_ns, sim.troubled_ns, sim.rules.connected_ns)
    return since_ns + guard.for_ns + SEEN_NS < sim.now


def _set(sim: Simulation, value: float) -> None:
    first = 1000 + _TEMPERATURE.point.address
    for at, word in enumerate(encode(_TEMPERATURE, value), first):
        sim.plc.words[at] = word
