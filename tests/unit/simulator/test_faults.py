"""Faults and orders for them."""

import struct

import msgspec
import pytest

from ald.plant.model import Table
from ald.simulator.faults import FaultOrder, Faults, Missing


def test_what_an_order_leaves_out_stays():
    faults = FaultOrder(delay_ms=20, drop=True).applied_to(Faults(freeze=True))
    assert faults == Faults(delay_ms=20, freeze=True)


def test_a_fault_can_be_taken_back():
    assert (
        FaultOrder(delay_ms=0, freeze=False).applied_to(Faults(delay_ms=5, freeze=True)) == Faults()
    )


@pytest.mark.parametrize("body", [b'{"delay":1}', b'{"delay_ms":-1}', b'{"freeze":"yes"}'])
def test_an_order_that_means_nothing_is_refused(body):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=FaultOrder)


def request(function, first, count):
    return struct.pack(">BHH", function, first, count)


@pytest.mark.requirement("PLC-RS")
@pytest.mark.parametrize(
    ("limit", "function"),
    [
        ("read_bits_max", 1),
        ("read_bits_max", 2),
        ("read_registers_max", 3),
        ("read_registers_max", 4),
        ("write_bits_max", 15),
        ("write_registers_max", 16),
    ],
)
def test_what_is_longer_than_a_limit_is_refused_with_exception_3(limit, function):
    faults = msgspec.convert({limit: 10}, Faults)
    assert faults.refusal(request(function, 0, 10)) is None
    assert faults.refusal(request(function, 0, 11)) == 3
    assert Faults().refusal(request(function, 0, 2000)) is None


@pytest.mark.requirement("PLC-RS")
@pytest.mark.parametrize(
    ("function", "first", "count", "code"),
    [
        (3, 10, 1, 2),
        (3, 0, 11, 2),
        (3, 12, 5, 2),
        (3, 0, 10, None),
        (3, 13, 5, None),
        (4, 10, 1, None),
        (16, 11, 1, 2),
        (6, 12, 0xFFFF, 2),
        (6, 9, 0xFFFF, None),
    ],
)
def test_what_touches_a_missing_address_is_refused_with_exception_2(function, first, count, code):
    faults = Faults(missing=(Missing(table=Table.HOLDING, first=10, last=12),))
    assert faults.refusal(request(function, first, count)) == code


def test_a_request_cut_short_is_none_of_these():
    assert Faults(read_registers_max=1).refusal(b"\3\0") is None
