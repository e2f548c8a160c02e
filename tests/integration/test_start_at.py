"""A run that was aborted, taken up by another: what the simulated PLC sees of the two is the whole."""

import copy
import uuid
from typing import Any

import pytest

from ald.api.parse import parse_recipe
from ald.api.run import StartAt
from ald.plant.model import digest
from ald.program import model as program_model
from ald.program.compile.begin import begin
from ald.program.compile.recipe import RecipeSource, compile_recipe
from ald.records.event import PulseDone, RunEnded, RunIdentity, RunOutcome, StepStarted
from ald.wire import PROTOCOL, RunOrder
from fixtures.simulator import VALVES
from fixtures.wait import eventually
from integration.driver_runs import idle, idle_bench

pytestmark = pytest.mark.integration

PAIRS, CYCLES = 3, 4
HEATER_COIL = 1
PURGE = {"gas": "N2", "flow": 30, "duration": "300ms"}
RECIPE: dict[str, Any] = {
    "apiVersion": "ald.dev/v1alpha1",
    "kind": "Recipe",
    "metadata": {"name": "stack"},
    "spec": {
        # The small reactor's PLC has a cycle of 10 ms; what is counted here does not depend on it.
        "timing": {"shortPulses": "Allow"},
        "steps": [
            {"name": "carrier", "set": {"gas": "N2", "value": 30}},
            {"name": "heater", "set": {"parameter": "chamber-heater.power-on", "value": True}},
            {
                "name": "flowing",
                "waitFor": {"condition": "value('mfc-1.flow-read') > 25.0", "timeout": "30s"},
            },
            {"name": "clear", "purge": PURGE},
            {
                "name": "pair",
                "loop": {
                    "count": PAIRS,
                    "steps": [
                        {
                            "name": "first",
                            "loop": {
                                "count": CYCLES,
                                "steps": [
                                    {"name": "tma", "valve": {"valve": "tma", "open": "100ms"}},
                                    {"name": "after-tma", "purge": PURGE},
                                    {"name": "water", "valve": {"valve": "water", "open": "100ms"}},
                                    {"name": "after-water", "purge": PURGE},
                                ],
                            },
                        },
                        {"name": "rest", "wait": {"duration": "10ms"}},
                    ],
                },
            },
        ],
    },
}


@pytest.fixture
def bench(simulator, start_driver):
    return idle_bench(simulator, start_driver)


def order_of(plant, start=None, timeout="30s"):
    recipe = copy.deepcopy(RECIPE)
    recipe["spec"]["steps"][2]["waitFor"]["timeout"] = timeout
    source = RecipeSource(name="stack", uid="r-uid", generation=1)
    whole = compile_recipe(parse_recipe(recipe).spec, source, plant, digest(plant), {})
    program = begin(whole, start, plant)
    return RunOrder(
        protocol=PROTOCOL,
        run=RunIdentity(namespace="lab", name="run", uid=str(uuid.uuid4())),
        recipe_source="{}",
        program=program,
        program_digest=program_model.digest(program),
    )


def reached(driver):
    run = driver.status().run
    return run.reached.iterations if run is not None else ()


def opened(simulator, since=0):
    edges = simulator.trace()[since:]
    return [edge["valve"] for edge in edges if edge["valve"] and edge["state"]]


@pytest.mark.requirement("REC-03")
def test_what_is_left_of_an_aborted_run_is_run_after_what_it_had_set_is_restored(bench):
    driver, simulator, plant = bench
    assert driver.run(order_of(plant)).error is None
    eventually(lambda: len(reached(driver)) == 2, within_s=30)
    assert driver.abort().error is None
    (ended,) = driver.wait_for(RunEnded)
    assert ended.outcome is RunOutcome.ABORTED
    (pair, _), (cycle, _) = reached(driver)
    idle(driver)
    # The safe state has turned the heater off.
    assert not simulator.state()["values"]["chamber-heater.power-on"]
    edges, writes, events = len(simulator.trace()), len(simulator.writes()), len(driver.events)

    left = [
        (p, n) for p in range(1, PAIRS + 1) for n in range(1, CYCLES + 1) if (p, n) > (pair, cycle)
    ]
    start = StartAt(step="pair/first", cycle=left[0][1], outer_cycles=left[0][:1])
    order = order_of(plant, start)
    assert driver.run(order).error is None
    ended = driver.wait_for(RunEnded, 2)[1]
    assert ended.outcome is RunOutcome.COMPLETED, ended.message

    assert opened(simulator, edges) == ["tma", "water"] * len(left)
    later = driver.events[events:]
    pulses = [event.iterations for event in later if isinstance(event, PulseDone)]
    assert pulses == [cycle for cycle in left for _ in ("tma", "water")]
    steps = [event.name for event in later if isinstance(event, StepStarted)]
    assert [name for name in steps if name.startswith("restore: ")] == [
        "restore: carrier",
        "restore: heater",
        "restore: flowing",
        "restore: pair/first/after-water",
    ]
    assert ended.leaves_done == order.program.estimate.leaves == len(steps)
    coils = [each["address"] for each in simulator.writes()[writes:] if each["table"] == "coil"]
    assert coils.index(HEATER_COIL) < coils.index(VALVES["tma"])
    assert simulator.state()["values"]["chamber-heater.power-on"]
    assert simulator.overlaps() == []


def test_what_cannot_be_restored_ends_the_run_before_a_valve_opens(bench):
    driver, simulator, plant = bench
    simulator.force(**{"mfc-1.flow-read": 5.0})
    start = StartAt(step="pair/first", cycle=2, outer_cycles=(1,))
    assert driver.run(order_of(plant, start, timeout="2s")).error is None
    (ended,) = driver.wait_for(RunEnded)
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert "restore: flowing" in ended.message
    assert opened(simulator) == []
