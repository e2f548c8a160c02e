import struct

import pytest

from ald.plant.model import AddressRange, Table
from ald.simulator.plc import Plc
from ald.simulator.protocol import answer
from unit.simulator.machines import at, plant


def ask(request, **link):
    return answer(Plc(plant(**link), seed=1, start=at(0)), bytes(request), at(1))


def read(function, first, count):
    return struct.pack(">BHH", function, first, count)


@pytest.mark.requirement("PLC-RS")
@pytest.mark.parametrize(("function", "most"), [(1, 2000), (2, 2000), (3, 125), (4, 125)])
def test_reads_answer_up_to_the_limit_of_the_protocol_and_no_further(function, most):
    reply = ask(read(function, 0, most))
    assert reply[0] == function
    assert reply[1] == len(reply) - 2 == (most // 8 if function < 3 else 2 * most)
    assert ask(read(function, 0, most + 1)) == bytes([0x80 | function, 3])
    assert ask(read(function, 0, 0)) == bytes([0x80 | function, 3])


def test_the_limits_of_the_machine_hold():
    assert ask(read(3, 0, 60), max_registers=60)[0] == 3
    assert ask(read(3, 0, 61), max_registers=60) == b"\x83\x03"
    assert ask(read(1, 0, 33), max_bits=32) == b"\x81\x03"


def test_addresses_that_the_plc_does_not_serve_are_refused():
    readable = (AddressRange(table=Table.HOLDING, first=100, last=111),)
    assert ask(read(3, 100, 12), readable=readable)[0] == 3
    assert ask(read(3, 98, 4), readable=readable) == b"\x83\x02"
    assert ask([6, 0, 5, 0, 1], readable=readable) == b"\x86\x02"
    assert ask(read(1, 65535, 2)) == b"\x81\x02"


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        ([5, 0, 15, 0xFF, 0], [5, 0, 15, 0xFF, 0]),
        ([5, 0, 15, 0, 0], [5, 0, 15, 0, 0]),
        ([5, 0, 15, 1, 0], [0x85, 3]),
        ([5, 0, 15, 0xFF], [0x85, 3]),
        ([6, 0, 100, 1, 2], [6, 0, 100, 1, 2]),
        ([6, 0, 100, 1], [0x86, 3]),
        ([15, 0, 15, 0, 2, 1, 3], [15, 0, 15, 0, 2]),
        ([15, 0, 15, 0, 2, 2, 3, 0], [0x8F, 3]),
        ([15, 0, 15, 0, 0, 0], [0x8F, 3]),
        ([15, 0, 15, 0, 2], [0x8F, 3]),
        ([16, 0, 100, 0, 1, 2, 0, 9], [16, 0, 100, 0, 1]),
        ([16, 0, 100, 0, 2, 4, 0, 9], [0x90, 3]),
        ([16, 0, 100, 0, 0, 0], [0x90, 3]),
        ([16, 0, 100], [0x90, 3]),
        ([3, 0], [0x83, 3]),
        ([7], [0x87, 1]),
        ([43, 14, 1, 0], [0xAB, 1]),
        ([99], [0xE3, 1]),
    ],
)
def test_every_request_gets_the_answer_of_the_standard(request_, reply):
    assert list(ask(request_)) == reply


@pytest.mark.requirement("PLC-RS")
@pytest.mark.parametrize(("count", "refused"), [(123, False), (124, True)])
def test_register_writes_have_a_limit(count, refused):
    request = struct.pack(">BHHB", 16, 1000, count, (2 * count) & 0xFF) + bytes(2 * count)
    assert (ask(request)[0] == 0x90) is refused


@pytest.mark.requirement("PLC-RS")
@pytest.mark.parametrize(("count", "refused"), [(1968, False), (1969, True)])
def test_coil_writes_have_a_limit(count, refused):
    held = (count + 7) // 8
    request = struct.pack(">BHHB", 15, 1000, count, held & 0xFF) + bytes(held)
    assert (ask(request)[0] == 0x8F) is refused


def test_what_was_written_reads_back():
    plc = Plc(plant(), seed=1, start=at(0))
    answer(plc, bytes([16, 0, 100, 0, 2, 4, 1, 2, 3, 4]), at(1))
    answer(plc, bytes([15, 0, 15, 0, 3, 1, 0b101]), at(2))
    assert answer(plc, read(3, 100, 2), at(3)) == bytes([3, 4, 1, 2, 3, 4])
    assert answer(plc, read(1, 15, 3), at(3)) == bytes([1, 1, 0b101])
