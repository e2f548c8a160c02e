"""Register words and bits to values and back, exact to the last bit.

A register holds 16 bits; in a Modbus frame its high byte comes first. A value of more than 16 bits takes two or four registers,
and devices differ in the order. With A the most significant byte, the registers, lowest address first, hold

    order  int16 0x0102  uint32 0x01020304  uint64 0x0102030405060708         known as
    ABCD   0102          0102 0304          0102 0304 0506 0708               big endian
    CDAB   0102          0304 0102          0708 0506 0304 0102               words swapped, low word first
    BADC   0201          0201 0403          0201 0403 0605 0807               bytes swapped within each word
    DCBA   0201          0403 0201          0807 0605 0403 0201               little endian

float32 and float64 are laid out like uint32 and uint64 (IEEE 754). A bool is one bit of a coil or a discrete input and takes
no order; here it is one word, 0 or 1.
"""

import functools
import math
import struct

from ald.errors import InvalidInputError, Violation
from ald.plant.model import DataType, Order, Parameter, Signal

_FORMATS = {
    DataType.INT16: struct.Struct(">h"),
    DataType.UINT16: struct.Struct(">H"),
    DataType.INT32: struct.Struct(">i"),
    DataType.UINT32: struct.Struct(">I"),
    DataType.INT64: struct.Struct(">q"),
    DataType.UINT64: struct.Struct(">Q"),
    DataType.FLOAT32: struct.Struct(">f"),
    DataType.FLOAT64: struct.Struct(">d"),
}

FLOATS = frozenset({DataType.FLOAT32, DataType.FLOAT64})


def integer_range(kind: DataType) -> tuple[int, int]:
    """Return the smallest and the largest raw value of an integer type or bool, both included."""
    assert kind not in FLOATS, f"{kind.value} is no integer type"
    if kind is DataType.BOOL:
        return 0, 1
    bits = 16 * kind.words
    if kind.value.startswith("u"):
        return 0, (1 << bits) - 1
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


@functools.cache
def byte_positions(kind: DataType, order: Order) -> tuple[int, ...]:
    """Return where in the registers' bytes the bytes of a value lie, most significant first.

    The registers' bytes count from the high byte of the lowest address: `(2, 3, 0, 1)` for a uint32 in CDAB.
    """
    count = 2 * kind.words
    positions = tuple(range(count))
    if order is Order.CDAB:
        return tuple((count - 2 - i) if i % 2 == 0 else (count - i) for i in positions)
    if order is Order.BADC:
        return tuple(i ^ 1 for i in positions)
    if order is Order.DCBA:
        return positions[::-1]
    return positions


def words_of_raw(raw: float, kind: DataType, order: Order) -> tuple[int, ...]:
    """Return the register words of a raw value; an integer type takes an `int` in its range, a float is rounded to nearest.

    Raises:
        OverflowError: the value does not fit the type.
    """
    if kind is DataType.BOOL:
        if raw not in (0, 1):
            raise OverflowError(f"{raw} is neither 0 nor 1")
        return (int(raw),)
    try:
        canonical = _FORMATS[kind].pack(raw)
    except struct.error as error:
        raise OverflowError(f"{raw} does not fit {kind.value}") from error
    wire = bytearray(len(canonical))
    for position, byte in zip(byte_positions(kind, order), canonical, strict=True):
        wire[position] = byte
    return struct.unpack(f">{kind.words}H", wire)


def raw_of_words(words: tuple[int, ...], kind: DataType, order: Order) -> float:
    """Return the raw value in `words`: an `int` for integer types and bool, else a float that may be NaN or infinite.

    Raises:
        OverflowError: a word outside 0 to 65535, for bool outside 0 to 1.
    """
    assert len(words) == kind.words, f"{kind.value} takes {kind.words} words, got {len(words)}"
    if kind is DataType.BOOL:
        if words[0] not in (0, 1):
            raise OverflowError(f"{words[0]} is neither 0 nor 1")
        return words[0]
    try:
        wire = struct.pack(f">{kind.words}H", *words)
    except struct.error as error:
        raise OverflowError(f"{words} holds more than 16 bits in a word") from error
    value: float = _FORMATS[kind].unpack(bytes(wire[i] for i in byte_positions(kind, order)))[0]
    return value


def decode(signal: Parameter | Signal, words: tuple[int, ...]) -> float:
    """Return raw * scale + offset in the signal's unit. NaN and infinities come through; callers count them as bad."""
    point = signal.point
    if point.bit is not None:
        return float(words[0] >> point.bit & 1)
    return raw_of_words(words, point.type, point.order) * signal.scale + signal.offset


def encode(parameter: Parameter, value: float) -> tuple[int, ...]:
    """Return the words whose raw value is nearest to `value`, which is in the parameter's unit; halves go to the even raw.

    Raises:
        InvalidInputError: NaN, an infinity, a bool other than 0 and 1, or a value that the type cannot hold; the path is the
            parameter's name. Limits are not checked here: see `ald.plant.limits`.
    """
    kind = parameter.point.type
    raw = (value - parameter.offset) / parameter.scale
    if not math.isfinite(value) or not math.isfinite(raw):
        raise _refused(parameter, value, "only finite numbers are written", "write a number")
    if kind not in FLOATS:
        if kind is DataType.BOOL and raw not in (0, 1):
            raise _refused(parameter, value, "a bool is 0 or 1", "write 0 or 1")
        raw = round(raw)
        low, high = integer_range(kind)
        if not low <= raw <= high:
            bounds = sorted(r * parameter.scale + parameter.offset for r in (low, high))
            hint = f"write a value from {bounds[0]:g} to {bounds[1]:g}"
            raise _refused(parameter, value, f"does not fit {kind.value}", hint)
    try:
        return words_of_raw(raw, kind, parameter.point.order)
    except OverflowError as error:
        hint = "write a smaller value"
        raise _refused(parameter, value, f"does not fit {kind.value}", hint) from error


def _refused(parameter: Parameter, value: float, rule: str, hint: str) -> InvalidInputError:
    return InvalidInputError(
        [Violation(path=parameter.name, value=f"{value:g}", rule=rule, hint=hint)]
    )
