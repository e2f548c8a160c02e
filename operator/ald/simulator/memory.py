"""The four tables of the simulated PLC, and which addresses of them it serves."""

from array import array
from collections.abc import Iterator, Sequence

from ald.plant.model import DataType, LinkSettings, Parameter, Plant, Point, Table, signals
from ald.simulator.codec import from_registers, to_registers

ADDRESSES = 65536
"""Addresses of one table."""

_TWINS = {
    Table.COIL: Table.DISCRETE,
    Table.DISCRETE: Table.COIL,
    Table.INPUT: Table.HOLDING,
    Table.HOLDING: Table.INPUT,
}


class Memory:
    """Coils, discrete inputs, input and holding registers; two tables are one where the machine says that they are shared."""

    def __init__(self, plant: Plant) -> None:
        link = plant.link
        self._tables: dict[Table, array[int]] = {}
        for first, second, shared in (
            (Table.COIL, Table.DISCRETE, link.shared_bits),
            (Table.HOLDING, Table.INPUT, link.shared_registers),
        ):
            self._tables[first] = array("H", bytes(2 * ADDRESSES))
            self._tables[second] = (
                self._tables[first] if shared else array("H", bytes(2 * ADDRESSES))
            )
        self._served = {table: _served(plant, table) for table in Table}

    def serves(self, table: Table, first: int, count: int) -> bool:
        """Tell whether the PLC answers for all of `count` addresses from `first`."""
        if first + count > ADDRESSES:
            return False
        served = self._served[table]
        return served is None or all(served[first : first + count])

    def read(self, table: Table, first: int, count: int) -> list[int]:
        return self._tables[table][first : first + count].tolist()

    def write(self, table: Table, first: int, values: Sequence[int]) -> None:
        self._tables[table][first : first + len(values)] = array("H", values)

    def value(self, point: Point) -> float:
        """Return the raw value at a point."""
        if point.bit is not None:
            return float(self.read(point.table, point.address, 1)[0] >> point.bit & 1)
        return from_registers(point, self.read(point.table, point.address, point.type.words))

    def put(self, point: Point, raw: float) -> None:
        """Store a raw value at a point."""
        if point.bit is not None:
            others = self.read(point.table, point.address, 1)[0] & ~(1 << point.bit)
            self.write(point.table, point.address, [others | (raw != 0) << point.bit])
            return
        self.write(point.table, point.address, to_registers(point, raw))


def engineering(parameter: Parameter, raw: float) -> float:
    """Return a raw value in the parameter's unit."""
    return raw * parameter.scale + parameter.offset


def raw_value(parameter: Parameter, value: float) -> float:
    """Return a value in the parameter's unit as the PLC holds it."""
    return (value - parameter.offset) / parameter.scale


def _served(plant: Plant, table: Table) -> bytearray | None:
    """Mark the addresses that answer; None where nothing was declared, so that all do."""
    tables = {table, _TWINS[table]} if _is_shared(plant.link, table) else {table}
    ranges = [r for r in plant.link.readable if r.table in tables]
    if not ranges:
        return None
    marks = bytearray(ADDRESSES)
    spans = [(r.first, r.last + 1) for r in ranges]
    spans += [
        (s.point.address, s.point.address + s.point.type.words)
        for s in signals(plant)
        if s.point.table in tables
    ]
    if plant.heartbeat is not None and Table.HOLDING in tables:
        spans.append((plant.heartbeat.address, plant.heartbeat.address + 1))
    spans += [
        (point.address, point.address + point.type.words)
        for point in _timer_points(plant)
        if point.table in tables
    ]
    for first, end in spans:
        marks[first:end] = bytes([1]) * (end - first)
    return marks


def _timer_points(plant: Plant) -> Iterator[Point]:
    for valve in plant.valves:
        if valve.timed is not None:
            yield valve.timed.duration
            yield Point(table=Table.COIL, address=valve.timed.trigger, type=DataType.BOOL)
            yield valve.timed.done


def _is_shared(link: LinkSettings, table: Table) -> bool:
    return link.shared_bits if table.is_bits else link.shared_registers
