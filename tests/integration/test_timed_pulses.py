"""Pulses that the PLC times: the driver as a process against the simulated PLC, whose trace is the witness."""

import copy
import time

import pytest

from ald.records.event import (
    MachineState,
    PulseDone,
    RunEnded,
    RunOutcome,
    TimedBy,
    WriteOutcome,
)
from fixtures.run_order import order_of
from fixtures.simulator import MACHINE
from fixtures.wait import eventually
from integration.driver_runs import MS, idle, idle_bench, looped, purge, valve

pytestmark = pytest.mark.integration

CYCLE_NS = 2 * MS
WRITTEN_MS = (5, 3, 20)
"""Widths of which no link could keep the first two within a fifth of them."""


def document():
    """The small reactor with two valves that the PLC times, to 0.1 ms, and one that it does not."""
    found = copy.deepcopy(MACHINE)
    spec = found["spec"]
    spec["plc"]["cycle"] = "2ms"
    for number in (0, 2):
        spec["valves"][number]["timedPulse"] = {
            "duration": {
                "address": 2300 + 2 * number,
                "type": "uint32",
                "order": "CDAB",
                "resolution": "0.1ms",
            },
            "trigger": 40 + number,
            "done": {"table": "discrete", "address": 60 + number},
        }
    return found


@pytest.fixture
def bench(start_simulator, start_driver):
    """A driver that is Idle on a simulator with timers: (driver, simulator, plant)."""
    return idle_bench(start_simulator(document()), start_driver)


def widths_ms(simulator, name):
    """Return how long each opening of a valve lasted at the PLC."""
    times = [e["effective_ns"] for e in simulator.trace() if e["valve"] == name]
    return [(shut - opened) / MS for opened, shut in zip(times[::2], times[1::2], strict=True)]


def test_the_plc_keeps_widths_that_no_link_could(bench):
    driver, simulator, plant = bench
    body = [step for ms in WRITTEN_MS for step in (valve("tma", ms), purge(300))]
    assert driver.run(order_of(plant, looped(3, *body), 20)).error is None
    (ended,) = driver.wait_for(RunEnded)
    assert ended.outcome is RunOutcome.COMPLETED, ended.message
    found = widths_ms(simulator, "tma")
    assert len(found) == 9
    for width, wanted in zip(found, WRITTEN_MS * 3, strict=True):
        assert wanted <= width < wanted + CYCLE_NS / MS, "to a cycle of the PLC"
    pulses = driver.of(PulseDone)
    assert {(p.timed_by, p.outcome) for p in pulses} == {(TimedBy.PLC, WriteOutcome.CONFIRMED)}
    assert {p.uncertainty_ns for p in pulses} == {CYCLE_NS}
    assert (ended.timing.by_plc, ended.timing.whole) == (9, 0)
    assert {e["cause"] for e in simulator.trace() if e["valve"] == "tma"} == {"timer"}


def test_a_valve_beside_it_is_timed_by_the_gateway_as_ever(bench):
    driver, simulator, plant = bench
    order = order_of(
        plant, looped(2, valve("tma", 5), purge(300), valve("water", 60), purge(300)), 10
    )
    assert driver.run(order).error is None
    (ended,) = driver.wait_for(RunEnded)
    assert ended.outcome is RunOutcome.COMPLETED, ended.message
    assert (ended.timing.by_plc, ended.timing.whole) == (2, 2)
    assert len(widths_ms(simulator, "tma")) == len(widths_ms(simulator, "water")) == 2
    assert simulator.overlaps() == []


def test_an_abort_in_the_middle_of_it_shuts_the_valve(bench):
    driver, simulator, plant = bench
    assert driver.run(order_of(plant, looped(1, valve("tma", 4500), purge(300)), 4)).error is None
    eventually(lambda: "tma" in simulator.state()["open_valves"], within_s=10)
    assert driver.abort().error is None
    (ended,) = driver.wait_for(RunEnded)
    assert ended.outcome is RunOutcome.ABORTED
    eventually(lambda: not simulator.state()["open_valves"], within_s=10)
    (width,) = widths_ms(simulator, "tma")
    assert width < 4500, "it did not wait for the end of its time"
    (pulse,) = driver.of(PulseDone)
    assert (pulse.timed_by, ended.timing.by_plc) == (TimedBy.PLC, 0)
    driver.reaches(MachineState.IDLE)


@pytest.mark.parametrize("fault", ["stuck_timers", "deaf_timers"])
def test_a_pulse_of_which_no_end_is_seen_is_ended_by_the_gateway(bench, fault):
    driver, simulator, plant = bench
    simulator.faults(**{fault: True})
    assert driver.run(order_of(plant, looped(5, valve("tma", 5), purge(300)), 12)).error is None
    (ended,) = driver.wait_for(RunEnded)
    assert ended.outcome is RunOutcome.VALVE_MISMATCH, ended.message
    assert "has not ended the pulse of valve tma" in ended.message
    driver.reaches(MachineState.ABORTED)
    eventually(lambda: not simulator.state()["open_valves"], within_s=10)
    assert len(widths_ms(simulator, "tma")) == (1 if fault == "stuck_timers" else 0)
    triggers = [w for w in simulator.writes() if w["table"] == "coil" and w["address"] == 40]
    assert [w["values"][0] for w in triggers[-2:]] == [1, 0], "one trigger, and it was taken back"
    # A timer that works again finds no trigger that is still set.
    simulator.faults(**{fault: False})
    assert driver.clear().error is None
    idle(driver)
    assert driver.run(order_of(plant, looped(1, valve("tma", 5), purge(300)), 4)).error is None
    assert driver.wait_for(RunEnded, 2)[1].outcome is RunOutcome.COMPLETED


def test_killed_in_the_middle_of_it_the_valve_is_shut_within_two_seconds(bench):
    driver, simulator, plant = bench
    simulator.faults(stuck_timers=True)
    assert driver.run(order_of(plant, looped(1, valve("spare", 4500), purge(300)), 4)).error is None
    eventually(lambda: "spare" in simulator.state()["open_valves"], within_s=10)
    killed_ns = time.monotonic_ns()
    driver.kill_executor()
    eventually(lambda: not simulator.state()["open_valves"], within_s=10)
    shut = next(e for e in reversed(simulator.trace()) if e["valve"] == "spare")
    assert not shut["state"]
    assert shut["effective_ns"] - killed_ns < 2_000 * MS
    (ended,) = driver.wait_for(RunEnded)
    assert ended.outcome is RunOutcome.GATEWAY_RESTARTED
    assert [p.timed_by for p in driver.of(PulseDone)] == [TimedBy.PLC]
