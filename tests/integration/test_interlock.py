"""Interlocks with the driver as a process: the simulated PLC shows a pressure, and its trace what became of the valves."""

import time

import pytest

from ald.records.event import InterlockTripped, MachineState, RunEnded, RunOutcome, StateChanged
from fixtures.driver_process import plant_of
from fixtures.run_order import order_of
from fixtures.simulator import machine
from fixtures.wait import eventually
from integration.driver_runs import LONG, MS, idle, looped

pytestmark = pytest.mark.integration

GAUGE = "pressure-gauge-1.pressure-read"


def start(start_simulator, start_driver, action):
    interlock = {
        "name": "no-vacuum",
        "permissive": f"value('{GAUGE}') < 1000.0",
        "for": "100ms",
        "action": action,
    }
    simulator = start_simulator(machine(interlocks=[interlock]))
    driver = start_driver()
    plant = plant_of(simulator.machine_file, simulator.port)
    assert driver.load(plant).error is None
    idle(driver)
    return driver, simulator, plant


def test_an_interlock_shuts_the_valves_and_only_a_person_leads_out_of_it(
    start_simulator, start_driver
):
    driver, simulator, plant = start(start_simulator, start_driver, "Abort")
    assert driver.run(order_of(plant, looped(100, *LONG))).error is None
    eventually(lambda: bool(simulator.state()["open_valves"]), within_s=10)
    simulator.force(**{GAUGE: 5000.0})
    forced_ns = time.monotonic_ns()
    (ended,) = driver.wait_for(RunEnded)
    assert ended.outcome is RunOutcome.INTERLOCK
    assert f"{GAUGE} = 5000 Pa" in ended.message
    (tripped,) = driver.of(InterlockTripped)
    assert tripped.first_out == "no-vacuum"
    assert tripped.readings == {GAUGE: 5000.0}
    closed = [e for e in simulator.trace() if e["valve"] and not e["state"]][-1]
    # A scan, `for`, and the round trips of the safe state.
    limit_ns = plant.scan_period_ns + 100 * MS + 1_000 * MS
    assert closed["effective_ns"] - forced_ns < limit_ns
    assert not simulator.state()["open_valves"]
    status = driver.reaches(MachineState.ABORTED)
    assert status.interlocks.tripped == ("no-vacuum",)
    refused = driver.clear().error
    assert refused is not None
    assert refused.reason == "Interlocked"
    simulator.force(**{GAUGE: None})
    eventually(lambda: not driver.status().interlocks.tripped, within_s=10)
    assert driver.clear().error is None
    idle(driver)
    assert driver.run(order_of(plant, looped(1, *LONG))).error is None
    assert driver.wait_for(RunEnded, 2)[1].outcome is RunOutcome.COMPLETED


def test_an_interlock_holds_a_run_and_lets_it_go_on(start_simulator, start_driver):
    driver, simulator, plant = start(start_simulator, start_driver, "Hold")
    assert driver.run(order_of(plant, looped(2, *LONG))).error is None
    eventually(lambda: bool(simulator.state()["open_valves"]), within_s=10)
    simulator.force(**{GAUGE: 5000.0})
    status = driver.reaches(MachineState.HELD)
    assert status.run is not None
    assert "interlock no-vacuum is violated" in status.run.held
    assert not simulator.state()["open_valves"]
    simulator.force(**{GAUGE: None})
    (ended,) = driver.wait_for(RunEnded)
    assert ended.outcome is RunOutcome.COMPLETED
    held = [e.reason for e in driver.of(StateChanged) if e.state is MachineState.HELD]
    # The flow may take its time to come up before the first purge.
    assert held[-1] == "Interlock"
    assert len(driver.of(InterlockTripped)) == 1


def test_a_machine_that_is_not_fit_takes_no_run(start_simulator, start_driver):
    driver, simulator, plant = start(start_simulator, start_driver, "Block")
    simulator.force(**{GAUGE: 5000.0})
    eventually(lambda: bool(driver.status().interlocks.tripped), within_s=10)
    refused = driver.run(order_of(plant, looped(1, *LONG))).error
    assert refused is not None
    assert refused.reason == "Interlocked"
    assert driver.status().state is MachineState.IDLE
    assert not [e for e in simulator.trace() if e["valve"] and e["state"]]
