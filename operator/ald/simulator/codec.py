"""Values as registers, written anew here: the witness shares no Modbus code with the link it watches.

Bytes of a 32-bit value, most significant first, are A B C D; two registers hold them as

    ABCD  [A B] [C D]        CDAB  [C D] [A B]
    BADC  [B A] [D C]        DCBA  [D C] [B A]

so CDAB and DCBA reverse the registers, BADC and DCBA swap the bytes in each; other widths likewise.
"""

import math
import struct
from collections.abc import Sequence

from ald.plant.model import DataType, Order, Point

_FORMATS = {
    DataType.INT16: "h",
    DataType.UINT16: "H",
    DataType.INT32: "i",
    DataType.UINT32: "I",
    DataType.INT64: "q",
    DataType.UINT64: "Q",
    DataType.FLOAT32: "f",
    DataType.FLOAT64: "d",
}


def to_registers(point: Point, raw: float) -> list[int]:
    """Return the registers that hold `raw`; whole types round and keep within what they can hold."""
    if point.type is DataType.BOOL:
        return [int(raw != 0)]
    code = _FORMATS[point.type]
    packed = struct.pack(">" + code, raw if code in "fd" else _whole(point.type, raw))
    return _ordered(struct.unpack(f">{len(packed) // 2}H", packed), point.order)


def from_registers(point: Point, registers: Sequence[int]) -> float:
    """Return the value that `registers` hold."""
    if point.type is DataType.BOOL:
        return float(registers[0] != 0)
    ordered = _ordered(registers, point.order)
    return float(
        struct.unpack(">" + _FORMATS[point.type], struct.pack(f">{len(ordered)}H", *ordered))[0]
    )


def _ordered(registers: Sequence[int], order: Order) -> list[int]:
    """Return the registers in the other of the two arrangements; its own inverse."""
    found = list(registers)
    if order in (Order.CDAB, Order.DCBA):
        found.reverse()
    if order in (Order.BADC, Order.DCBA):
        found = [(word >> 8) | ((word & 0xFF) << 8) for word in found]
    return found


def _whole(kind: DataType, raw: float) -> int:
    bits = 16 * kind.words
    signed = not kind.value.startswith("u")
    low = -(1 << (bits - 1)) if signed else 0
    high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    return max(low, min(high, round(raw))) if math.isfinite(raw) else 0
