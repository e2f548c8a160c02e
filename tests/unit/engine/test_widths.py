"""Width errors in constant room: percentiles that are never below the truth, and hardly above it."""

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from ald.engine.widths import added, added_by_plc, widths_of
from ald.program.model import Timing
from unit.engine.programs import MS, S, compiled, valve

EMPTY = widths_of(compiled(valve("tma", 40)))


def nearest_rank(errors, percent):
    ordered = sorted(abs(e) for e in errors)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


@given(st.lists(st.integers(-200 * S, 200 * S) | st.integers(-5 * MS, 5 * MS), min_size=1))
@example([0])
@example([1023, 1024, 16 * 1024 - 1, 16 * 1024, 32 * 1024 - 1, 32 * 1024])
def test_percentiles_are_the_nearest_rank_or_a_little_more(errors):
    widths = EMPTY
    for error in errors:
        widths = added(widths, error, 40 * MS)
    found = widths.timing
    assert found.whole == len(errors)
    assert widths.worst_ns == max(abs(e) for e in errors)
    for percent, told in ((50, found.p50_error_ns), (99, found.p99_error_ns)):
        truth = nearest_rank(errors, percent)
        assert truth <= told <= min(widths.worst_ns, max(truth * 1.0625, truth + 1024))


def test_an_error_beyond_the_last_bucket_is_told_exactly():
    widths = added(EMPTY, 10_000 * S, 40 * MS)
    assert widths.timing.p99_error_ns == widths.worst_ns == 10_000 * S


def test_the_largest_ratio_is_not_that_of_the_largest_error():
    widths = added(added(EMPTY, 2 * MS, 10 * MS), -5 * MS, 1000 * MS)
    assert (widths.worst_ns, widths.timing.worst_relative_error) == (5 * MS, 0.2)


def test_the_room_does_not_grow():
    widths = EMPTY
    for error in range(0, 50 * MS, 100_000):
        widths = added(widths, error, 40 * MS)
    assert len(widths.counts) == len(EMPTY.counts) <= 400


def test_the_limits_are_those_of_the_program():
    limit = Timing(max_error_ns=3 * MS, max_relative_error=0.1)
    strict = msgspec.structs.replace(compiled(valve("tma", 40)), timing=limit)
    found = added(widths_of(strict), 1, 40 * MS).timing
    assert (found.max_error_ns, found.max_relative_error) == (3 * MS, 0.1)


def test_a_pulse_of_the_plc_adds_no_error_and_its_largest_uncertainty_is_kept():
    measured = added(EMPTY, 3 * MS, 40 * MS)
    found = added_by_plc(added_by_plc(measured, 2 * MS), 1 * MS)
    assert (found.timing.by_plc, found.timing.plc_uncertainty_ns) == (2, 2 * MS)
    left = msgspec.structs.replace(found.timing, by_plc=0, plc_uncertainty_ns=0)
    assert (left, found.worst_ns) == (measured.timing, measured.worst_ns)
