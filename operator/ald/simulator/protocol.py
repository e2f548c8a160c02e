"""From the bytes of one Modbus request to the bytes of its answer (Modbus Application Protocol V1.1b3, 6).

The protocol units are pymodbus'; limits and exceptions are ours, because its own checks come too late or not at all.
"""

import struct
from typing import assert_never

from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadCoilsResponse,
    ReadDiscreteInputsRequest,
    ReadDiscreteInputsResponse,
    WriteMultipleCoilsRequest,
    WriteMultipleCoilsResponse,
    WriteSingleCoilRequest,
    WriteSingleCoilResponse,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    ReadInputRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterRequest,
    WriteSingleRegisterResponse,
)

from ald.plant.model import Table
from ald.simulator.plc import Plc
from ald.simulator.trace import Stamp

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
DEVICE_FAILURE = 4
NO_SUCH_UNIT = 11

WRITE_BITS_MAX = 1968
WRITE_REGISTERS_MAX = 123

_Read = (
    ReadCoilsRequest
    | ReadDiscreteInputsRequest
    | ReadHoldingRegistersRequest
    | ReadInputRegistersRequest
)
_READS: dict[int, tuple[type[_Read], type[ModbusPDU], Table]] = {
    1: (ReadCoilsRequest, ReadCoilsResponse, Table.COIL),
    2: (ReadDiscreteInputsRequest, ReadDiscreteInputsResponse, Table.DISCRETE),
    3: (ReadHoldingRegistersRequest, ReadHoldingRegistersResponse, Table.HOLDING),
    4: (ReadInputRegistersRequest, ReadInputRegistersResponse, Table.INPUT),
}
_Write = (
    WriteSingleCoilRequest
    | WriteSingleRegisterRequest
    | WriteMultipleCoilsRequest
    | WriteMultipleRegistersRequest
)
_WRITES: dict[int, type[_Write]] = {
    5: WriteSingleCoilRequest,
    6: WriteSingleRegisterRequest,
    15: WriteMultipleCoilsRequest,
    16: WriteMultipleRegistersRequest,
}
_COIL_VALUES = (b"\x00\x00", b"\xff\x00")


def answer(plc: Plc, request: bytes, stamp: Stamp) -> bytes:
    """Return the answer to one request, both from the function code on; never empty, never raises for bad input."""
    function = request[0]
    if function in _READS:
        reply = _read(plc, request, stamp)
    elif function in _WRITES:
        reply = _write(plc, request, stamp)
    else:
        reply = ILLEGAL_FUNCTION
    if isinstance(reply, int):
        return refusal(function, reply)
    return bytes([reply.function_code]) + reply.encode()


def refusal(function: int, code: int) -> bytes:
    """Return the answer that refuses a request with an exception code."""
    reply = ExceptionResponse(function, code)
    return bytes([reply.function_code]) + reply.encode()


def _read(plc: Plc, request: bytes, stamp: Stamp) -> ModbusPDU | int:
    """Return the values, or the code of the exception."""
    kind, reply, table = _READS[request[0]]
    unit = kind()
    try:
        unit.decode(request[1:])
    except (ValueError, struct.error):
        return ILLEGAL_VALUE
    link = plc.plant.link
    limit = link.max_bits if table.is_bits else link.max_registers
    if len(request) != 5 or unit.count > limit:
        return ILLEGAL_VALUE
    if not plc.memory.serves(table, unit.address, unit.count):
        return ILLEGAL_ADDRESS
    values = plc.read(table, unit.address, unit.count, stamp)
    if table.is_bits:
        return reply(bits=[bool(value) for value in values])
    return reply(registers=values)


def _write(plc: Plc, request: bytes, stamp: Stamp) -> ModbusPDU | int:
    """Carry the write out and return its confirmation, or the code of the exception."""
    unit = _WRITES[request[0]]()
    try:
        unit.decode(request[1:])
    except (ValueError, struct.error, IndexError):
        return ILLEGAL_VALUE
    if not _is_sound(unit, request):
        return ILLEGAL_VALUE
    bits = isinstance(unit, WriteSingleCoilRequest | WriteMultipleCoilsRequest)
    written = len(unit.bits if bits else unit.registers)
    if not plc.memory.serves(Table.COIL if bits else Table.HOLDING, unit.address, written):
        return ILLEGAL_ADDRESS
    if bits:
        plc.write_bits(unit.address, list(unit.bits), stamp)
    else:
        plc.write_registers(unit.address, list(unit.registers), stamp)
    return _confirmation(unit)


def _confirmation(unit: _Write) -> ModbusPDU:
    match unit:
        case WriteSingleCoilRequest():
            return WriteSingleCoilResponse(address=unit.address, bits=unit.bits)
        case WriteSingleRegisterRequest():
            return WriteSingleRegisterResponse(address=unit.address, registers=unit.registers)
        case WriteMultipleCoilsRequest():
            return WriteMultipleCoilsResponse(address=unit.address, count=unit.count)
        case WriteMultipleRegistersRequest():
            return WriteMultipleRegistersResponse(address=unit.address, count=unit.count)
        case _:
            assert_never(unit)


def _is_sound(unit: _Write, request: bytes) -> bool:
    """Tell whether counts, lengths and values agree with each other and with the protocol's limits."""
    match unit:
        case WriteSingleCoilRequest():
            return len(request) == 5 and request[3:5] in _COIL_VALUES
        case WriteSingleRegisterRequest():
            return len(request) == 5
        case WriteMultipleCoilsRequest():
            held = (unit.count + 7) // 8
            return 1 <= unit.count <= WRITE_BITS_MAX and request[5] == held == len(request) - 6
        case WriteMultipleRegistersRequest():
            held = 2 * unit.count
            return 1 <= unit.count <= WRITE_REGISTERS_MAX and request[5] == held == len(request) - 6
        case _:
            assert_never(unit)
