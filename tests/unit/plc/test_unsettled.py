"""What a read-back says of a write whose outcome was left open."""

import pytest

from ald.plant.model import Table
from ald.plc.request import ReadBits, ReadRegisters, WriteCoil, WriteCoils, WriteRegisters
from ald.plc.unsettled import UNCERTAIN, Finding, judge, read_of

ON = WriteCoil(15, True)
SEVERAL = WriteCoils(8, (True, False, True))
WORDS = WriteRegisters(100, (258, 3))


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


@pytest.mark.parametrize("code", UNCERTAIN)
@pytest.mark.parametrize(
    ("request_", "data"),
    [(ON, b"\1"), (WriteCoil(15, False), b"\0"), (SEVERAL, b"\5"), (WORDS, b"\1\2\0\3")],
)
def test_what_reads_as_it_was_written_took_effect(request_, data, code):
    assert judge(request_, code, data) is Finding.CONFIRMED


@pytest.mark.parametrize("code", UNCERTAIN)
@pytest.mark.parametrize(
    ("request_", "data"),
    [(ON, b"\0"), (WriteCoil(15, False), b"\1"), (SEVERAL, b"\1"), (WORDS, b"\1\2\0\4")],
)
def test_what_reads_otherwise_did_not_unless_the_plc_may_still_be_at_it(request_, data, code):
    assert judge(request_, code, data) is (Finding.OPEN if code == 5 else Finding.REFUSED)
