"""What the next executor has to know of this one: the run that is on, in memory that outlives the process.

A file on the memory volume with two slots, written in turns, each

    offset  size  field
         0     8  generation, little-endian; the higher one of the two whole slots counts
         8     4  payload bytes n
        12     4  CRC-32 of generation and payload
        16     n  payload, MessagePack

so that a kill in the middle of a write leaves the slot before it whole. What is remembered is tied to the ring: it is written
before the records that tell of it are published, all at once, and counts from then on; until then the slot before it does. So
a run is on from the record that says so until the record that ends it, and as far as the record says, whichever instruction
the kill hits.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from typing import TYPE_CHECKING

import msgspec

from ald.engine.inputs import OpenRun, Unsafe
from ald.engine.state import LastRun

if TYPE_CHECKING:
    from pathlib import Path

SLOT_BYTES = 16_384
"""Room for one slot: names and paths of the deepest recipe take a quarter of it."""

MESSAGE_MAX = 1000
"""Characters of a message that are remembered where the whole of it finds no room."""

_HEADER = struct.Struct("<QII")
_ENCODER = msgspec.msgpack.Encoder()


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """The run that is on. It began with ring record `begins_at` and is over with `ends_at`; 0: none of the two yet known.

    since: the ring record from which on this is so; 0: from now on. unsafe: what is to be made safe once it is over. last: how the last run ended, until the ledger has it.
    """

    run: OpenRun | None
    begins_at: int = 0
    ends_at: int = 0
    since: int = 0
    unsafe: Unsafe | None = None
    last: LastRun | None = None


class RunMemory:
    """The file; made anew when it is not there."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        try:
            os.posix_fallocate(descriptor, 0, 2 * SLOT_BYTES)
            self._map = mmap.mmap(descriptor, 2 * SLOT_BYTES)
        finally:
            os.close(descriptor)
        found = [slot for slot in (self._slot(0), self._slot(1)) if slot is not None]
        self._generation = 0
        self._last: Remembered | None = None
        self._before: Remembered | None = None
        if found:
            self._generation, self._last = max(found, key=lambda slot: slot[0])
            self._before = min(found, key=lambda slot: slot[0])[1]

    @property
    def is_blank(self) -> bool:
        """True when nothing was ever remembered here: the pod is new."""
        return self._last is None

    @property
    def unsafe(self) -> Unsafe | None:
        """What was to be made safe although no run was on."""
        return self._last.unsafe if self._last is not None else None

    @property
    def last(self) -> LastRun | None:
        """How the last run ended, where that was not yet in the ledger."""
        return self._last.last if self._last is not None else None

    def open_run(self, last_record: int) -> OpenRun | None:
        """Return the run that was on when the ring's last record was `last_record`."""
        found = self._last
        if found is not None and 0 < last_record < found.since and self._before is not None:
            # Killed before its records were published: nothing of it was done.
            found = self._before
        # A ring without any record is a new one, which says nothing about what the old one held.
        if found is None or found.run is None or 0 < last_record < found.begins_at:
            return None
        return None if 0 < found.ends_at <= last_record else found.run

    def has_ended(self, run: OpenRun) -> bool:
        """Tell whether this attempt at a run has ended; one that is not on and has not ended never began."""
        found = self._last
        known = None if found is None else found.run or found.last
        if found is None or known is None:
            return False
        is_it = (known.run.uid, known.attempt) == (run.run.uid, run.attempt)
        return is_it and (found.run is None or found.ends_at > 0)

    def remember(self, remembered: Remembered) -> None:
        """Replace what is remembered; takes microseconds."""
        payload = _ENCODER.encode(remembered)
        if len(payload) > SLOT_BYTES - _HEADER.size and remembered.last is not None:
            # Its message may be long; the ledger has it whole a moment later.
            payload = _ENCODER.encode(
                msgspec.structs.replace(remembered, last=_shorter(remembered))
            )
        assert len(payload) <= SLOT_BYTES - _HEADER.size, "names are bounded"
        self._generation += 1
        self._before, self._last = self._last, remembered
        header = _HEADER.pack(self._generation, len(payload), _crc(self._generation, payload))
        start = (self._generation % 2) * SLOT_BYTES
        self._map[start : start + len(header) + len(payload)] = header + payload

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()

    def _slot(self, index: int) -> tuple[int, Remembered] | None:
        start = index * SLOT_BYTES
        generation, size, crc = _HEADER.unpack_from(self._map, start)
        begin = start + _HEADER.size
        payload = self._map[begin : begin + min(size, SLOT_BYTES - _HEADER.size)]
        if not generation or len(payload) != size or _crc(generation, payload) != crc:
            return None
        try:
            return generation, msgspec.msgpack.decode(payload, type=Remembered)
        except msgspec.DecodeError:
            return None


def _shorter(remembered: Remembered) -> LastRun | None:
    """Return how the last run ended in less room; beside one that is on there is none for it."""
    last = remembered.last
    if last is None or remembered.run is not None:
        return None
    return msgspec.structs.replace(last, message=last.message[:MESSAGE_MAX])


def _crc(generation: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(generation.to_bytes(8, "little")))
