"""Modbus TCP bytes for the eight functions that ald uses, checked strictly in both directions. No I/O.

A frame, all numbers big-endian (Modbus Messaging on TCP/IP V1.0b, 3.1.3):

    offset  size  field
         0     2  transaction   chosen by us, comes back in the answer
         2     2  protocol      always 0
         4     2  length        bytes that follow: unit and PDU, 2 to 254
         6     1  unit
         7     1  function      bit 7 set in an exception answer
         8   n-1  the rest of the PDU

Whatever does not fit raises `LinkDesyncError`: on a byte stream nothing after it can be trusted, so the connection must go.
"""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING

import msgspec

from ald.errors import LinkDesyncError, ModbusExceptionError
from ald.plant.model import Table
from ald.plc.request import (
    READS,
    ReadBits,
    ReadRegisters,
    Request,
    WriteCoil,
    WriteCoils,
    WriteRegisters,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER_BYTES = 7
PDU_BYTES_MAX = 253
FRAME_BYTES_MAX = HEADER_BYTES + PDU_BYTES_MAX

KNOWN_MAX = 2048
"""Reads whose bytes are kept: more than the blocks of any scan. Of writes none is, since each heartbeat is another one."""

_HEADER = struct.Struct(">HHHB")
_FIVE = struct.Struct(">BHH")
_SIX = struct.Struct(">BHHB")
_FUNCTIONS = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
_COIL_ON = 0xFF00

_EXCEPTIONS = {
    1: "the PLC does not know this function",
    2: "the PLC has no such address; check the address (often off by one) and the block limits",
    3: "the PLC refuses this value or this number of addresses",
    4: "the PLC failed while it served the request",
    5: "the PLC needs long for this and has only acknowledged it",
    6: "the PLC is busy; try again later",
    8: "the PLC found a parity error in its memory",
    10: "the way through the gateway to this unit is not set up",
    11: "the unit behind the gateway does not answer; check the unit number",
}


class Frame(msgspec.Struct, frozen=True):
    """One frame as received: transaction, unit and PDU."""

    transaction: int
    unit: int
    pdu: bytes


class Form(msgspec.Struct, frozen=True):
    """A request as bytes: its PDU, and what its answer has to look like: `size` bytes that begin with `head`, then data.

    data_from: where in the answer the data begins; a write's answer is all head.
    """

    pdu: bytes
    head: bytes
    size: int
    data_from: int


class FrameReader:
    """Cuts a byte stream into frames. Holds at most one incomplete frame."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are complete with `data`.

        Raises:
            LinkDesyncError: a header that cannot be one; drop the connection and this reader.
        """
        if self._rest:
            data = self._rest + data
        frames = []
        start, size = 0, len(data)
        while size - start >= HEADER_BYTES:
            transaction, protocol, length, unit = _HEADER.unpack_from(data, start)
            if protocol != 0:
                raise LinkDesyncError(f"an answer has protocol id {protocol} instead of 0")
            if not 2 <= length <= PDU_BYTES_MAX + 1:
                raise LinkDesyncError(
                    f"an answer claims {length} bytes; frames have 2 to {PDU_BYTES_MAX + 1}"
                )
            end = start + HEADER_BYTES - 1 + length
            if size < end:
                break
            frames.append(Frame(transaction, unit, data[start + HEADER_BYTES : end]))
            start = end
        self._rest = data[start:]
        return frames


def encode(request: Request, transaction: int, unit: int) -> bytes:
    """Return the whole frame of a request; transaction 0 to 65535, unit 0 to 255."""
    pdu = form_of(request).pdu
    return _HEADER.pack(transaction, 0, 1 + len(pdu), unit) + pdu


def form_of(request: Request) -> Form:
    """Return a request as bytes; those of reads are kept, since scans ask for the same blocks again and again."""
    return _known_form_of(request) if type(request) in READS else _form_of(request)


def _form_of(request: Request) -> Form:
    pdu = _pdu(request)
    if isinstance(request, ReadBits | ReadRegisters):
        wanted = _data_bytes(request)
        return Form(pdu, bytes((pdu[0], wanted)), 2 + wanted, 2)
    # FC5 and FC6 echo the request, FC15 and FC16 its first five bytes.
    return Form(pdu, pdu[: _FIVE.size], _FIVE.size, _FIVE.size)


_known_form_of = functools.lru_cache(maxsize=KNOWN_MAX)(_form_of)


def _pdu(request: Request) -> bytes:
    """Return function and data of a request."""
    match request:
        case ReadBits() | ReadRegisters():
            return _FIVE.pack(_FUNCTIONS[request.table], request.address, request.count)
        case WriteCoil():
            return _FIVE.pack(5, request.address, _COIL_ON if request.on else 0)
        case WriteCoils():
            packed = pack_bits(request.bits)
            return _SIX.pack(15, request.address, len(request.bits), len(packed)) + packed
        case WriteRegisters(words=(word,)):
            return _FIVE.pack(6, request.address, word)
        case WriteRegisters():
            count = len(request.words)
            head = _SIX.pack(16, request.address, count, 2 * count)
            return head + struct.pack(f">{count}H", *request.words)


def decode_answer(request: Request, unit: int, frame: Frame) -> bytes:
    """Return the data of the answer to `request`: words big-endian, bits packed from the lowest on, b"" for a write.

    Raises:
        ModbusExceptionError: the PLC refused; the connection is sound.
        LinkDesyncError: this is not an answer to that request; drop the connection.
    """
    form, pdu = form_of(request), frame.pdu
    if len(pdu) == form.size and frame.unit == unit and pdu.startswith(form.head):
        return pdu[form.data_from :]
    raise _wrong(request, unit, frame)


def _wrong(request: Request, unit: int, frame: Frame) -> ModbusExceptionError | LinkDesyncError:
    """Return what is the matter with an answer that is not the expected one."""
    function, pdu = form_of(request).pdu[0], frame.pdu
    if frame.unit != unit:
        return LinkDesyncError(f"unit {frame.unit} answered instead of unit {unit}")
    if pdu[0] == function | 0x80 and len(pdu) == 2:
        return _exception(function, pdu[1])
    if pdu[0] != function:
        return LinkDesyncError(f"function {pdu[0]} came as the answer to function {function}")
    if isinstance(request, ReadBits | ReadRegisters):
        wanted, claimed = _data_bytes(request), pdu[1] if len(pdu) > 1 else 0
        return LinkDesyncError(
            f"the answer for {request.count} addresses from {request.address} should bring {wanted} "
            f"bytes, claims {claimed} and has {max(0, len(pdu) - 2)}"
        )
    return LinkDesyncError(
        f"the answer to function {function} at address {request.address} speaks of another write"
    )


def _data_bytes(request: ReadBits | ReadRegisters) -> int:
    """Return how many bytes of data the answer to a read brings."""
    return (request.count + 7) // 8 if isinstance(request, ReadBits) else 2 * request.count


def _exception(function: int, code: int) -> ModbusExceptionError:
    words = _EXCEPTIONS.get(code, "the PLC gives a reason that the standard does not know")
    return ModbusExceptionError(function, code, f"Modbus exception {code}: {words}")


def pack_bits(bits: Iterable[bool]) -> bytes:
    """Return bits packed as on the wire: the first one is the lowest of the first byte."""
    number = count = 0
    for count, bit in enumerate(bits, start=1):
        number |= bit << (count - 1)
    return number.to_bytes((count + 7) // 8, "little")


def unpack_bits(data: bytes, count: int) -> bytes:
    """Return `count` bytes of 0 or 1 from bits packed as on the wire."""
    number = int.from_bytes(data, "little")
    return bytes(number >> place & 1 for place in range(count))


def words(data: bytes) -> tuple[int, ...]:
    """Return the words of a register read."""
    return struct.unpack(f">{len(data) // 2}H", data)
