"""What people ask of a simulated run beside its abort, from a seed of its own so that nothing else is drawn otherwise."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from ald.wire import ActionOrder, DirectRun, GoSafe, RunAction, SafeStateOrder
from unit.engine.programs import MS, S

if TYPE_CHECKING:
    from unit.engine.simulation import Simulation

UNTIL_NS = 5 * S


def schedule(sim: Simulation) -> None:
    """Ask for something now and then, in short bursts, while there is trouble."""
    rng = random.Random(f"verbs {sim.seed}")
    for _ in range(rng.randrange(4)):
        when = sim.start_ns + rng.randrange(UNTIL_NS)
        for _ in range(rng.randrange(1, 4)):
            when += rng.choice((0, 5 * MS, 40 * MS, 300 * MS))
            ways = [functools.partial(_direct, sim, action) for action in (*RunAction, *RunAction)]
            way: Callable[[], None] = rng.choice([*ways, functools.partial(_safe, sim)])
            sim.at(min(when, sim.start_ns + UNTIL_NS), way)


def _direct(sim: Simulation, action: RunAction) -> None:
    if sim._uids:
        order = ActionOrder(action=action, reason="r", by="t")
        sim.requests.append(DirectRun(uid=sim._uids[-1], order=order))


def _safe(sim: Simulation) -> None:
    sim.requests.append(GoSafe(order=SafeStateOrder(by="t", comment="c")))
    sim.trouble()
