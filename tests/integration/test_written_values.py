"""A value that a run writes: how soon the PLC has it, the scans show it, and a step that waits for it sees it."""

import itertools
import struct

import pytest

from ald.plant.model import signals
from ald.program import model as program
from ald.records.event import RunEnded, RunOutcome, StepEnded, StepStarted, WriteOutcome, Written
from fixtures.driver_process import plant_of
from fixtures.run_order import order_of
from integration.driver_runs import MS, idle

pytestmark = pytest.mark.integration

NAME = "chamber-heater.temperature-set"
VALUES = (40.0, 41.5, 42.0, 60.0, 20.0)
WRITE_NS_MAX = 100 * MS
STAYS = program.Wait(path="p", name="stays", duration_ns=500 * MS)


def waits_for(value):
    return program.WaitFor(
        path="p",
        name=f"sees {value:g}",
        condition=f"value('{NAME}') == {value:.1f}",
        reads=(NAME,),
        stable_ns=0,
        timeout_ns=20_000 * MS,
    )


def sets(value):
    return program.Set(path="p", name=f"sets {value:g}", parameter=NAME, value=value)


@pytest.mark.requirement("INT-11")
def test_a_written_value_shows_in_the_next_scan_and_the_run_goes_on_with_it(
    simulator, start_driver
):
    driver = start_driver()
    plant = plant_of(simulator.machine_file, simulator.port)
    assert driver.load(plant).error is None
    idle(driver)
    # Each value stays for longer than a scan takes to come.
    steps = tuple(step for value in VALUES for step in (sets(value), waits_for(value), STAYS))
    assert driver.run(order_of(plant, steps, leaves=len(steps))).error is None
    (ended,) = driver.wait_for(RunEnded)
    assert ended.outcome is RunOutcome.COMPLETED, ended.message
    driver.has_scanned(len(driver.scans) + 2, within_s=10)

    written = [each for each in driver.of(Written) if each.by.startswith("sets ")]
    assert [(each.value, each.outcome) for each in written] == [
        (value, WriteOutcome.CONFIRMED) for value in VALUES
    ]
    took_ns = sorted(each.ack_ns - each.sent_ns for each in written)
    assert took_ns[len(took_ns) // 2] < WRITE_NS_MAX, took_ns

    column = [signal.name for signal in signals(plant)].index(NAME)
    begun = {each.name: each for each in driver.of(StepStarted)}
    over = {each.ordinal: each.at_ns for each in driver.of(StepEnded)}
    scans = driver.scans
    for each in written:
        # The first scan that began when the PLC had it for certain.
        since_ns = each.ack_ns + plant.link.cycle_ns
        first = next(scan for scan in scans if scan.started_ns > since_ns)
        assert struct.unpack_from("<d", first.values, 8 * column) == (each.value,)
        # The step that waits for it ends with the first scan of its own that shows it, and not with a later one.
        step = begun[f"sees {each.value:g}"]
        own = (pair for pair in itertools.pairwise(scans) if pair[0].started_ns >= step.at_ns)
        shows, after = next(
            pair
            for pair in own
            if struct.unpack_from("<d", pair[0].values, 8 * column) == (each.value,)
        )
        assert shows.sequence <= first.sequence
        assert shows.ended_ns <= over[step.ordinal] < after.ended_ns
