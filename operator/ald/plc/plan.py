"""Which reads make one scan: the fewest requests that the PLC's limits allow.

Values that lie close together share a request. Walking each space from its lowest address and taking into the present
request whatever still fits is the optimum: the first value that does not fit cannot share a request with the first one in
any plan, and a later value that would fit all the same lies inside the one that does not. The test compares with all
possible plans of small maps. That stays so with what the PLC was found to refuse: part of a request that it takes, it takes.
"""

from __future__ import annotations

import bisect
from itertools import accumulate
from typing import TYPE_CHECKING

import msgspec

from ald.errors import InvalidInputError, Violation
from ald.plant.model import Plant, Signal, Table, signals
from ald.plc.request import Read, ReadBits, ReadRegisters

if TYPE_CHECKING:
    from collections.abc import Sequence


class Place(msgspec.Struct, frozen=True):
    """Where a signal lies in a block: index into `signals(plant)`; bits or registers from the block's start."""

    signal: int
    offset: int


class Block(msgspec.Struct, frozen=True):
    """One read request of a scan and what it brings."""

    request: Read
    places: tuple[Place, ...]


class Span(msgspec.Struct, frozen=True, order=True):
    """Addresses from `start` to `end`, excluded, which no request of this table may cover whole."""

    table: Table
    start: int
    end: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a PLC was found to refuse beyond its declared limits. `longest` are (table, addresses) read at once at most.

    `borders` are (table, address) of which no request may cover the address together with the one below it. The table is
    that of the request, so that of the holding registers or coils where spaces are shared.
    """

    refused: frozenset[Span] = frozenset()
    borders: frozenset[tuple[Table, int]] = frozenset()
    longest: tuple[tuple[Table, int], ...] = ()


NO_FACTS = Facts()


class Plan(msgspec.Struct, frozen=True):
    """The reads of one scan, and the values that the PLC refuses even alone, one a block."""

    blocks: tuple[Block, ...]
    refused: tuple[Block, ...]


class _Item(msgspec.Struct, frozen=True, order=True):
    start: int
    end: int
    signal: int


class _Space(msgspec.Struct, frozen=True):
    """Tables that are read as one: `table` in the request; `ranges` are (start, end) readable at once, end excluded."""

    table: Table
    tables: tuple[Table, ...]
    size_max: int
    gap_max: int
    ranges: tuple[tuple[int, int], ...]
    refused: tuple[tuple[int, int], ...] = ()

    def reach(self, item: _Item) -> int:
        """Return where a request that starts with `item` must end at the latest; below `item.end` if it cannot be read."""
        limit = item.start + self.size_max
        if self.refused:
            # Of each refused span, and all behind it, the smallest address that a request must not reach.
            behind = bisect.bisect_left(self.refused, (item.start,))
            limit = min(limit, self.refused[behind][1]) if behind < len(self.refused) else limit
        if not self.ranges:
            return limit
        ends = [end for start, end in self.ranges if start <= item.start and item.end <= end]
        return min(limit, max(ends, default=item.start))


def plan_reads(plant: Plant) -> tuple[Block, ...]:
    """Return the requests of one scan: holding or all registers first, then input registers, coils, discrete inputs.

    No value is ever split over two requests, so none can be torn.

    Raises:
        InvalidInputError: a value lies in no readable range, or is longer than the longest request.
    """
    return plan_around(plant, NO_FACTS).blocks


def plan_around(plant: Plant, facts: Facts) -> Plan:
    """Return the requests of one scan that keep clear of what the PLC was found to refuse.

    Raises:
        InvalidInputError: as `plan_reads`.
    """
    columns = signals(plant)
    blocks: list[Block] = []
    refused: list[Block] = []
    violations: list[Violation] = []
    for declared in _spaces(plant):
        items = sorted(
            _Item(s.point.address, s.point.address + s.point.type.words, index)
            for index, s in enumerate(columns)
            if s.point.table in declared.tables
        )
        unreadable = [item for item in items if declared.reach(item) < item.end]
        violations += [_violation(declared, columns[item.signal]) for item in unreadable]
        if not violations:
            space = _narrowed(declared, facts)
            taken = [item for item in items if space.reach(item) >= item.end]
            blocks += [_block_of(space.table, group) for group in _groups(space, taken)]
            refused += [
                _block_of(space.table, [item]) for item in items if space.reach(item) < item.end
            ]
    if violations:
        raise InvalidInputError(violations)
    return Plan(tuple(blocks), tuple(refused))


def split(block: Block, columns: Sequence[Signal]) -> tuple[Block, Block]:
    """Return the two halves of a block with more than one value."""
    first, table = block.request.address, block.request.table
    items = sorted(
        _Item(first + p.offset, first + p.offset + columns[p.signal].point.type.words, p.signal)
        for p in block.places
    )
    middle = len(items) // 2
    return _block_of(table, items[:middle]), _block_of(table, items[middle:])


def _narrowed(space: _Space, facts: Facts) -> _Space:
    """Return the space with what the PLC was found to refuse of it."""
    longest = dict(facts.longest).get(space.table, space.size_max)
    spans = [(s.start, s.end) for s in facts.refused if s.table is space.table]
    spans += [(at - 1, at + 1) for table, at in facts.borders if table is space.table]
    spans.sort(reverse=True)
    ends = accumulate((end - 1 for _, end in spans), min)
    refused = sorted((start, end) for (start, _), end in zip(spans, ends, strict=True))
    return msgspec.structs.replace(
        space, size_max=min(space.size_max, longest), refused=tuple(refused)
    )


def _groups(space: _Space, items: Sequence[_Item]) -> list[list[_Item]]:
    """Return the items in groups, each for one request."""
    groups: list[list[_Item]] = []
    reach = end = 0
    for item in items:
        bridged = bool(space.ranges) or item.start - end <= space.gap_max
        if groups and item.end <= reach and bridged:
            groups[-1].append(item)
            end = max(end, item.end)
        else:
            groups.append([item])
            reach, end = space.reach(item), item.end
    return groups


def _block_of(table: Table, group: Sequence[_Item]) -> Block:
    start = group[0].start
    count = max(item.end for item in group) - start
    kind = ReadBits if table.is_bits else ReadRegisters
    places = tuple(Place(item.signal, item.start - start) for item in group)
    return Block(kind(table, start, count), places)


def _spaces(plant: Plant) -> list[_Space]:
    link = plant.link
    registers = (Table.HOLDING, Table.INPUT)
    bits = (Table.COIL, Table.DISCRETE)
    members = [
        *([registers] if link.shared_registers else [(table,) for table in registers]),
        *([bits] if link.shared_bits else [(table,) for table in bits]),
    ]
    return [
        _Space(
            table=tables[0],
            tables=tables,
            size_max=link.max_bits if tables[0].is_bits else link.max_registers,
            gap_max=link.max_gap,
            ranges=tuple((r.first, r.last + 1) for r in link.readable if r.table in tables),
        )
        for tables in members
    ]


def _violation(space: _Space, signal: Signal) -> Violation:
    words = signal.point.type.words
    if words > space.size_max:
        rule = f"takes {words} registers, and the PLC lets {space.size_max} be read at once"
        hint = "raise plc.limits.maxRegisters"
    else:
        rule = "lies in none of the readable ranges"
        hint = f"add a range of table {signal.point.table.value} to plc.readable that holds it"
    return Violation(path=signal.name, value=str(signal.point.address), rule=rule, hint=hint)
