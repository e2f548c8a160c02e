import math
import random

from ald.plc.times import WINDOW, Times


def test_nothing_is_known_before_the_first_round_trip():
    assert Times().quantile_ns(0.999) is None


def test_quantiles_are_those_of_the_last_thousand():
    times = Times()
    values = [random.Random(7).randrange(10**6) for _ in range(3)]
    values += [random.Random(n).randrange(500) for n in range(2 * WINDOW)]
    for value in values:
        times.add(value)
    recent = sorted(values[-WINDOW:])
    for share in (0.0, 0.01, 0.5, 0.99, 0.999, 1.0):
        expected = recent[max(0, math.ceil(share * WINDOW) - 1)]
        assert times.quantile_ns(share) == expected


def test_the_summary_keeps_the_worst_of_all_times():
    times = Times()
    times.add(9_000_000)
    for _ in range(WINDOW):
        times.add(1000)
    summary = times.summary("read holding 0+4")
    assert summary.request == "read holding 0+4"
    assert summary.count == WINDOW + 1
    assert summary.worst_ns == 9_000_000
    assert summary.p999_ns == summary.p1_ns == summary.last_ns == 1000
