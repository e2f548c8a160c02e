"""The ring between driver and front: a bounded queue of records in memory that both processes map.

One writer appends, one reader reads and acknowledges; either may be killed at any instruction. A record counts from the moment
its end is published with one aligned 8-byte store, which happens after all of it is in place; room counts as free from
the moment the reader publishes, the same way, how far it has acknowledged. The file around them: `ald.gateway.ring_file`.

A record begins and ends at multiples of 8 and may wrap:

         0        4  size of the record
         4        4  CRC-32 of everything from offset 8 to the end of the payload
         8        8  sequence
        16        4  payload bytes n
        20        1  kind
        21        1  session bytes, 1 to 36
        24       36  session
        64        n  payload, then zeros up to a multiple of 8
     end-8        8  sequence again, so that a new writer finds the last one even in an emptied ring

A larger ring takes the place of one under the same name, with all that was not acknowledged, from position 0 on. The reader
reads and acknowledges to the end what it has, then notices by the inode, and goes on behind what it has read.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from ald.errors import CorruptRecordError, PeerError, RefusedError, RingFullError
from ald.gateway.ring_file import WORD, RingFile, create
from ald.plant.model import Plant, signals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "EVENT",
    "SCAN",
    "RingFullError",
    "RingReader",
    "RingRecord",
    "RingWriter",
    "ring_capacity",
]

EVENT = 1
SCAN = 2

CAPACITY_MIN = 4 * 1024 * 1024
"""For a driver that has no plant yet."""
CAPACITY_MAX = 256 * 1024 * 1024
HOLDS_S = 900
"""How long the reader may be away at the declared scan: 15 minutes."""

SESSION_BYTES_MAX = 36

_HEADER = struct.Struct("=IIQIBB2x36s4x")
_RECHECKS = 3
_ORDER = sys.byteorder
_SCAN_HEAD_BYTES = 96
_SIGNAL_BYTES = 9
"""Of a scan and of each signal in it; see `ald.records.scan`."""
_EVENTS_PER_S = 40
"""Of a fast recipe: four for each pulse of 50 ms and its purge of 150 ms, and as many that say what they came of."""
_EVENT_BYTES = 320


class RingRecord(msgspec.Struct, frozen=True):
    """One record. `sequence` counts from 1, without a gap, across sessions and never again; `kind` is EVENT or SCAN."""

    sequence: int
    session: str
    kind: int
    payload: bytes


def ring_capacity(plant: Plant) -> int:
    """Return the bytes that hold 15 minutes of this plant's scans and events, between `CAPACITY_MIN` and `CAPACITY_MAX`."""
    scan = _record_size(_SCAN_HEAD_BYTES + _SIGNAL_BYTES * len(signals(plant)))
    scans = HOLDS_S * 1_000_000_000 // plant.scan_period_ns
    events = HOLDS_S * _EVENTS_PER_S * _record_size(_EVENT_BYTES)
    return min(CAPACITY_MAX, max(CAPACITY_MIN, scan * scans + events))


def _record_size(payload: int) -> int:
    return _HEADER.size + -(-payload // 8) * 8 + WORD.size


class RingWriter:
    """The driver's side. Opens the ring that is there, whatever its capacity, or makes one."""

    def __init__(self, path: Path, capacity_bytes: int, session: str) -> None:
        """Raises CorruptRecordError for a file that is no ring, OSError where the volume has no room."""
        raw = session.encode("ascii")
        if not 1 <= len(raw) <= SESSION_BYTES_MAX:
            raise ValueError(
                f"a session is 1 to {SESSION_BYTES_MAX} ASCII characters, got {session!r}"
            )
        self._path = path
        self._session = raw
        if path.exists():
            self._file = RingFile(path)
        else:
            self._file = create(path, capacity_bytes, base=0, identity=os.urandom(16))
        self._sequence = self._file.last_sequence()

    @property
    def capacity(self) -> int:
        """Bytes that the ring holds."""
        return self._file.capacity

    @property
    def sequence(self) -> int:
        """Sequence of the last record, of this session or an earlier one; 0 in a new ring."""
        return self._sequence

    @property
    def used(self) -> int:
        """Bytes not yet acknowledged by the reader."""
        return self._file.head - self._file.tail

    def append(self, kind: int, payload: bytes) -> int:
        """Add a record and return its sequence. Takes microseconds and never waits.

        Raises:
            RingFullError: the reader is too far behind; nothing was added.
            RefusedError: the record is larger than the whole ring.
        """
        return self.append_all(kind, (payload,))

    def append_all(self, kind: int, payloads: Sequence[bytes]) -> int:
        """Add records that are published together, all or none, and return the sequence of the last.

        Raises:
            RingFullError: the reader is too far behind; nothing was added.
            RefusedError: the records are larger than the whole ring.
        """
        ring = self._file
        size = sum(_record_size(len(payload)) for payload in payloads)
        # One word stays out of use: the end of the last record, where a new writer looks up its sequence.
        if size > ring.capacity - WORD.size:
            raise RefusedError(
                "RecordTooLarge", f"records of {size} bytes exceed the ring of {ring.capacity}"
            )
        head = ring.head
        if size > ring.capacity - WORD.size - (head - ring.tail):
            raise RingFullError(
                f"the ring of {ring.capacity} bytes is full: the front has not read for long"
            )
        first = self._sequence + 1
        records = (self._record(first + i, kind, each) for i, each in enumerate(payloads))
        ring.put(head, b"".join(records))
        ring.head = head + size
        self._sequence += len(payloads)
        return self._sequence

    def _record(self, sequence: int, kind: int, payload: bytes) -> bytes:
        size = _record_size(len(payload))
        header = _HEADER.pack(
            size, 0, sequence, len(payload), kind, len(self._session), self._session
        )
        crc = zlib.crc32(payload, zlib.crc32(header[8:]))
        padding = bytes(size - _HEADER.size - len(payload) - WORD.size)
        return b"".join(
            (
                header[:4],
                crc.to_bytes(4, _ORDER),
                header[8:],
                payload,
                padding,
                WORD.pack(sequence),
            )
        )

    def grow(self, capacity_bytes: int) -> None:
        """Make the ring hold at least `capacity_bytes`, with whatever the reader has not acknowledged.

        Raises:
            OSError: the volume has no room; the old ring goes on.
        """
        if capacity_bytes <= self.capacity:
            return
        ring = self._file
        tail, base = ring.tail, self._sequence
        if tail < ring.head:
            base = _HEADER.unpack(ring.get(tail, _HEADER.size))[2] - 1
        with ring.pieces(tail, ring.head) as unread:
            self._file = create(self._path, capacity_bytes, base, ring.identity, unread)
        ring.close()

    def close(self) -> None:
        """Unmap the ring; it stays for the next session."""
        self._file.close()


class RingReader:
    """The front's side. What was read and not acknowledged is read again by the next reader."""

    def __init__(self, path: Path) -> None:
        """Raises PeerError while the driver has not made the ring, CorruptRecordError for a file that is none."""
        self._path = path
        self._file = self._open()
        self._position = self._file.tail
        self._sequence = 0
        self._read: deque[tuple[int, int]] = deque()

    @property
    def identity(self) -> str:
        """The ring's own id: sequences of different rings say nothing about one another."""
        return self._file.identity.hex()

    @property
    def used(self) -> int:
        """Bytes not yet acknowledged."""
        return self._file.head - self._file.tail

    @property
    def capacity(self) -> int:
        """Bytes that the ring holds."""
        return self._file.capacity

    def read(self, records_max: int) -> list[RingRecord]:
        """Return up to `records_max` records after those already read, in order; empty when there is nothing new.

        Raises:
            CorruptRecordError: a published record fails its check.
        """
        records: list[RingRecord] = []
        head = self._file.head
        while self._position < head and len(records) < records_max:
            record, size = self._record(self._position, head)
            self._position += size
            self._read.append((record.sequence, self._position))
            records.append(record)
            self._sequence = record.sequence
        if not records and not self.used:
            self._follow()
        return records

    def acknowledge(self, sequence: int) -> None:
        """Free everything read up to and including `sequence`."""
        tail = None
        while self._read and self._read[0][0] <= sequence:
            tail = self._read.popleft()[1]
        if tail is not None:
            self._file.tail = tail

    def close(self) -> None:
        """Unmap the ring."""
        self._file.close()

    def _open(self) -> RingFile:
        try:
            return RingFile(self._path)
        except FileNotFoundError as error:
            raise PeerError(f"the driver has not made {self._path} yet") from error

    def _follow(self) -> None:
        """Go on with the ring that took this one's place, if one did, behind what was read of it here."""
        try:
            replaced = self._path.stat().st_ino != self._file.inode
        except FileNotFoundError:
            return
        if replaced:
            successor, before = self._open(), self._file
            self._file, self._position = successor, successor.tail
            if successor.identity == before.identity:
                self._position = self._behind(successor.tail, successor.head)
                successor.tail = self._position
            before.close()

    def _behind(self, position: int, head: int) -> int:
        """Return the position behind the last record that was read of this ring's predecessor."""
        while position < head:
            record, size = self._record(position, head)
            if record.sequence > self._sequence:
                break
            position += size
        return position

    def _record(self, position: int, head: int) -> tuple[RingRecord, int]:
        """Return the record at `position` and its size.

        Where the processor lets another one see two stores in the wrong order, a record may be published an instant before
        all of it is visible: look again before calling it broken.
        """
        for _ in range(_RECHECKS):
            header = self._file.get(position, _HEADER.size)
            size, crc, sequence, length, kind, letters, session = _HEADER.unpack(header)
            if size != _record_size(length) or position + size > head:
                continue
            payload = self._file.get(position + _HEADER.size, length)
            if zlib.crc32(payload, zlib.crc32(header[8:])) == crc:
                return RingRecord(sequence, session[:letters].decode("ascii"), kind, payload), size
        raise CorruptRecordError(f"{self._path} holds a record at {position} that fails its check")
