"""What the kubelet asks of the driver."""

import os
import signal

import pytest

from fixtures.driver_process import plant_of
from fixtures.wait import eventually

pytestmark = pytest.mark.integration


def test_the_probe_says_whether_the_loop_turns(simulator, start_driver):
    driver = start_driver()
    assert driver.load(plant_of(simulator.machine_file, simulator.port)).error is None
    eventually(lambda: driver.probe() == 0, within_s=30)
    # Both, or the supervisor kills an executor that does not turn before a slow probe has looked at it.
    stopped = (driver.supervisor_pid, driver.executor_pid)
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        eventually(lambda: driver.probe() == 1, within_s=60)
    finally:
        for pid in reversed(stopped):
            os.kill(pid, signal.SIGCONT)
    eventually(lambda: driver.probe() == 0, within_s=60)
