"""What can be asked of the PLC: frozen requests, checked where they are made.

Limits are those of the Modbus Application Protocol V1.1b3, 6.1 to 6.12.
"""

from __future__ import annotations

import msgspec

from ald.plant.model import Table

ADDRESSES = 65536
"""Addresses of one table."""

READ_BITS_MAX = 2000
READ_REGISTERS_MAX = 125
WRITE_BITS_MAX = 1968
WRITE_REGISTERS_MAX = 123


class ReadBits(msgspec.Struct, frozen=True, cache_hash=True):
    """Read `count` coils or discrete inputs from `address` on (FC1, FC2)."""

    table: Table
    address: int
    count: int

    def __post_init__(self) -> None:
        if not self.table.is_bits:
            raise ValueError(f"ReadBits reads coils or discrete inputs, not {self.table.value}")
        _check_span(self.address, self.count, READ_BITS_MAX)


class ReadRegisters(msgspec.Struct, frozen=True, cache_hash=True):
    """Read `count` holding or input registers from `address` on (FC3, FC4)."""

    table: Table
    address: int
    count: int

    def __post_init__(self) -> None:
        if self.table.is_bits:
            raise ValueError(f"ReadRegisters reads registers, not {self.table.value}")
        _check_span(self.address, self.count, READ_REGISTERS_MAX)


class WriteCoil(msgspec.Struct, frozen=True, cache_hash=True):
    """Switch one coil (FC5)."""

    address: int
    on: bool

    def __post_init__(self) -> None:
        _check_span(self.address, 1, 1)


class WriteCoils(msgspec.Struct, frozen=True, cache_hash=True):
    """Switch coils from `address` on, all in one request (FC15)."""

    address: int
    bits: tuple[bool, ...]

    def __post_init__(self) -> None:
        _check_span(self.address, len(self.bits), WRITE_BITS_MAX)


class WriteRegisters(msgspec.Struct, frozen=True, cache_hash=True):
    """Write words 0 to 65535 to holding registers from `address` on: FC6 for one, FC16 for more."""

    address: int
    words: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_span(self.address, len(self.words), WRITE_REGISTERS_MAX)
        if not 0 <= min(self.words) <= max(self.words) <= 0xFFFF:
            raise ValueError(f"register words are 0 to 65535, got {self.words}")


Read = ReadBits | ReadRegisters
READS = frozenset({ReadBits, ReadRegisters})
"""For who asks for every request: a sixth of the time that `isinstance` takes."""

Write = WriteCoil | WriteCoils | WriteRegisters
Request = ReadBits | ReadRegisters | WriteCoil | WriteCoils | WriteRegisters


def is_write(request: Request) -> bool:
    """Tell whether the request changes something in the PLC."""
    return type(request) not in READS


def is_coil_write(request: Request) -> bool:
    """Tell whether the request may move a valve."""
    return isinstance(request, WriteCoil | WriteCoils)


def _check_span(address: int, count: int, count_max: int) -> None:
    if not 1 <= count <= count_max:
        raise ValueError(f"one such request covers 1 to {count_max} addresses, got {count}")
    if not 0 <= address <= ADDRESSES - count:
        raise ValueError(f"addresses end at {ADDRESSES - 1}, got {address} and {count} in all")
