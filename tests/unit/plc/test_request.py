import pytest

from ald.plant.model import Table
from ald.plc.request import (
    ReadBits,
    ReadRegisters,
    Request,
    WriteCoil,
    WriteCoils,
    WriteRegisters,
    is_coil_write,
    is_write,
)


@pytest.mark.requirement("SEC-02")
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ReadBits(Table.HOLDING, 0, 1), "coils or discrete inputs, not holding"),
        (lambda: ReadRegisters(Table.COIL, 0, 1), "registers, not coil"),
        (lambda: ReadBits(Table.COIL, 0, 0), "1 to 2000"),
        (lambda: ReadBits(Table.COIL, 0, 2001), "1 to 2000"),
        (lambda: ReadRegisters(Table.INPUT, 0, 126), "1 to 125"),
        (lambda: ReadRegisters(Table.INPUT, 65535, 2), "addresses end at 65535"),
        (lambda: ReadRegisters(Table.INPUT, -1, 2), "addresses end at 65535"),
        (lambda: WriteCoil(65536, True), "addresses end at 65535"),
        (lambda: WriteCoils(0, ()), "1 to 1968"),
        (lambda: WriteCoils(0, (True,) * 1969), "1 to 1968"),
        (lambda: WriteRegisters(0, ()), "1 to 123"),
        (lambda: WriteRegisters(0, (0,) * 124), "1 to 123"),
        (lambda: WriteRegisters(0, (65536,)), "0 to 65535"),
        (lambda: WriteRegisters(0, (0, -1)), "0 to 65535"),
    ],
)
def test_a_request_beyond_the_protocol_is_refused_where_it_is_made(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_the_largest_requests_are_accepted():
    ReadBits(Table.DISCRETE, 63536, 2000)
    ReadRegisters(Table.HOLDING, 65411, 125)
    WriteCoils(63568, (True,) * 1968)
    WriteRegisters(65413, (65535,) * 123)


def test_writes_and_coil_writes_are_told_apart():
    reads: list[Request] = [ReadBits(Table.COIL, 0, 1), ReadRegisters(Table.HOLDING, 0, 1)]
    coils: list[Request] = [WriteCoil(0, True), WriteCoils(0, (True,))]
    words = WriteRegisters(0, (1,))
    assert not any(is_write(r) or is_coil_write(r) for r in reads)
    assert all(is_write(r) and is_coil_write(r) for r in coils)
    assert is_write(words)
    assert not is_coil_write(words)
