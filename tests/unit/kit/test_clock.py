"""The host's clocks."""

from ald.kit.clock import SystemClock


def test_monotonic_time_never_steps_back_and_wall_time_is_after_2020() -> None:
    clock = SystemClock()
    first = clock.monotonic_ns()
    assert clock.monotonic_ns() >= first
    assert clock.wall_ns() > 1_577_836_800_000_000_000
