import math
import random

import pytest

from ald.plc.times import (
    BOUNDS_NS,
    HISTOGRAMS_MAX,
    KINDS_MAX,
    OTHERS,
    WINDOW,
    Times,
    TimesByKind,
)


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


@pytest.mark.parametrize("spread", [3, 10**6])
def test_the_longest_is_known_after_each_round_trip(spread):
    times, values = Times(), []
    of = random.Random(spread)
    for n in range(3 * WINDOW):
        values.append(of.randrange(spread))
        times.add(values[-1])
        if n % 3 and n not in range(WINDOW - 3, WINDOW + 3):
            continue
        recent = sorted(values[-WINDOW:])
        assert times.longest_ns == recent[math.ceil(0.999 * len(recent)) - 1]


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


def test_a_block_never_read_is_taken_for_as_slow_as_the_slowest_that_was():
    times = TimesByKind()
    times.add("write coils", 9_000_000)
    assert times.longest_ns("read holding 0+4") is None
    times.add("read holding 0+4", 1000)
    times.add("read coil 0+9", 3000)
    assert times.longest_ns("read holding 0+4") == 1000
    assert times.longest_ns("read holding 0+2") == 3000


def test_kinds_are_bounded_and_the_oldest_go_first():
    times = TimesByKind()
    for n in range(KINDS_MAX + 1):
        times.add(f"read holding {n:05}+1", n)
    kept = [summary.request for summary in times.summaries()]
    assert len(kept) == KINDS_MAX
    assert kept[0] == "read holding 00001+1"


def test_a_histogram_counts_every_round_trip_in_the_class_that_holds_it():
    times = TimesByKind()
    for round_trip_ns in (0, BOUNDS_NS[0], BOUNDS_NS[0] + 1, BOUNDS_NS[-1] + 1):
        times.add("write coils", round_trip_ns)
    (found,) = times.io_times()
    assert found.request == "write coils"
    assert found.counts == (2, 1, *(0,) * (len(BOUNDS_NS) - 2), 1)
    assert found.sum_ns == 2 * BOUNDS_NS[0] + BOUNDS_NS[-1] + 2


def test_histograms_are_bounded_and_lose_nothing():
    times = TimesByKind()
    for n in range(2 * KINDS_MAX):
        times.add(f"read holding {n:05}+1", 1000)
    times.add("read holding 00000+1", 1000)
    found = {one.request: sum(one.counts) for one in times.io_times()}
    assert len(found) == HISTOGRAMS_MAX + 1
    assert found["read holding 00000+1"] == 2
    assert found[OTHERS] == 2 * KINDS_MAX - HISTOGRAMS_MAX
