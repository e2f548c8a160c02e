"""The programs that simulated machines run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ald.program.model import Set
from unit.engine.programs import (
    MS,
    assign,
    compiled,
    flow,
    loop,
    named,
    purge,
    together,
    valve,
    wait,
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
    return named(compiled(*lead, purge(300), *steps, cleanup=[flow(5.0)], plant=sim.plant))


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
