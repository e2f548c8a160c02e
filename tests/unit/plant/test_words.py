import math
import re
import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ald.errors import InvalidInputError
from ald.plant.model import DataType, Order, Parameter, Point, Table
from ald.plant.words import (
    FLOATS,
    byte_positions,
    decode,
    encode,
    integer_range,
    raw_of_words,
    words_of_raw,
)

INTEGERS = [kind for kind in DataType if kind not in FLOATS]
REGISTERS = [kind for kind in DataType if kind is not DataType.BOOL]


def parameter(kind, order=Order.ABCD, *, scale=1.0, offset=0.0):
    table = Table.COIL if kind is DataType.BOOL else Table.HOLDING
    point = Point(table=table, address=0, type=kind, order=order)
    return Parameter(
        name="a.b", component="a", point=point, unit="", scale=scale, offset=offset, writable=True
    )


@pytest.mark.parametrize(
    ("order", "int16", "uint32", "uint64"),
    [
        (Order.ABCD, (0x0102,), (0x0102, 0x0304), (0x0102, 0x0304, 0x0506, 0x0708)),
        (Order.CDAB, (0x0102,), (0x0304, 0x0102), (0x0708, 0x0506, 0x0304, 0x0102)),
        (Order.BADC, (0x0201,), (0x0201, 0x0403), (0x0201, 0x0403, 0x0605, 0x0807)),
        (Order.DCBA, (0x0201,), (0x0403, 0x0201), (0x0807, 0x0605, 0x0403, 0x0201)),
    ],
)
def test_each_order_lays_out_the_words_that_the_table_in_the_module_shows(
    order, int16, uint32, uint64
):
    assert words_of_raw(0x0102, DataType.INT16, order) == int16
    assert words_of_raw(0x01020304, DataType.UINT32, order) == uint32
    assert words_of_raw(0x0102030405060708, DataType.UINT64, order) == uint64


PAGE = Path(__file__).parents[3] / "docs" / "machines.md"
ROW = re.compile(r"^\| `(u?int\d+|float\d+)` \| ([-0-9.]+) \| (.+) \|$", re.MULTILINE)
DOCUMENTED = {
    DataType(kind): (value, cells) for kind, value, cells in ROW.findall(PAGE.read_text())
}


@pytest.mark.requirement("CMD-06")
@pytest.mark.parametrize("kind", REGISTERS)
def test_the_page_for_readers_shows_the_registers_of_every_type_and_order(kind):
    value, cells = DOCUMENTED[kind]
    raw = float(value) if kind in FLOATS else int(value)
    for order, cell in zip(Order, cells.split(" | "), strict=True):
        shown = tuple(int(word, 16) for word in cell.split())
        assert words_of_raw(raw, kind, order) == shown
        assert raw_of_words(shown, kind, order) == raw


def test_a_float_that_another_library_reads_low_word_first_is_laid_out_as_cdab():
    high, low = struct.unpack(">HH", struct.pack(">f", 3.14))
    assert words_of_raw(3.14, DataType.FLOAT32, Order.CDAB) == (low, high)


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("kind", REGISTERS)
def test_every_byte_of_a_value_has_one_place_in_its_registers(kind, order):
    assert sorted(byte_positions(kind, order)) == list(range(2 * kind.words))


@pytest.mark.requirement("CMD-06")
@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("kind", INTEGERS)
@given(data=st.data())
def test_every_integer_makes_an_exact_round_trip_through_its_words(kind, order, data):
    raw = data.draw(st.integers(*integer_range(kind)))
    words = words_of_raw(raw, kind, order)
    assert len(words) == kind.words
    assert raw_of_words(words, kind, order) == raw


@pytest.mark.requirement("CMD-06")
@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("kind", REGISTERS)
@given(data=st.data())
def test_any_words_make_an_exact_round_trip_through_their_raw_value(kind, order, data):
    words = tuple(data.draw(st.integers(0, 65535)) for _ in range(kind.words))
    raw = raw_of_words(words, kind, order)
    if not math.isnan(raw):
        assert words_of_raw(raw, kind, order) == words


@pytest.mark.requirement("CMD-06")
@pytest.mark.parametrize("order", Order)
@given(value=st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_float32_is_written_and_read_without_a_change(order, value):
    each = parameter(DataType.FLOAT32, order)
    assert decode(each, encode(each, value)) == value


@given(raw=st.integers(-32768, 32767), scale=st.sampled_from([0.1, 0.5, 2.0, -0.25]))
def test_a_scaled_value_is_written_as_the_raw_value_that_it_was_read_from(raw, scale):
    each = parameter(DataType.INT16, scale=scale, offset=12.5)
    words = words_of_raw(raw, DataType.INT16, Order.ABCD)
    assert encode(each, decode(each, words)) == words


@given(value=st.floats(-3000, 3000))
def test_the_written_raw_value_is_the_nearest(value):
    each = parameter(DataType.INT16, scale=0.1)
    assert abs(decode(each, encode(each, value)) - value) <= 0.05 + 1e-9


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", DataType)
def test_nan_and_infinities_are_never_written(kind, value):
    with pytest.raises(InvalidInputError, match="only finite numbers are written"):
        encode(parameter(kind), value)


@pytest.mark.parametrize("kind", [k for k in INTEGERS if k.words < 4])
def test_an_integer_outside_its_type_is_refused_with_the_range_that_fits(kind):
    low, high = integer_range(kind)
    for value in (low - 1, high + 1):
        with pytest.raises(InvalidInputError) as caught:
            encode(parameter(kind), value)
        assert caught.value.violations[0].path == "a.b"
    assert encode(parameter(kind), high) == words_of_raw(high, kind, Order.ABCD)


@pytest.mark.parametrize("kind", [DataType.INT64, DataType.UINT64])
def test_a_64_bit_integer_beyond_its_range_is_refused(kind):
    with pytest.raises(InvalidInputError, match=f"does not fit {kind.value}"):
        encode(parameter(kind), 2.0**64)


def test_a_number_too_large_for_float32_is_refused():
    with pytest.raises(InvalidInputError, match="does not fit float32"):
        encode(parameter(DataType.FLOAT32), 1e39)


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0])
def test_a_switch_takes_nothing_between_and_nothing_beyond_0_and_1(value):
    with pytest.raises(InvalidInputError, match="0 or 1"):
        encode(parameter(DataType.BOOL), value)
    assert encode(parameter(DataType.BOOL), 1.0) == (1,)


def test_a_word_of_more_than_16_bits_and_a_bit_of_more_than_one_are_refused():
    with pytest.raises(OverflowError):
        raw_of_words((65536,), DataType.UINT16, Order.ABCD)
    with pytest.raises(OverflowError):
        raw_of_words((2,), DataType.BOOL, Order.ABCD)
    with pytest.raises(OverflowError):
        words_of_raw(2, DataType.BOOL, Order.ABCD)


def test_a_value_whose_scaling_overflows_is_refused():
    tiny = msgspec.structs.replace(parameter(DataType.FLOAT64), scale=1e-300)
    with pytest.raises(InvalidInputError, match="finite"):
        encode(tiny, 1e300)
