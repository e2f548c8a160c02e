"""`ald stop` beside a real driver, with the simulated PLC as witness."""

import pytest

from ald.program import model as program
from ald.records.event import MachineState, RunEnded, RunOutcome
from fixtures.driver_process import plant_of
from fixtures.program import said
from fixtures.run_order import order_of
from fixtures.wait import eventually
from unit.store.feeds import RUN

pytestmark = pytest.mark.integration


def long_run(plant):
    """Return the order for one valve to open again and again, half a second each time."""
    steps = (
        program.Loop(path="p", name="loop", count=1000, depth=0, end=2),
        program.Pulse(path="p", name="spare", valve="spare", open_ns=500_000_000),
        program.EndLoop(begin=0),
    )
    return order_of(plant, steps, 1000, uid=RUN, name="long")


def test_a_stop_shuts_the_valves_and_waits_for_the_plc(ald, simulator, start_driver):
    driver = start_driver()
    plant = plant_of(simulator.machine_file, simulator.port)
    driver.load(plant)
    driver.reaches(MachineState.IDLE)
    eventually(lambda: driver.status().watchdog and driver.status().scan.sequence > 0, within_s=10)
    assert driver.run(long_run(plant)).error is None
    eventually(lambda: bool(simulator.state()["open_valves"]), within_s=20)
    done = ald(f"ald stop --run-dir {driver.directory / 'run'}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("safe state confirmed by the PLC: the machine is ")
    assert "run long ended: Aborted" in done.stdout
    assert simulator.state()["open_valves"] == []
    (ended,) = driver.wait_for(RunEnded)
    assert (ended.outcome, ended.by) == (RunOutcome.ABORTED, "ald stop")


def test_a_stop_that_the_plc_does_not_confirm_fails(ald, simulator, start_driver):
    driver = start_driver()
    driver.load(plant_of(simulator.machine_file, simulator.port))
    driver.reaches(MachineState.IDLE)
    simulator.faults(freeze=True)
    done = ald(f"ald stop --run-dir {driver.directory / 'run'}")
    assert done.returncode == 1
    assert said(done).startswith("NOT CONFIRMED: the machine is Abort")


def test_a_stop_where_no_driver_is_says_where_to_call_it(ald, tmp_path):
    done = ald(f"ald stop --run-dir {tmp_path}")
    assert done.returncode == 1
    assert "-c driver -- ald stop" in said(done)
