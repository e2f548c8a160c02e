"""Both clocks at once."""

from types import SimpleNamespace

from ald.simulator.now import TRIES_MAX, now
from ald.simulator.trace import Stamp


def clock(*monotonic_ns):
    times = iter(monotonic_ns)
    return SimpleNamespace(monotonic_ns=lambda: next(times), wall_ns=lambda: 5_000)


def test_clocks_that_were_read_together_show_one_moment():
    assert now(clock(1000, 1200)) == Stamp(1100, 5_000)


def test_a_turn_lost_between_the_clocks_is_taken_again():
    assert now(clock(1_000, 9_000_000, 10_000_000, 10_000_400)) == Stamp(10_000_200, 5_000)


def test_of_tries_that_all_lost_their_turn_the_best_counts():
    lost = [
        at for number in range(TRIES_MAX - 1) for at in (number * 10**9, number * 10**9 + 10**8)
    ]
    begin = TRIES_MAX * 10**9
    assert now(clock(*lost, begin, begin + 10_000)) == Stamp(begin + 5_000, 5_000)
