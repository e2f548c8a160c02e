"""What a read-back says of a write that the PLC answered with an exception which leaves its outcome open. Pure.

    exception        reads what was written     reads anything else
    4, 6, 8, 11      it took effect             it did not
    5 acknowledge    it took effect             open: the PLC may still be at it
    not standard     it took effect             open: nobody knows what it means

A write is never sent again for this, and what cannot be read back stays open.
"""

from __future__ import annotations

import enum

from ald.plant.model import Table
from ald.plc import codec
from ald.plc.request import (
    Read,
    ReadBits,
    ReadRegisters,
    Write,
    WriteCoil,
    WriteCoils,
    WriteRegisters,
)

REFUSALS = frozenset({1, 2, 3, 10})
"""Exceptions that say that nothing was begun: function, address or value not known, no way to the unit."""

FAILURES = frozenset({4, 6, 8, 11})
"""Exceptions after which a write took effect or never will: failed while serving, busy, parity error, no word from the unit."""


class Finding(enum.Enum):
    """What became of the write."""

    CONFIRMED = "confirmed"
    REFUSED = "refused"
    OPEN = "open"


def is_open(code: int) -> bool:
    """Tell whether a write that was answered with this exception may have taken effect: unless it is known that it did not."""
    return code not in REFUSALS


def span_of(request: Write) -> tuple[Table, range]:
    """Return the addresses that a write changes."""
    match request:
        case WriteCoil(address=address):
            return Table.COIL, range(address, address + 1)
        case WriteCoils(address=address, bits=bits):
            return Table.COIL, range(address, address + len(bits))
        case WriteRegisters(address=address, words=words):
            return Table.HOLDING, range(address, address + len(words))


def read_of(request: Write) -> Read:
    """Return the request that reads back what a write changes."""
    table, span = span_of(request)
    return (ReadBits if table.is_bits else ReadRegisters)(table, span.start, len(span))


def judge(request: Write, code: int, data: bytes) -> Finding:
    """Return what the read-back `data` says of a write that was answered with exception `code`."""
    if _is_there(request, data):
        return Finding.CONFIRMED
    return Finding.REFUSED if code in FAILURES else Finding.OPEN


def _is_there(request: Write, data: bytes) -> bool:
    match request:
        case WriteCoil(on=on):
            return tuple(codec.unpack_bits(data, 1)) == (on,)
        case WriteCoils(bits=bits):
            return tuple(codec.unpack_bits(data, len(bits))) == bits
        case WriteRegisters(words=words):
            return codec.words(data) == words
