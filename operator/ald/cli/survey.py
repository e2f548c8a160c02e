"""Which addresses of a PLC answer: asks for blocks, and halves those that are refused until it is known. Reads only; pure.

A block that the PLC refuses for its address or its length (Modbus exceptions 2 and 3) may hold some addresses that answer, or be
longer than the PLC allows. Halves of it are asked for, down to single addresses.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from ald.plant.model import Table
from ald.plc.request import READ_BITS_MAX, READ_REGISTERS_MAX, Read, ReadBits, ReadRegisters

if TYPE_CHECKING:
    from collections.abc import Sequence

REQUESTS_MAX = 500
"""Requests of one survey; the rest stays unasked, and is named."""

_UNKNOWN_FUNCTION = 1
_HALVED = frozenset({2, 3})


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Neighbouring addresses that do not answer, for one reason."""

    table: Table
    first: int
    count: int
    why: str


def read_of(table: Table, first: int, count: int) -> Read:
    """Return the request for a block. Raises ValueError where no request can cover it."""
    return (ReadBits if table.is_bits else ReadRegisters)(table, first, count)


def reads_of(tables: Sequence[Table], first: int, count: int) -> tuple[Read, ...]:
    """Return requests that cover `count` addresses of each table, each as long as the standard allows."""
    reads: list[Read] = []
    for table in tables:
        longest = READ_BITS_MAX if table.is_bits else READ_REGISTERS_MAX
        # Even, so that no value of two registers falls between two requests.
        step = longest - longest % 2
        starts = range(first, first + count, step)
        reads += [read_of(table, start, min(step, first + count - start)) for start in starts]
    return tuple(reads)


def halves(read: Read) -> tuple[Read, ...]:
    """Return the two halves of a request, the first of even length where it can be; nothing for a single address."""
    if read.count == 1:
        return ()
    half = read.count // 2
    half += half % 2 if half + half % 2 < read.count else 0
    rest = read.count - half
    return (
        read_of(read.table, read.address, half),
        read_of(read.table, read.address + half, rest),
    )


class Survey:
    """Give `next_read()` to the PLC, and tell what came of it, until there is none."""

    def __init__(self, reads: Sequence[Read], requests_max: int = REQUESTS_MAX) -> None:
        self._waiting = deque(reads)
        self._left = requests_max
        self._answered: list[Read] = []
        self._refused: list[Refused] = []

    @property
    def answered(self) -> tuple[Read, ...]:
        """The blocks that answer."""
        return tuple(self._answered)

    @property
    def refused(self) -> tuple[Refused, ...]:
        """The stretches that do not; last those that were not asked for."""
        unasked = [
            Refused(
                table=r.table, first=r.address, count=r.count, why="not asked: too many refusals"
            )
            for r in self._waiting
        ]
        return tuple(_merged([*self._refused, *unasked]))

    def next_read(self) -> Read | None:
        """Return what to ask next."""
        if not self._waiting or not self._left:
            return None
        self._left -= 1
        return self._waiting.popleft()

    def is_answered(self, read: Read) -> None:
        """The PLC gave the values."""
        self._answered.append(read)

    def is_refused(self, read: Read, why: str, code: int | None) -> None:
        """The PLC gave none; `code` is the Modbus exception, None where there was not even that."""
        parts = halves(read) if code in _HALVED else ()
        if parts:
            self._waiting.extendleft(reversed(parts))
            return
        self._note(read, why)
        if code == _UNKNOWN_FUNCTION:
            for other in [r for r in self._waiting if r.table is read.table]:
                self._waiting.remove(other)
                self._note(other, why)

    def _note(self, read: Read, why: str) -> None:
        self._refused.append(
            Refused(table=read.table, first=read.address, count=read.count, why=why)
        )


def _merged(found: Sequence[Refused]) -> list[Refused]:
    """Return neighbours of one reason as one."""
    merged: list[Refused] = []
    for each in found:
        last = merged[-1] if merged else None
        if (
            last is not None
            and (last.table, last.why) == (each.table, each.why)
            and last.first + last.count == each.first
        ):
            merged[-1] = msgspec.structs.replace(last, count=last.count + each.count)
        else:
            merged.append(each)
    return merged
