"""What people ask of a simulated run beside its abort, and its being taken up, from seeds of their own so that nothing else is drawn otherwise."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ald.engine.state import State
from ald.engine.status import driver_status
from ald.errors import InvalidInputError
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.plant.model import Plant
from ald.program.model import Program
from ald.program.resume import resumed
from ald.wire import (
    ActionOrder,
    Confirm,
    ConfirmOrder,
    DirectRun,
    GoSafe,
    RunAction,
    SafeStateOrder,
    StartRun,
)
from unit.engine.programs import MS, S, order
from unit.engine.simulated_plc import BEAT, WIDTHS

if TYPE_CHECKING:
    from unit.engine.simulation import Simulation

UNTIL_NS = 5 * S
LOOK_EVERY_NS = 150 * MS
RESUMED_SHARE = 0.4
"""Of the lives; in the others a run that was cut short is left as it is."""
ANSWERED_SHARE = 0.6
"""Of the lives; in the others nobody answers a prompt."""
STRANGE_MS = (7, 4000)
"""Widths that no program has."""


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
    if rng.random() < ANSWERED_SHARE:
        for after_ns in range(0, UNTIL_NS, LOOK_EVERY_NS):
            sim.at(sim.start_ns + after_ns, functools.partial(_confirm, sim))
    hand = random.Random(f"widths {sim.seed}")
    if sim.is_timed and hand.random() < 0.5:
        when = sim.start_ns + hand.randrange(UNTIL_NS)
        address, width_ms = hand.choice(list(WIDTHS)), hand.choice(STRANGE_MS)
        sim.at(when, functools.partial(sim.plc.store, address, (width_ms,)))


def schedule_resumes(sim: Simulation) -> None:
    """In some lives, take up what a crash has cut short."""
    if random.Random(f"resumes of {sim.seed}").random() < RESUMED_SHARE:
        schedule_looks(sim, UNTIL_NS)


def schedule_looks(sim: Simulation, within_ns: int) -> None:
    """For so long from now on, take up what a crash has cut short as soon as that may be, as the operator would."""
    for after_ns in range(0, within_ns, LOOK_EVERY_NS):
        sim.at(sim.now + after_ns, functools.partial(_look, sim))


def rest(state: State, wholes: Mapping[str, Program], plant: Plant) -> StartRun | None:
    """Return the order for the next attempt at the last run, where that may be taken up."""
    progress = driver_status(state, NO_LINK, NO_SCAN).run
    if progress is None or not progress.resumable or progress.run.uid not in wholes:
        return None
    left, reached = wholes[progress.run.uid], progress.reached
    if reached.step:
        try:
            left = resumed(left, reached.step, reached.iterations, plant)
        except InvalidInputError:
            return None
    return StartRun(order=order(left, progress.run.uid, progress.attempt + 1))


def _look(sim: Simulation) -> None:
    if sim.executor is None:
        return
    if not sim.executor._state.plant_confirmed:
        sim.push_plant()
    asked = rest(sim.executor._state, sim.wholes, sim.plant)
    if asked is not None:
        sim.requests.append(asked)


def _confirm(sim: Simulation) -> None:
    """Answer the prompt that waits, as somebody would who sees it in the status."""
    if sim.executor is None:
        return
    progress = driver_status(sim.executor._state, NO_LINK, NO_SCAN).run
    if progress is not None and progress.prompt_id:
        order = ConfirmOrder(target=progress.prompt_id, by="t", comment="c")
        sim.requests.append(Confirm(order=order))


def _direct(sim: Simulation, action: RunAction) -> None:
    if sim._uids:
        order = ActionOrder(action=action, reason="r", by="t")
        sim.requests.append(DirectRun(uid=sim._uids[-1], order=order))


def _safe(sim: Simulation) -> None:
    sim.requests.append(GoSafe(order=SafeStateOrder(by="t", comment="c")))
    sim.trouble()


def usurp(sim: Simulation) -> None:
    """Another master beats in our place, for a while."""
    if sim.now - sim.start_ns > 1300 * MS:
        return
    sim.usurped_ns = sim.now
    for after_ns in range(0, 1800 * MS, 100 * MS):
        words = (sim.rng.randrange(0x10000),)
        sim.at(sim.now + after_ns, functools.partial(sim.plc.store, BEAT, words))
    sim.at(sim.now + 1800 * MS, lambda: setattr(sim, "usurped_ns", None))
