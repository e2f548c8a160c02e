"""What a read-back says of a write whose outcome was left open."""

import pytest

from ald.plant.model import Table
from ald.plc.request import ReadBits, ReadRegisters, WriteCoil, WriteCoils, WriteRegisters
from ald.plc.unsettled import Finding, is_open, judge, read_of

ON = WriteCoil(15, True)
SEVERAL = WriteCoils(8, (True, False, True))
WORDS = WriteRegisters(100, (258, 3))

NOT_STANDARD = (7, 9, 12, 85, 255)
OPEN = (4, 5, 6, 8, 11, *NOT_STANDARD)


@pytest.mark.parametrize("code", range(1, 256))
def test_only_four_exceptions_say_for_certain_that_nothing_was_written(code):
    assert is_open(code) is (code not in (1, 2, 3, 10))


@pytest.mark.parametrize(
    ("request_", "read"),
    [
        (ON, ReadBits(Table.COIL, 15, 1)),
        (SEVERAL, ReadBits(Table.COIL, 8, 3)),
        (WORDS, ReadRegisters(Table.HOLDING, 100, 2)),
    ],
)
def test_exactly_what_was_written_is_read_back(request_, read):
    assert read_of(request_) == read


@pytest.mark.parametrize("code", OPEN)
@pytest.mark.parametrize(
    ("request_", "data"),
    [(ON, b"\1"), (WriteCoil(15, False), b"\0"), (SEVERAL, b"\5"), (WORDS, b"\1\2\0\3")],
)
def test_what_reads_as_it_was_written_took_effect(request_, data, code):
    assert judge(request_, code, data) is Finding.CONFIRMED


@pytest.mark.parametrize("code", OPEN)
@pytest.mark.parametrize(
    ("request_", "data"),
    [(ON, b"\0"), (WriteCoil(15, False), b"\1"), (SEVERAL, b"\1"), (WORDS, b"\1\2\0\4")],
)
def test_what_reads_otherwise_did_not_unless_nobody_knows(request_, data, code):
    is_known = code in (4, 6, 8, 11)
    assert judge(request_, code, data) is (Finding.REFUSED if is_known else Finding.OPEN)
