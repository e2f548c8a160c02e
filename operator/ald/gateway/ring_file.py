"""The file that driver and front both map: a header of single words, and a circle of bytes. What lies in it is `ald.gateway.ring`'s affair.

In the host's byte order:

    offset     size  field
         0        8  magic and version
         8        8  capacity c of the data area in bytes, a multiple of 8
        16        8  base: sequence of the last record before this file
        24       16  identity of the ring, random
        64        8  head: bytes ever published          (written by the writer only)
       128        8  tail: bytes ever acknowledged       (written by the reader only)
      4096        c  data; byte p of the stream lies at p modulo c

The last 8 bytes before the head are the sequence of the last record.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from typing import TYPE_CHECKING

from ald.errors import CorruptRecordError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAPPED_AT_ONCE = mmap.MAP_SHARED | mmap.MAP_POPULATE
"""Both sides map every page when they open the ring: none is mapped in mid-run, and no memory grows while the ring fills for the first time."""

DATA = 4096
"""Where the circle begins; its size is a multiple of this."""

WORD = struct.Struct("=Q")

_MAGIC = int.from_bytes(b"ALDRING1", "little")
_IDENTITY = slice(24, 40)
_CAPACITY_WORD, _BASE_WORD, _HEAD_WORD, _TAIL_WORD = 1, 2, 8, 16


class RingFile:
    """The mapped file and its words; what both sides need."""

    def __init__(self, path: Path) -> None:
        """Raises CorruptRecordError for a file that is no ring, FileNotFoundError, OSError."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            stat = os.fstat(descriptor)
            self.inode = stat.st_ino
            if stat.st_size <= DATA:
                raise CorruptRecordError(f"{path} is no ring of this version: it is too short")
            self._map = mmap.mmap(descriptor, stat.st_size, flags=MAPPED_AT_ONCE)
        finally:
            os.close(descriptor)
        # Through such a view a word is stored by one machine instruction; struct would not promise that.
        self._words = memoryview(self._map).cast("Q")
        self.capacity = self._words[_CAPACITY_WORD]
        if self._words[0] != _MAGIC or self.capacity != stat.st_size - DATA:
            self.close()
            raise CorruptRecordError(
                f"{path} is no ring of this version; remove it and start again"
            )

    @property
    def head(self) -> int:
        """Bytes ever published; to set it publishes."""
        return self._words[_HEAD_WORD]

    @head.setter
    def head(self, position: int) -> None:
        self._words[_HEAD_WORD] = position

    @property
    def tail(self) -> int:
        """Bytes ever acknowledged; to set it acknowledges."""
        return self._words[_TAIL_WORD]

    @tail.setter
    def tail(self, position: int) -> None:
        self._words[_TAIL_WORD] = position

    @property
    def identity(self) -> bytes:
        """Of the ring, also of those that took its place."""
        return self._map[_IDENTITY]

    def put(self, position: int, data: bytes) -> None:
        """Store bytes from a position on; they are not published by that."""
        start = position % self.capacity
        first = data[: self.capacity - start]
        self._map[DATA + start : DATA + start + len(first)] = first
        if rest := data[len(first) :]:
            self._map[DATA : DATA + len(rest)] = rest

    def get(self, position: int, count: int) -> bytes:
        """Return the bytes from a position on."""
        start = position % self.capacity
        first = self._map[DATA + start : DATA + min(start + count, self.capacity)]
        return first + self._map[DATA : DATA + count - len(first)]

    @contextlib.contextmanager
    def pieces(self, begin: int, end: int) -> Iterator[tuple[memoryview, memoryview]]:
        """Give what lies between two positions, in order, without a copy of it."""
        start, count = begin % self.capacity, end - begin
        first = min(count, self.capacity - start)
        with memoryview(self._map) as all_of_it:
            behind = DATA + start
            with (
                all_of_it[behind : behind + first] as one,
                all_of_it[DATA : DATA + count - first] as two,
            ):
                yield one, two

    def last_sequence(self) -> int:
        """Return the sequence of the last record published here or before this file."""
        if not self.head:
            return self._words[_BASE_WORD]
        sequence: int = WORD.unpack(self.get(self.head - WORD.size, WORD.size))[0]
        return sequence

    def close(self) -> None:
        """Unmap the file; it stays."""
        self._words.release()
        self._map.close()


def create(
    path: Path, capacity_bytes: int, base: int, identity: bytes, records: Sequence[memoryview] = ()
) -> RingFile:
    """Put a ring with these records in place, whole or not at all; `base` is the sequence before the first of them.

    Its capacity is `capacity_bytes`, up to the next multiple of `DATA`.
    """
    capacity = -(-capacity_bytes // DATA) * DATA
    new = path.with_name(path.name + ".new")
    try:
        _write(new, capacity, base, identity, records)
        # Mapped first: one that is in place is one that is written to.
        ring = RingFile(new)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    new.rename(path)
    return ring


def _write(
    path: Path, capacity: int, base: int, identity: bytes, records: Sequence[memoryview]
) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o660)
    try:
        # Taken now: on a full volume a later store into the mapping would kill the process.
        os.posix_fallocate(descriptor, 0, DATA + capacity)
        with mmap.mmap(descriptor, DATA + capacity) as mapped:
            words = memoryview(mapped).cast("Q")
            words[_CAPACITY_WORD] = capacity
            words[_BASE_WORD] = base
            words[_HEAD_WORD] = sum(len(piece) for piece in records)
            words[0] = _MAGIC
            words.release()
            mapped[_IDENTITY] = identity
            mapped.seek(DATA)
            for piece in records:
                mapped.write(piece)
    finally:
        os.close(descriptor)
