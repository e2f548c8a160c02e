"""Widths as the registers of a PLC's timer hold them."""

import pytest

from ald.plant.model import DataType, Order, Point, Table, TimedPulse
from ald.plant.timed_pulse import broken, words_of

MS = 1_000_000


def timer(kind=DataType.UINT16, order=Order.ABCD, resolution_ns=MS):
    return TimedPulse(
        duration=Point(table=Table.HOLDING, address=300, type=kind, order=order),
        resolution_ns=resolution_ns,
        trigger=40,
        done=Point(table=Table.DISCRETE, address=12, type=DataType.BOOL),
    )


def test_the_documented_bytes():
    assert words_of(timer(), 40 * MS) == (0x0028,)
    fine = timer(DataType.UINT32, Order.CDAB, MS // 10)
    assert words_of(fine, 12_000 * MS) == (0xD4C0, 0x0001)
    assert words_of(timer(DataType.UINT32, Order.ABCD, MS // 10), 12_000 * MS) == (0x0001, 0xD4C0)


@pytest.mark.parametrize(
    ("width_ns", "why"),
    [
        (MS, ""),
        (65_535 * MS, ""),
        (65_536 * MS, "1ms to 1m5.535s"),
        (0, "1ms to 1m5.535s"),
        (MS // 2, "whole multiples of 1ms"),
        (MS + 1, "whole multiples of 1ms"),
    ],
)
def test_a_width_fits_or_the_reason_has_the_figures(width_ns, why):
    found = broken(timer(), width_ns)
    assert why in found
    assert bool(found) is bool(why)


@pytest.mark.parametrize("kind", [DataType.UINT16, DataType.UINT32])
def test_the_largest_count_fits_and_no_larger_one(kind):
    most = (1 << (16 * kind.words)) - 1
    assert words_of(timer(kind, resolution_ns=1000), most * 1000) == (0xFFFF,) * kind.words
    assert broken(timer(kind, resolution_ns=1000), (most + 1) * 1000)
