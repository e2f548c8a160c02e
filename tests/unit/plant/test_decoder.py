import math
import struct
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ald.errors import LinkDesyncError
from ald.plant.decoder import QUALITY_BAD, QUALITY_GOOD, Block, ScanDecoder
from ald.plant.model import DataType, Order, Point, Signal, Table
from ald.plant.words import FLOATS, decode

HOLDING = Block(table=Table.HOLDING, first=100, count=8)
COILS = Block(table=Table.COIL, first=0, count=10)


def signal(address, kind=DataType.FLOAT32, table=Table.HOLDING, order=Order.ABCD, **scaling):
    point = Point(table=table, address=address, type=kind, order=order)
    return Signal(
        name=f"{table.value}.{address}",
        component=table.value,
        point=point,
        unit="",
        **{"scale": 1.0, "offset": 0.0, **scaling},
    )


@given(data=st.data())
def test_a_whole_scan_is_decoded_as_each_of_its_values_alone(data):
    kinds = st.sampled_from([kind for kind in DataType if kind is not DataType.BOOL])
    signals, address = [], 0
    for kind in data.draw(st.lists(kinds, min_size=1, max_size=12)):
        order = data.draw(st.sampled_from(Order))
        scale = data.draw(st.sampled_from([1.0, 0.1, -2.0]))
        signals.append(signal(address, kind, Table.INPUT, order, scale=scale, offset=0.5))
        address += kind.words
    words = data.draw(st.lists(st.integers(0, 65535), min_size=address, max_size=address))
    block = Block(table=Table.INPUT, first=0, count=address)
    values, qualities = ScanDecoder(signals, [block]).decode([struct.pack(f">{address}H", *words)])
    for each, value, quality in zip(signals, values, qualities, strict=True):
        at, size = each.point.address, each.point.type.words
        expected = decode(each, tuple(words[at : at + size]))
        if math.isfinite(expected):
            assert value == expected
            assert quality == QUALITY_GOOD
        else:
            assert math.isnan(value)
            assert quality == QUALITY_BAD


def test_bits_come_lowest_first_in_each_byte():
    signals = [signal(a, DataType.BOOL, Table.COIL) for a in (0, 7, 8, 9)]
    values, _ = ScanDecoder(signals, [COILS]).decode([bytes([0b1000_0001, 0b10])])
    assert values.tolist() == [1, 1, 0, 1]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_bad_and_nan(value):
    payload = struct.pack(">ff8x", value, 1.5)
    values, qualities = ScanDecoder([signal(100), signal(102)], [HOLDING]).decode([payload])
    assert math.isnan(values[0])
    assert values[1] == 1.5
    assert qualities.tolist() == [QUALITY_BAD, QUALITY_GOOD]


def test_a_value_that_overflows_in_its_scaling_is_bad_without_a_warning():
    huge = signal(100, DataType.FLOAT64, scale=1e300)
    values, qualities = ScanDecoder([huge], [HOLDING]).decode([struct.pack(">d8x", 1e300)])
    assert math.isnan(values[0])
    assert qualities.tolist() == [QUALITY_BAD]


def test_a_signalling_nan_is_bad_without_a_warning():
    payload = bytes.fromhex("7fa00000") + bytes(12)
    _, qualities = ScanDecoder([signal(100)], [HOLDING]).decode([payload])
    assert qualities.tolist() == [QUALITY_BAD]


def test_what_a_failed_request_should_have_read_is_bad_and_the_rest_good():
    signals = [signal(100), signal(3, DataType.BOOL, Table.COIL)]
    values, qualities = ScanDecoder(signals, [HOLDING, COILS]).decode([None, bytes([8, 0])])
    assert math.isnan(values[0])
    assert values[1] == 1
    assert qualities.tolist() == [QUALITY_BAD, QUALITY_GOOD]


def test_a_payload_of_another_length_belongs_to_another_request():
    with pytest.raises(LinkDesyncError, match="8 of table holding from 100 take 16 bytes, got 14"):
        ScanDecoder([signal(100)], [HOLDING]).decode([bytes(14)])


def test_a_block_of_a_shared_space_serves_both_of_its_tables():
    inputs = [signal(102, table=Table.INPUT), signal(3, DataType.BOOL, Table.DISCRETE)]
    decoder = ScanDecoder(inputs, [HOLDING, COILS], shared_registers=True, shared_bits=True)
    values, _ = decoder.decode([struct.pack(">4xf8x", 2.5), bytes([8, 0])])
    assert values.tolist() == [2.5, 1.0]


@pytest.mark.parametrize("table", [Table.INPUT, Table.COIL])
def test_a_signal_that_no_block_reads_is_a_bug_and_says_so(table):
    kind = DataType.BOOL if table is Table.COIL else DataType.FLOAT32
    with pytest.raises(AssertionError, match="no block reads"):
        ScanDecoder([signal(100, kind, table)], [HOLDING])


def test_a_signal_half_in_a_block_is_not_read_by_it():
    with pytest.raises(AssertionError, match="no block reads"):
        ScanDecoder([signal(107)], [HOLDING])


def test_a_scan_without_signals_is_empty():
    values, qualities = ScanDecoder([], []).decode([])
    assert values.size == qualities.size == 0


def test_a_thousand_values_take_less_than_two_milliseconds():
    kinds = [kind for kind in FLOATS if kind.words == 2]
    signals = [signal(2 * i, kinds[0], Table.INPUT, Order.CDAB) for i in range(1000)]
    blocks = [Block(table=Table.INPUT, first=120 * i, count=120) for i in range(17)]
    decoder = ScanDecoder(signals, blocks)
    payloads = [bytes(240)] * 17
    best = min(_seconds(decoder, payloads) for _ in range(20))
    assert best < 0.002
    assert np.all(decoder.decode(payloads)[1] == QUALITY_GOOD)


def _seconds(decoder, payloads):
    start = time.thread_time()
    decoder.decode(payloads)
    return time.thread_time() - start


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("kind", [kind for kind in DataType if kind is not DataType.BOOL])
def test_values_with_gaps_behind_an_odd_number_of_bytes_of_bits(kind, order):
    coils = Block(table=Table.COIL, first=0, count=17)
    registers = Block(table=Table.HOLDING, first=100, count=12)
    words = tuple(range(0x0102, 0x0102 + 12 * 0x0202, 0x0202))
    # Last ones first, so that neither columns nor words are one run.
    signals = [
        signal(106, kind, order=order),
        signal(16, DataType.BOOL, Table.COIL),
        signal(101, kind, order=order),
    ]
    payloads = [bytes([0, 0, 1]), struct.pack(">12H", *words)]
    values, _ = ScanDecoder(signals, [coils, registers]).decode(payloads)
    expected = [
        decode(s, words[at : at + kind.words]) for s, at in ((signals[0], 6), (signals[2], 1))
    ]
    assert [values[0], values[2]] == expected
    assert values[1] == 1


def register_bit(address, bit, table=Table.HOLDING):
    point = Point(table=table, address=address, type=DataType.BOOL, bit=bit)
    return Signal(name=f"b.{bit}", component="b", point=point, unit="", scale=1.0, offset=0.0)


@pytest.mark.parametrize(
    ("register", "ones"),
    [(b"\x00\x05", {0, 2}), (b"\x81\x00", {8, 15}), (b"\xff\xff", {*range(16)})],
)
def test_one_bit_of_a_register_is_decoded_as_the_documented_bytes_show(register, ones):
    signals = [register_bit(7, bit) for bit in range(16)]
    block = Block(table=Table.HOLDING, first=6, count=2)
    values, qualities = ScanDecoder(signals, [block]).decode([b"\xaa\xaa" + register])
    assert {bit for bit in range(16) if values[bit] == 1.0} == ones
    assert set(values) <= {0.0, 1.0}
    assert [decode(each, (int.from_bytes(register, "big"),)) for each in signals] == list(values)
    assert set(qualities) == {QUALITY_GOOD}


def test_bits_of_registers_stand_beside_words_and_coils():
    mixed = [
        register_bit(10, 3),
        signal(10, DataType.UINT16, order=Order.BADC),
        signal(4, DataType.BOOL, Table.COIL),
    ]
    blocks = [
        Block(table=Table.HOLDING, first=10, count=1),
        Block(table=Table.COIL, first=4, count=1),
    ]
    values, _ = ScanDecoder(mixed, blocks).decode([b"\x00\x08", b"\x01"])
    assert list(values) == [1.0, 0x0800, 1.0]


def test_a_bit_of_a_register_that_was_not_read_is_bad():
    block = Block(table=Table.HOLDING, first=10, count=1)
    values, qualities = ScanDecoder([register_bit(10, 3)], [block]).decode([None])
    assert math.isnan(values[0])
    assert qualities[0] == QUALITY_BAD
