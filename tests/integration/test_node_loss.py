"""A node is gone with all that ran on it: the PLC shuts the valves, and whatever gateway comes next makes the rest safe."""

import os
import signal

import pytest

from ald.records.event import MachineState, RunEnded, RunOutcome, SafeStateReached
from fixtures.run_order import order_of
from fixtures.wait import eventually
from integration.driver_runs import flow, idle_bench, purge, valve

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

HOT = 37.0
SAFE = 20.0


def test_of_a_lost_node_the_plc_shuts_the_valves_and_the_next_gateway_makes_the_rest_safe(
    simulator, start_driver
):
    driver, simulator, plant = idle_bench(simulator, start_driver)
    assert driver.run(order_of(plant, (flow(HOT), purge(500), valve("tma", 5000)))).error is None
    eventually(lambda: simulator.state()["open_valves"] == ["tma"], within_s=10)
    # Supervisor and executor at once, and nobody comes after them: so it is for the PLC when a node loses its power.
    os.kill(driver.supervisor_pid, signal.SIGKILL)
    driver.stop()
    eventually(lambda: not simulator.state()["open_valves"], within_s=20)
    closing = [edge for edge in simulator.trace() if edge["valve"] and not edge["state"]][-1]
    assert closing["cause"] == "watchdog"
    assert simulator.state()["values"]["mfc-1.flow-set"] == pytest.approx(HOT)
    # Memory is gone with the node; the volume is mounted elsewhere.
    for left in (driver.directory / "run").iterdir():
        left.unlink()
    successor = start_driver()
    (ended,) = successor.wait_for(RunEnded)
    assert ended.outcome is RunOutcome.GATEWAY_RESTARTED
    assert successor.wait_for(SafeStateReached)[-1].confirmed
    assert simulator.state()["values"]["mfc-1.flow-set"] == pytest.approx(SAFE)
    successor.reaches(MachineState.STOPPED)
