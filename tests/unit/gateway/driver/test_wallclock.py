"""UTC by an anchor."""

from ald.gateway.driver.wallclock import STEP_NS, WallClock

S = 1_000_000_000


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


def test_a_step_either_way_is_told_once_and_anchored():
    clock = Clock()
    wall = WallClock(clock)
    clock.wall -= 3600 * S
    assert wall.step_ns() == -3600 * S
    assert wall.step_ns() == 0
    clock.wall += 7200 * S
    assert wall.step_ns() == 7200 * S
    assert wall.offset_ns == 8500 * S
