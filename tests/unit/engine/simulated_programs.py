"""The programs that simulated machines run."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from ald.program.model import Set
from unit.engine.programs import (
    MS,
    assign,
    compiled,
    flow,
    loop,
    named,
    prompt,
    purge,
    ramp,
    together,
    valve,
    wait,
    wait_for,
)

if TYPE_CHECKING:
    from unit.engine.simulation import Simulation


def program(sim: Simulation) -> Any:
    """Return a program drawn from the seed."""
    rng = sim.rng
    names = ("tma", "water", "spare", "vent")
    steps = []
    for _ in range(rng.randrange(1, 5)):
        name = rng.choice(names)
        open_ms = rng.choice((5, 20, 40, 300, 1500))
        sim.widest_ns[name] = max(sim.widest_ns[name], open_ms * MS)
        body = [valve(name, open_ms), purge(rng.choice((100, 250, 300)), 20.0)]
        if rng.random() < 0.3:
            # An edge that comes right after another write has to wait for whatever is on its way.
            body.insert(0, assign(rng.choice((100.0, 200.0))))
        if rng.random() < 0.3:
            body.append(wait(rng.randrange(1, 200)))
        if rng.random() < 0.2:
            body.append(purge(300, rng.choice((15.0, 40.0))))
        again = rng.randrange(1, 6)
        steps.append(loop(again, *_beside(sim, name, body)))
    lead = [assign(1.0, "heater.power"), flow(20.0)] if rng.random() < 0.9 else []
    # Apart from the others, so that what is drawn here changes nothing but these.
    extras = random.Random(f"extras of {sim.seed} at {sim.now}")
    made = [*lead, purge(300), *_between(extras, steps)]
    return named(compiled(*made, cleanup=_cleanup(sim, extras), plant=sim.plant))


def _between(rng: random.Random, steps: list[Any]) -> list[Any]:
    """Return the steps with others between them that wait for people and plant, some in a loop around."""
    made: list[Any] = []
    for each in steps:
        if rng.random() < 0.1:
            made.append(ramp(rng.choice((10.0, 50.0)), 40.0))
        if rng.random() < 0.1:
            limit = rng.choice((-1.0, -1.0, 490.0))
            condition = f"value('heater.temperature') > {limit}"
            made.append(wait_for(condition, ("heater.temperature",), rng.choice((0, 250)), 900))
        if rng.random() < 0.1:
            made.append(prompt(timeout_ms=rng.choice((200, 800))))
        made.append(loop(2, each) if rng.random() < 0.15 else each)
    return made


def _cleanup(sim: Simulation, rng: random.Random) -> list[Any]:
    """Return what follows, which may open valves, too, and fail."""
    name = rng.choice(("tma", "water", "spare", "vent", "none"))
    if name == "none":
        return [flow(5.0)]
    sim.widest_ns[name] = max(sim.widest_ns[name], 20 * MS)
    return [flow(20.0), purge(300), valve(name, 20), flow(5.0)]


def _beside(sim: Simulation, name: str, body: list[Any]) -> list[Any]:
    """Sometimes put the steps into a branch, beside a valve that nothing shuts out and a set point."""
    rng = sim.branches
    if name == "vent" or rng.random() >= 0.3:
        return body
    open_ms = rng.choice((5, 40, 300, 1500))
    sim.widest_ns["vent"] = max(sim.widest_ns["vent"], open_ms * MS)
    others = [[valve("vent", open_ms), wait(rng.randrange(1, 200))]]
    if not any(isinstance(each, Set) for each in body):
        others.append([wait(rng.randrange(1, 100)), assign(rng.choice((100.0, 200.0)))])
    return [together(body, *others)]
