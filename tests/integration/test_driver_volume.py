"""A volume that hangs: whoever writes a file of which the new one is a pipe waits until somebody reads it."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from ald.plant.model import digest
from ald.records.event import RunEnded, RunOutcome, RunStarted
from fixtures.run_order import order_of
from fixtures.wait import eventually
from integration.driver_runs import LONG, idle_bench, looped

pytestmark = pytest.mark.integration

STOPS_WITHIN_S = 18.0
"""The safe state, the ten seconds that the volume is waited for, and what a busy host takes."""


@pytest.fixture
def bench(simulator, start_driver):
    return idle_bench(simulator, start_driver)


@contextlib.contextmanager
def hanging(driver, name):
    """Let the volume hang where this file would be replaced; it answers again behind the block, and nobody has died of it."""
    executor, pipe = driver.executor_pid, driver.directory / "state" / name
    os.mkfifo(pipe)
    yield
    assert driver.executor_pid == executor
    with pipe.open("rb") as reader:
        pipe.unlink()
        reader.read()


def check_not_taken(error, why):
    assert error is not None
    assert error.reason == "VolumeUnwritable"
    assert why in error.message


@pytest.mark.parametrize("name", ["runs.bin.new", "reserved.bin.new"])
def test_a_volume_that_hangs_has_nobody_taken_for_dead_who_is_told_to_end(bench, name):
    driver, simulator, plant = bench
    tasks, supervisor = Path(f"/proc/{driver.executor_pid}/task"), driver.supervisor_pid
    driver.run(order_of(plant, looped(100, *LONG)))
    eventually(lambda: bool(simulator.state()["open_valves"]), within_s=10)
    os.mkfifo(driver.directory / "state" / name)
    if name.startswith("reserved"):
        # A thread writes it, as soon as the run has come far enough.
        eventually(lambda: len(list(tasks.iterdir())) > 1, within_s=20)
    began = time.monotonic()
    os.kill(supervisor, signal.SIGTERM)
    eventually(lambda: any(line["event"] == "driver_stopped" for line in driver.log), within_s=40)
    assert time.monotonic() - began < STOPS_WITHIN_S
    assert [line["status"] for line in driver.log if line["event"] == "driver_stopped"] == [0]
    assert not simulator.state()["open_valves"]
    assert [ended.outcome for ended in driver.of(RunEnded)] == [RunOutcome.SHUTDOWN]
    assert "executor_died" not in [line["event"] for line in driver.log]


def test_a_configuration_that_a_hanging_volume_does_not_take_is_refused_and_nobody_taken_for_dead(
    bench,
):
    driver, _, plant = bench
    executor = driver.executor_pid
    changed = replace(plant, scan_period_ns=2 * plant.scan_period_ns)
    with hanging(driver, "plant.bin.new"):
        for why in ("has not answered", "still on its way"):
            check_not_taken(driver.load(changed).error, why)
    eventually(lambda: driver.load(changed).error is None, within_s=10)
    assert driver.executor_pid == executor
    assert driver.status().plant_digest == digest(changed)


def test_a_run_that_a_hanging_volume_does_not_take_is_refused_and_nobody_taken_for_dead(bench):
    driver, simulator, plant = bench
    executor = driver.executor_pid
    order = order_of(plant, looped(100, *LONG))
    with hanging(driver, "runs.bin.new"):
        check_not_taken(driver.run(order).error, "has not answered")
    eventually(lambda: driver.run(order).error is None, within_s=10)
    assert driver.executor_pid == executor
    eventually(lambda: bool(simulator.state()["open_valves"]), within_s=10)
    assert len(driver.of(RunStarted)) == 1
