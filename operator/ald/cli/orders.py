"""One value in all four word orders, and which orders make sense of a machine. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from ald.plant.model import DataType, Order, Plant, Table, Valve
from ald.plant.words import raw_of_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Memory = dict[tuple[Table, int], int]
"""What was read: a word, or a bit, of each address."""

RESOLUTION = 1e-9
"""A float nearer to zero than this part of its range, but not zero, is finer than any instrument: a sign of a wrong order."""

_TWIN = {
    Table.HOLDING: Table.INPUT,
    Table.INPUT: Table.HOLDING,
    Table.COIL: Table.DISCRETE,
    Table.DISCRETE: Table.COIL,
}


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """What lies at one address, by each order; None where it is no number. `values` is empty where it does not answer.

    declared: the order that the Machine says. minimum, maximum: its limits.
    """

    name: str
    table: Table
    address: int
    type: DataType
    unit: str
    values: dict[Order, float | None]
    declared: Order | None = None
    minimum: float | None = None
    maximum: float | None = None

    @property
    def fitting(self) -> tuple[Order, ...]:
        """The orders by which the value lies within its limits and is no finer than instruments are."""
        return tuple(order for order, value in self.values.items() if self._is_within(value))

    @property
    def is_telling(self) -> bool:
        """True where the orders differ and there are limits to judge them by."""
        has_limits = self.minimum is not None or self.maximum is not None
        return has_limits and len({repr(v) for v in self.values.values()}) > 1

    def _is_within(self, value: float | None) -> bool:
        if value is None:
            return False
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        return low <= value <= high and not self._is_too_fine(value, high - low)

    def _is_too_fine(self, value: float, span: float) -> bool:
        is_float = self.type in (DataType.FLOAT32, DataType.FLOAT64)
        return is_float and math.isfinite(span) and 0.0 < abs(value) < span * RESOLUTION


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the telling values lie within their limits by one order, and of how many the Machine declares it."""

    order: Order
    fitting: int
    declared: int
    telling: int


def of_plant(plant: Plant, memory: Memory) -> tuple[Candidate, ...]:
    """Return all parameters, then all valves, of a machine."""
    link = plant.link
    found = []
    for parameter in plant.parameters:
        point = parameter.point
        shared = link.shared_bits if point.table.is_bits else link.shared_registers
        tables = (point.table, _TWIN[point.table]) if shared else (point.table,)
        if point.bit is None:
            raw = _by_orders(memory, tables, point.address, point.type)
        else:
            raw = _of_bit(memory, tables, point.address, point.bit)
        found.append(
            Candidate(
                name=parameter.name,
                table=point.table,
                address=point.address,
                type=point.type,
                unit=parameter.unit,
                values={
                    order: None if value is None else value * parameter.scale + parameter.offset
                    for order, value in raw.items()
                },
                declared=point.order,
                minimum=parameter.minimum,
                maximum=parameter.maximum,
            )
        )
    return (*found, *(_of_valve(valve, memory, shared=link.shared_bits) for valve in plant.valves))


def of_memory(memory: Memory, kind: DataType) -> tuple[Candidate, ...]:
    """Return what was read as values of one type, one behind the other, and bits as they are."""
    found = []
    taken: set[tuple[Table, int]] = set()
    for table, address in sorted(memory, key=lambda place: (place[0].value, place[1])):
        if (table, address) in taken:
            continue
        of = DataType.BOOL if table.is_bits else kind
        values = _by_orders(memory, (table,), address, of)
        if not values:
            # The last registers of a block, too few for one more value.
            values, of = _by_orders(memory, (table,), address, DataType.UINT16), DataType.UINT16
        taken |= {(table, address + n) for n in range(of.words)}
        found.append(
            Candidate(name="", table=table, address=address, type=of, unit="", values=values)
        )
    return tuple(found)


def verdicts(candidates: Sequence[Candidate]) -> tuple[Verdict, ...]:
    """Return how each order does, the best first and of equals what is declared; nothing where no value tells anything."""
    telling = [c for c in candidates if c.is_telling]
    if not telling:
        return ()
    found = [
        Verdict(
            order=order,
            fitting=sum(order in c.fitting for c in telling),
            declared=sum(c.declared is order for c in telling),
            telling=len(telling),
        )
        for order in Order
    ]
    return tuple(sorted(found, key=lambda verdict: (-verdict.fitting, -verdict.declared)))


def _by_orders(
    memory: Mapping[tuple[Table, int], int], tables: Sequence[Table], address: int, kind: DataType
) -> dict[Order, float | None]:
    """Return the raw value by each order; a single bit has only one, and an address not read has none."""
    for table in tables:
        words = tuple(memory.get((table, address + n), -1) for n in range(kind.words))
        if -1 in words:
            continue
        orders = (Order.ABCD,) if kind is DataType.BOOL else tuple(Order)
        raw = {order: raw_of_words(words, kind, order) for order in orders}
        return {order: value if math.isfinite(value) else None for order, value in raw.items()}
    return {}


def _of_bit(
    memory: Mapping[tuple[Table, int], int], tables: Sequence[Table], address: int, bit: int
) -> dict[Order, float | None]:
    """Return one bit of a register, 0 the least significant."""
    words = [memory[table, address] for table in tables if (table, address) in memory]
    return {Order.ABCD: float(words[0] >> bit & 1)} if words else {}


def _of_valve(valve: Valve, memory: Memory, *, shared: bool) -> Candidate:
    tables = (Table.COIL, Table.DISCRETE) if shared else (Table.COIL,)
    return Candidate(
        name=f"valve.{valve.name}",
        table=Table.COIL,
        address=valve.coil,
        type=DataType.BOOL,
        unit="",
        values=_by_orders(memory, tables, valve.coil, DataType.BOOL),
    )
