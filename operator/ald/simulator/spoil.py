"""Answers as broken devices, gateways and networks give them."""

import enum
import struct
from collections.abc import Callable
from random import Random

import msgspec

from ald.simulator.protocol import DEVICE_FAILURE

_HEADER = struct.Struct(">HHHB")
_WORD = struct.Struct(">H")
_OVERSIZED_BYTES = 300


class Spoil(enum.Enum):
    """What becomes of an answer. Where it says so, nothing more is sent on the connection."""

    NOTHING = ""
    GARBAGE = "garbage"
    """Random bytes instead."""
    TRUNCATED = "truncated"
    """A whole frame, whose data is too short."""
    OVERSIZED = "oversized"
    """A frame longer than the protocol permits."""
    TRANSACTION = "transaction"
    """It comes back under another transaction."""
    UNIT = "unit"
    """Another unit answers."""
    FUNCTION = "function"
    """It answers another function."""
    FAILED = "failed"
    """Exception 4, although the request was served."""
    STALL = "stall"
    """Half of it, then silence for good."""
    LOSE = "lose"
    """It never comes; the next one does."""
    CLOSE = "close"
    """The connection is closed instead."""
    RESET = "reset"
    """The connection is reset instead."""


class Spoiled(msgspec.Struct, frozen=True):
    """What is sent instead of an answer, and what then becomes of the connection."""

    data: bytes
    is_mute: bool = False
    is_closed: bool = False
    is_reset: bool = False


def spoiled(spoil: Spoil, frame: bytes, random: Random) -> Spoiled:
    """Return what is sent instead of `frame`."""
    if spoil in _BYTES:
        return Spoiled(_BYTES[spoil](frame))
    if spoil is Spoil.GARBAGE:
        # Never by chance a frame: its protocol number is none.
        return Spoiled(random.randbytes(2) + b"\xff" + random.randbytes(len(frame) - 3))
    if spoil is Spoil.STALL:
        return Spoiled(frame[: len(frame) // 2], is_mute=True)
    return Spoiled(b"", is_closed=spoil is not Spoil.LOSE, is_reset=spoil is Spoil.RESET)


def _framed(frame: bytes, pdu: bytes) -> bytes:
    """Return another PDU under the header of `frame`, with the length that is then right."""
    transaction, protocol, _, unit = _HEADER.unpack_from(frame)
    return _HEADER.pack(transaction, protocol, 1 + len(pdu), unit) + pdu


_BYTES: dict[Spoil, Callable[[bytes], bytes]] = {
    Spoil.NOTHING: lambda f: f,
    Spoil.TRUNCATED: lambda f: _framed(f, f[_HEADER.size : -1]),
    Spoil.OVERSIZED: lambda f: _framed(f, f[_HEADER.size :].ljust(_OVERSIZED_BYTES, b"\0")),
    Spoil.TRANSACTION: lambda f: _WORD.pack((_WORD.unpack_from(f)[0] + 1) & 0xFFFF) + f[2:],
    Spoil.UNIT: lambda f: f[:6] + bytes([f[6] ^ 1]) + f[7:],
    Spoil.FAILED: lambda f: _framed(f, bytes([f[7] | 0x80, DEVICE_FAILURE])),
    Spoil.FUNCTION: lambda f: f[:7] + bytes([f[7] ^ 8]) + f[8:],
}
