"""The driver's small files on the volume: checked when they are read, replaced whole when they are written.

offset  size  field
0     8  magic and version
8     4  CRC-32 of the payload, little-endian
12     4  payload bytes n, little-endian
16     n  payload, MessagePack
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ald.engine.effects import Reservation
from ald.engine.inputs import OpenRun, Unsafe
from ald.engine.state import LastRun
from ald.errors import CorruptRecordError
from ald.plant.model import Plant

if TYPE_CHECKING:
    from pathlib import Path

_HEADER = struct.Struct("<8sII")
_PLANT = b"ALDPLNT1"
_LEDGER = b"ALDRUNS1"
_RESERVED = b"ALDRSVD1"
_Kind = TypeVar("_Kind", Plant, "Ledger", Reservation)


def read_plant(path: Path) -> Plant | None:
    """Return the accepted configuration, None when there is none yet.

    Raises:
        CorruptRecordError: the file is not what was written, or cannot be read.
    """
    return _read(path, _PLANT, Plant)


def write_plant(path: Path, plant: Plant) -> None:
    """Keep the accepted configuration for good."""
    _write(path, _PLANT, msgspec.msgpack.encode(plant))


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs were ever started here, the last `UIDS_MAX` of them: none is started twice.

    open: the run that is on, as it began. last: the last one that ended. unsafe: no run is on, but the machine is not safe yet.
    """

    open: OpenRun | None = None
    last: LastRun | None = None
    uids: tuple[str, ...] = ()
    unsafe: Unsafe | None = None


def read_ledger(path: Path) -> Ledger | None:
    """Return the ledger, None before the first run.

    Raises:
        CorruptRecordError: the file is not what was written, or cannot be read.
    """
    return _read(path, _LEDGER, Ledger)


def write_ledger(path: Path, ledger: Ledger) -> None:
    """Keep the ledger for good. Done at the beginning and at the end of a run, never between."""
    _write(path, _LEDGER, msgspec.msgpack.encode(ledger))


def read_reservation(path: Path) -> Reservation | None:
    """Return how far the last run may have come, None before the first one that asked.

    Raises:
        CorruptRecordError: the file is not what was written, or cannot be read.
    """
    return _read(path, _RESERVED, Reservation)


def write_reservation(path: Path, reservation: Reservation) -> None:
    """Keep for good how far a run may come; takes as long as the disk does."""
    _write(path, _RESERVED, msgspec.msgpack.encode(reservation))


def _read(path: Path, magic: bytes, kind: type[_Kind]) -> _Kind | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CorruptRecordError(f"{path} cannot be read: {error.strerror}") from error
    payload = data[_HEADER.size :]
    is_whole = len(data) >= _HEADER.size and _HEADER.unpack_from(data) == (
        magic,
        zlib.crc32(payload),
        len(payload),
    )
    if not is_whole:
        raise CorruptRecordError(f"{path} is damaged")
    try:
        return msgspec.msgpack.decode(payload, type=kind)
    except msgspec.DecodeError as error:
        raise CorruptRecordError(f"{path} is of another version: {error}") from error


def _write(path: Path, magic: bytes, payload: bytes) -> None:
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(_HEADER.pack(magic, zlib.crc32(payload), len(payload)) + payload)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    # Contents and name come to the disk each by itself: without this the old file may be back after power was lost.
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
