"""The width errors of a run's pulses in constant room: a histogram for the percentiles, and the largest ones exactly.

Errors are absolute. Buckets are a 16th of a power of two wide, from one microsecond up, so that a percentile is at most
6.25 % or 1 µs above the truth, and never below it: an upper edge is told, or the largest error where that is less.
"""

import msgspec
from msgspec.structs import replace

from ald.program.model import Program
from ald.records.event import PulseTiming

_SHIFT = 10
"""Errors are counted in units of 1,024 ns."""

_SHARES = 16
"""Buckets in each power of two."""

_OCTAVES = 24
"""Powers of two from 16 units up; the last ends beyond four minutes, longer than any pulse is late."""

_BUCKETS = _SHARES * (_OCTAVES + 1)


class Widths(msgspec.Struct, frozen=True, kw_only=True):
    """The whole pulses so far: counts by bucket, the largest error, and the figures made of them once a pulse."""

    counts: tuple[int, ...] = (0,) * _BUCKETS
    worst_ns: int = 0
    timing: PulseTiming


def widths_of(program: Program) -> Widths:
    """Return the widths of a run of this program before its first pulse."""
    limit = program.timing
    if limit is None:
        return Widths(timing=PulseTiming())
    return Widths(
        timing=PulseTiming(
            max_error_ns=limit.max_error_ns, max_relative_error=limit.max_relative_error
        )
    )


def counted_on(
    widths: Widths, counts: tuple[int, ...], worst_ns: int, timing: PulseTiming
) -> Widths:
    """Return the widths of a run that another attempt goes on with, from what is remembered of the one before."""
    if len(counts) != _BUCKETS:
        # Remembered by a version that did not count them: percentiles of some of the pulses would be of none.
        return widths
    return Widths(counts=counts, worst_ns=worst_ns, timing=timing)


def added(widths: Widths, error_ns: int, open_ns: int) -> Widths:
    """Return the widths with one more pulse."""
    error_ns = abs(error_ns)
    bucket = _bucket(error_ns)
    old = widths.timing
    counts = (*widths.counts[:bucket], widths.counts[bucket] + 1, *widths.counts[bucket + 1 :])
    whole, worst_ns = old.whole + 1, max(widths.worst_ns, error_ns)
    timing = replace(
        old,
        whole=whole,
        p50_error_ns=_upper_ns(_percentile(counts, whole, 50), worst_ns),
        p99_error_ns=_upper_ns(_percentile(counts, whole, 99), worst_ns),
        worst_relative_error=max(old.worst_relative_error, error_ns / max(1, open_ns)),
    )
    return Widths(counts=counts, worst_ns=worst_ns, timing=timing)


def added_by_plc(widths: Widths, uncertainty_ns: int) -> Widths:
    """Return the widths with one more pulse that the PLC has timed: nobody has measured it."""
    old = widths.timing
    largest = max(old.plc_uncertainty_ns, uncertainty_ns)
    timing = replace(old, by_plc=old.by_plc + 1, plc_uncertainty_ns=largest)
    return replace(widths, timing=timing)


def _percentile(counts: tuple[int, ...], whole: int, percent: int) -> int:
    """Return the bucket of the nearest rank."""
    rank = -(-whole * percent // 100)
    seen = 0
    for bucket, count in enumerate(counts):
        seen += count
        if seen >= rank:
            return bucket
    raise AssertionError("there are as many errors as were counted")


def _bucket(error_ns: int) -> int:
    units = error_ns >> _SHIFT
    if units < _SHARES:
        return units
    octave = units.bit_length() - _SHARES.bit_length()
    return min(_BUCKETS - 1, _SHARES * octave + (units >> octave))


def _upper_ns(bucket: int, worst_ns: int) -> int:
    """Return the largest error that falls into the bucket; that of the last one is the largest of all."""
    if bucket == _BUCKETS - 1:
        return worst_ns
    octave = max(0, bucket // _SHARES - 1)
    share = bucket - _SHARES * octave
    return min(worst_ns, ((share + 1) << (octave + _SHIFT)) - 1)
