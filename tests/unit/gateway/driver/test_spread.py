import pytest

from ald.gateway.driver.spread import WRITES_MIN, WriteSpread
from ald.plc.times import WINDOW

MS = 1_000_000


def measured(*round_trips_ms):
    spread = WriteSpread()
    for each in round_trips_ms:
        spread.add(int(each * MS))
    return spread


def test_too_few_writes_say_nothing():
    assert measured(*[1] * (WRITES_MIN - 1)).ns() is None
    assert measured(*[1] * WRITES_MIN).ns() == 0


def test_the_spread_is_that_of_all_but_the_slowest_and_fastest_of_a_hundred():
    even = [1 + i / 100 for i in range(200)]
    assert measured(*even).ns() == pytest.approx(1_960_000, abs=2)
    assert measured(*even, 500, 0.001).ns() < 2 * MS


def test_only_the_last_thousand_count():
    assert measured(*[50, 1] * 100, *[3] * WINDOW).ns() == 0
