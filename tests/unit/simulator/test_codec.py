import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ald.plant.model import DataType, Order, Point, Table
from ald.simulator.codec import from_registers, to_registers


def point(kind, order=Order.ABCD):
    return Point(table=Table.HOLDING, address=0, type=kind, order=order)


@pytest.mark.parametrize(
    ("order", "registers"),
    [
        (Order.ABCD, [0x0102, 0x0304]),
        (Order.CDAB, [0x0304, 0x0102]),
        (Order.BADC, [0x0201, 0x0403]),
        (Order.DCBA, [0x0403, 0x0201]),
    ],
)
def test_each_order_lays_the_bytes_out_as_drawn(order, registers):
    assert to_registers(point(DataType.UINT32, order), 0x01020304) == registers
    assert from_registers(point(DataType.UINT32, order), registers) == 0x01020304


def test_a_float_is_ieee_754():
    assert to_registers(point(DataType.FLOAT32), 20.0) == list(
        struct.unpack(">HH", struct.pack(">f", 20.0))
    )


def test_sixteen_bits_swap_their_bytes_only():
    assert to_registers(point(DataType.UINT16, Order.CDAB), 0x0102) == [0x0102]
    assert to_registers(point(DataType.UINT16, Order.DCBA), 0x0102) == [0x0201]


def test_a_whole_type_keeps_within_what_it_can_hold():
    assert from_registers(point(DataType.INT16), to_registers(point(DataType.INT16), 1e9)) == 32767
    assert from_registers(point(DataType.UINT16), to_registers(point(DataType.UINT16), -5)) == 0
    assert to_registers(point(DataType.INT32), float("nan")) == [0, 0]


def test_a_bool_is_nought_or_one():
    assert to_registers(point(DataType.BOOL), 7.0) == [1]
    assert from_registers(point(DataType.BOOL), [0]) == 0.0


@given(
    kind=st.sampled_from([DataType.FLOAT64, DataType.INT64, DataType.INT32, DataType.UINT64]),
    order=st.sampled_from(Order),
    value=st.integers(min_value=0, max_value=2**31 - 1),
)
def test_what_is_stored_reads_back(kind, order, value):
    assert from_registers(point(kind, order), to_registers(point(kind, order), value)) == value
