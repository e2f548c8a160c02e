"""The requests of one scan as they come to be: a block that the PLC refuses is split until what it refuses is known.

A refusal is exception 2 or 3. Both halves of a refused block are asked for at once, within the same scan, so that no other
value goes without; what was learned holds for the next scans:

    one value alone is refused        it gets a block of its own, and each scan asks for one such block, in turn
    both halves come, with a gap      the PLC does not have all of the addresses between them
    both halves come, without one     the PLC does not let as many addresses be read at once; but where a request at least as
                                      long came in the same scan, it does not let these two neighbours be read in one request

When a value that was refused comes after all, everything learned is forgotten: the PLC has changed. Any other exception says
nothing of the addresses, and nothing is learned from it; a block that is answered so twice in a row is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from ald.plant.model import signals
from ald.plc.plan import NO_FACTS, Block, Facts, Plan, Span, plan_around, split
from ald.plc.request import ReadBits, ReadRegisters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ald.plant.model import Plant, Table
    from ald.plc.request import Read

REFUSALS = frozenset({2, 3})
"""Exceptions that speak of the addresses: there is none such, or so many are not read at once."""

NAMED_MAX = 8
"""Refused places that are named; of more there is only the number."""


class _Asked:
    """One request of a scan, and what came of it."""

    __slots__ = ("block", "code", "data", "halves")

    def __init__(self, block: Block) -> None:
        self.block = block
        self.data: bytes | None = None
        self.code = 0
        self.halves: tuple[_Asked, _Asked] | None = None

    @property
    def is_refused(self) -> bool:
        return self.code in REFUSALS


class Rounds:
    """Scan after scan of one plant. Begin one, give it each answer, end it."""

    def __init__(self, plant: Plant) -> None:
        """Raises InvalidInputError when a signal can be read by no request."""
        self._plant = plant
        self._columns = signals(plant)
        self._facts = NO_FACTS
        self._plan = plan_around(plant, NO_FACTS)
        self._asked: list[_Asked] = []
        self._turn = 0
        # Blocks that the last scan failed at for another reason, and those of them that the scan before failed at, too.
        self._failed: frozenset[tuple[Read, int]] = frozenset()
        self._failing: frozenset[tuple[Read, int]] = frozenset()
        self.base = self._plan.blocks
        # The longest value of each table: no request is ever held to less.
        self._widest: dict[Table, int] = {}
        for block in self.base:
            words = [self._columns[place.signal].point.type.words for place in block.places]
            table = block.request.table
            self._widest[table] = max(*words, self._widest.get(table, 1))

    @property
    def plan(self) -> Plan:
        """What the next scan asks for, apart from splits."""
        return self._plan

    @property
    def refusals(self) -> str:
        """What the PLC refuses, for people; empty for nothing."""
        failing = sorted(self._failing, key=lambda f: (f[0].table.value, f[0].address))
        said = [f"{_name(request)} (exception {code})" for request, code in failing]
        said += [
            f"{_name(b.request)} ({self._columns[b.places[0].signal].name})"
            for b in self._plan.refused
        ]
        alone = {(b.request.table, b.request.address) for b in self._plan.refused}
        said += [
            f"{span.table.value} {span.start} to {span.end - 1} (read over)"
            for span in sorted(self._facts.refused, key=lambda s: (s.table.value, s.start))
            if (span.table, span.start) not in alone
        ]
        said += [
            f"{table.value} {address - 1} with {address} in one request"
            for table, address in sorted(self._facts.borders, key=lambda b: (b[0].value, b[1]))
        ]
        said += [f"more than {count} of {t.value} at once" for t, count in self._facts.longest]
        more = len(said) - NAMED_MAX
        return ", ".join(said[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")

    def forget(self) -> None:
        """Begin as if nothing had ever been refused."""
        self._failed = self._failing = frozenset()
        self._learn(NO_FACTS)

    def begin(self) -> list[Read]:
        """Return what to ask for; the answers are given by the place in this list and what is added to it."""
        blocks = list(self._plan.blocks)
        if self._plan.refused:
            self._turn = (self._turn + 1) % len(self._plan.refused)
            blocks.append(self._plan.refused[self._turn])
        self._asked = [_Asked(block) for block in blocks]
        return [block.request for block in blocks]

    def answered(self, index: int, data: bytes | None, code: int = 0) -> list[Read]:
        """Take in the answer to request `index`: data, an exception's code, or neither; return what to ask besides."""
        asked = self._asked[index]
        asked.data = data
        asked.code = code
        if not asked.is_refused or len(asked.block.places) == 1:
            return []
        first, second = split(asked.block, self._columns)
        asked.halves = (_Asked(first), _Asked(second))
        self._asked += asked.halves
        return [first.request, second.request]

    def end(self) -> tuple[list[bytes | None], list[int]]:
        """Return one payload for each of `base`, and the signals that are bad although theirs is there."""
        blocks = [asked.block for asked in self._asked]
        if blocks == list(self.base):
            payloads = [asked.data for asked in self._asked]
            self._conclude()
            return payloads, []
        came = [asked for asked in self._asked if asked.data is not None]
        good = {place.signal for asked in came for place in asked.block.places}
        shared = self._shared(came)
        pieces = [(asked.block.request, asked.data or b"") for asked in came]
        pieces += [piece for _, piece in shared]
        whole = [_assembled(block.request, pieces) for block in self.base]
        good -= _mixed(shared)
        self._conclude()
        return list(whole), [n for n in range(len(self._columns)) if n not in good]

    def _shared(self, came: Sequence[_Asked]) -> list[tuple[int, tuple[Read, bytes]]]:
        """Return the values of several words that another request brought a part of, each with its own words, the longest last.

        Twins may lie on one another, and the two requests have read them at different times.
        """
        seams = _seams([asked.block.request for asked in came])
        found = []
        for asked in came if seams else ():
            first, table = asked.block.request.address, asked.block.request.table
            for place in asked.block.places:
                words = self._columns[place.signal].point.type.words
                start, end = first + place.offset, first + place.offset + words
                if words > 1 and any(
                    s.table is table and s.start < end and start < s.end for s in seams
                ):
                    data = (asked.data or b"")[2 * place.offset : 2 * (place.offset + words)]
                    found.append((place.signal, (ReadRegisters(table, start, words), data)))
        return sorted(found, key=lambda each: each[1][0].count)

    def _conclude(self) -> None:
        """Learn from what was refused."""
        known = set(self._plan.refused)
        if any(asked.data is not None and asked.block in known for asked in self._asked):
            self.forget()
            return
        failed = frozenset(
            (asked.block.request, asked.code)
            for asked in self._asked
            if asked.code and not asked.is_refused
        )
        self._failing, self._failed = failed & self._failed, failed
        facts = self._facts
        for asked in self._asked:
            if asked.is_refused:
                facts = self._with(facts, asked)
        self._learn(facts)

    def _with(self, facts: Facts, asked: _Asked) -> Facts:
        """Return the facts with what one refused request says besides."""
        request, table = asked.block.request, asked.block.request.table
        if asked.halves is None:
            span = Span(table, request.address, request.address + request.count)
            return replace(facts, refused=facts.refused | {span})
        first, second = asked.halves
        if first.data is None or second.data is None:
            return facts
        end, begin = (
            first.block.request.address + first.block.request.count,
            second.block.request.address,
        )
        if end < begin:
            return replace(facts, refused=facts.refused | {Span(table, end, begin)})
        came = self._longest_that_came(table)
        if request.count > came:
            longest = dict(facts.longest)
            longest[table] = min(came, longest.get(table, came))
            return replace(facts, longest=tuple(longest.items()))
        # Values that overlap have no border between them: it will have been a passing trouble.
        return replace(facts, borders=facts.borders | {(table, end)}) if end == begin else facts

    def _longest_that_came(self, table: Table) -> int:
        """Return how many addresses of a table came at once in this scan, at least those of its longest value."""
        came = (a.block.request for a in self._asked if a.data is not None)
        counts = [request.count for request in came if request.table is table]
        return max(*counts, self._widest[table])

    def _learn(self, facts: Facts) -> None:
        if facts != self._facts:
            self._facts = facts
            self._plan = plan_around(self._plant, facts)


def _seams(requests: Sequence[Read]) -> list[Span]:
    """Return the addresses that more than one of the requests brings."""
    seams = []
    table, end = None, 0
    for request in sorted(requests, key=lambda r: (r.table.value, r.address)):
        last = request.address + request.count
        if request.table is not table:
            table, end = request.table, 0
        if request.address < end:
            seams.append(Span(request.table, request.address, min(end, last)))
        end = max(end, last)
    return seams


def _mixed(shared: Sequence[tuple[int, tuple[Read, bytes]]]) -> set[int]:
    """Return the signals of which a later, longer value replaces a part by other words, not the whole."""
    mixed = set()
    for index, (signal, (one, data)) in enumerate(shared):
        for _, (other, theirs) in shared[index + 1 :]:
            low = max(one.address, other.address)
            high = min(one.address + one.count, other.address + other.count)
            if one.table is not other.table or not 0 < high - low < one.count:
                continue
            ours = data[2 * (low - one.address) : 2 * (high - one.address)]
            if ours != theirs[2 * (low - other.address) : 2 * (high - other.address)]:
                mixed.add(signal)
    return mixed


def _assembled(request: Read, pieces: Sequence[tuple[Read, bytes]]) -> bytes:
    """Return the data of one read put together from those of others; 0 where none of them brings anything."""
    is_bits = isinstance(request, ReadBits)
    begin, end = request.address, request.address + request.count
    size = (request.count + 7) // 8 if is_bits else 2 * request.count
    whole = bytearray(size)
    number = 0
    for piece, data in pieces:
        low, high = max(begin, piece.address), min(end, piece.address + piece.count)
        if piece.table is not request.table or low >= high:
            continue
        if is_bits:
            bits = int.from_bytes(data, "little") >> (low - piece.address)
            number |= (bits & ((1 << (high - low)) - 1)) << (low - begin)
        else:
            source = slice(2 * (low - piece.address), 2 * (high - piece.address))
            whole[2 * (low - begin) : 2 * (high - begin)] = data[source]
    return number.to_bytes(size, "little") if is_bits else bytes(whole)


def _name(request: Read) -> str:
    last = f" to {request.address + request.count - 1}" if request.count > 1 else ""
    return f"{request.table.value} {request.address}{last}"
