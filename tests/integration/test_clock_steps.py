"""A gateway whose wall clock is days from everybody else's, and steps in mid-run: no duration notices, and the record says so."""

import itertools
import time
from pathlib import Path

import pytest

from ald.records.event import ClockStepped, PulseDone, RunEnded, RunOutcome
from fixtures import stepped
from fixtures.driver_process import plant_of
from fixtures.run_order import order_of
from integration.driver_runs import MS, idle, looped, purge, valve

pytestmark = [pytest.mark.integration, pytest.mark.requirement("FI-CK")]

S = 1_000_000_000
DAY_S, HOUR_S = 86_400, 3600
CYCLES = 12
CYCLE_NS = 2 * 25 * MS + 2 * 300 * MS
SCAN_NS = 200 * MS
SLACK_NS = 2 * S
"""What a step and the look at it may be apart, on a busy host."""


class Wall:
    """The wall clock of one gateway: so many seconds before everybody else's."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set(0)

    def set(self, ahead_s: int) -> None:
        # Renamed into place: the gateway reads it at any time.
        fresh = self.file.with_suffix(".new")
        fresh.write_text(str(ahead_s))
        fresh.replace(self.file)


@pytest.fixture
def wall(tmp_path):
    return Wall(tmp_path / "ahead")


def test_a_clock_that_is_days_off_and_steps_leaves_pulses_and_scans_alone(
    simulator, start_driver, wall
):
    wall.set(3 * DAY_S)
    driver = start_driver(program=(Path(stepped.__file__), wall.file))
    plant = plant_of(simulator.machine_file, simulator.port)
    assert driver.load(plant).error is None
    idle(driver)
    simulator.reset_trace()
    body = (valve("tma", 25), purge(300), valve("water", 25), purge(300))
    assert driver.run(order_of(plant, looped(CYCLES, *body))).error is None
    driver.wait_for(PulseDone, 4)
    wall.set(3 * DAY_S + HOUR_S)
    driver.wait_for(ClockStepped, 1)
    driver.wait_for(PulseDone, 12)
    wall.set(-2 * DAY_S)
    driver.wait_for(ClockStepped, 2)
    (ended,) = driver.wait_for(RunEnded)
    assert ended.outcome is RunOutcome.COMPLETED

    steps = [event.step_ns for event in driver.of(ClockStepped)]
    assert steps == [
        pytest.approx(HOUR_S * S, abs=SLACK_NS),
        pytest.approx(-(5 * DAY_S + HOUR_S) * S, abs=SLACK_NS),
    ]
    pulses = driver.of(PulseDone)
    assert len(pulses) == 2 * CYCLES
    # What was asked for reached the PLC, on the grid that the program gives.
    opened = [edge["valve"] for edge in simulator.trace() if edge["state"] and edge["valve"]]
    assert opened == [pulse.valve for pulse in pulses] == ["tma", "water"] * CYCLES
    assert not simulator.overlaps()
    firsts = [pulse.due_ns for pulse in pulses if pulse.valve == "tma"]
    assert {after - before for before, after in itertools.pairwise(firsts)} == {CYCLE_NS}


def test_the_record_is_in_order_between_steps_and_each_step_is_on_it(simulator, start_driver, wall):
    driver = start_driver(program=(Path(stepped.__file__), wall.file))
    assert driver.load(plant_of(simulator.machine_file, simulator.port)).error is None
    idle(driver)
    for ahead_s in (HOUR_S, -HOUR_S):
        wall.set(ahead_s)
        count = len(driver.of(ClockStepped))
        driver.wait_for(ClockStepped, count + 1)
        driver.has_scanned(len(driver.scans) + 5, within_s=30)
    first, second = driver.of(ClockStepped)
    scans = driver.scans
    assert [scan.sequence for scan in scans] == list(range(1, len(scans) + 1))
    for before, after in itertools.pairwise(scans):
        assert before.ended_ns <= after.started_ns
        # Starts are late at most; their places are on one grid.
        places = (after.started_ns - after.late_ns) - (before.started_ns - before.late_ns)
        assert places % SCAN_NS == 0
    offsets = [scan.wall_ns - scan.ended_ns for scan in scans]
    jumps = [after - before for before, after in itertools.pairwise(offsets) if after != before]
    assert jumps == [first.step_ns, second.step_ns]
    assert abs(scans[-1].wall_ns - time.time_ns() + HOUR_S * S) < 30 * S
