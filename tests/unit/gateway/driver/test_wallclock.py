"""UTC by an anchor."""

import pytest
from typing_extensions import override

from ald.gateway.driver.wallclock import READINGS_MAX, STEP_NS, WallClock

S = 1_000_000_000
MS = 1_000_000


class Clock:
    def __init__(self):
        self.mono, self.wall = 100 * S, 5000 * S

    def monotonic_ns(self):
        return self.mono

    def wall_ns(self):
        return self.wall


def test_the_anchor_is_the_difference_of_the_clocks():
    assert WallClock(Clock()).offset_ns == 4900 * S


def test_both_clocks_going_on_is_no_step():
    clock = Clock()
    wall = WallClock(clock)
    clock.mono += 60 * S
    clock.wall += 60 * S + STEP_NS - 1
    assert wall.step_ns() == 0
    assert wall.offset_ns == 4900 * S


class Interrupted(Clock):
    """Both clocks go on by `gaps_ns`, one after another, after each reading of either."""

    def __init__(self):
        super().__init__()
        self.gaps_ns = []

    def _read(self, found_ns):
        gap_ns = self.gaps_ns.pop(0) if self.gaps_ns else 0
        self.mono += gap_ns
        self.wall += gap_ns
        return found_ns

    @override
    def monotonic_ns(self):
        return self._read(self.mono)

    @override
    def wall_ns(self):
        return self._read(self.wall)


@pytest.mark.parametrize("gaps", [[200 * MS, 0, 0], [0, 200 * MS, 0]])
@pytest.mark.parametrize("readings", [1, READINGS_MAX])
def test_a_reading_that_was_interrupted_is_no_step(gaps, readings):
    clock = Interrupted()
    wall = WallClock(clock)
    clock.gaps_ns = gaps * readings
    assert wall.step_ns() == 0
    assert wall.offset_ns == 4900 * S


def test_an_interrupted_first_reading_is_no_anchor():
    clock = Interrupted()
    clock.gaps_ns = [200 * MS, 0, 0]
    assert WallClock(clock).offset_ns == 4900 * S


def test_a_step_is_seen_also_where_every_reading_is_interrupted_a_little():
    clock = Interrupted()
    wall = WallClock(clock)
    clock.wall += S
    clock.gaps_ns = [20 * MS, 0, 0] * READINGS_MAX
    assert abs(wall.step_ns() - S) <= 10 * MS


def test_a_step_either_way_is_told_once_and_anchored():
    clock = Clock()
    wall = WallClock(clock)
    clock.wall -= 3600 * S
    assert wall.step_ns() == -3600 * S
    assert wall.step_ns() == 0
    clock.wall += 7200 * S
    assert wall.step_ns() == 7200 * S
    assert wall.offset_ns == 8500 * S
