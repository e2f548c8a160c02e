"""Machines that would write the same outputs of one PLC: the gateway of one would move what the other has proven. Pure.

Only what names the PLC alike is found; of two names for one PLC the gateways themselves tell by the heartbeat register.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ald.errors import Violation
from ald.plant.model import Mode, Parameter, Plant, Table

Output = tuple[str, int]
"""Table and address of a coil or a register."""


def rivalry(plant: Plant, others: Iterable[Plant]) -> Violation | None:
    """Return what is wrong where one of the others writes an output of this plant, None where none does."""
    for other in others:
        if _plc(other) != _plc(plant) or Mode.OBSERVE in (plant.mode, other.mode):
            continue
        shared = sorted({*_outputs(plant)} & {*_outputs(other)})
        if shared:
            table, address = shared[0]
            link, theirs = plant.link, other.identity
            return Violation(
                path="spec.plc.host",
                value=f"{link.host} port {link.port} unit {link.unit}",
                rule=f"Machine {theirs.namespace}/{theirs.name} writes {table} {address} of the same PLC, and so would this one",
                hint="delete one of the two, turn it to mode Observe, or correct the addresses",
            )
    return None


def _plc(plant: Plant) -> tuple[str, str, int, int]:
    """Return what tells PLCs apart; a host name without a dot is another one in each namespace."""
    host = plant.link.host.lower().rstrip(".")
    namespace = "" if set(host) & set(".:") else plant.identity.namespace
    return host, namespace, plant.link.port, plant.link.unit


def _outputs(plant: Plant) -> Iterator[Output]:
    """Yield every coil and register that a gateway of this plant may write."""
    setpoints = {gas.setpoint for gas in plant.gases}
    for parameter in plant.parameters:
        if parameter.writable or parameter.name in setpoints:
            yield from _of_parameter(parameter)
    for valve in plant.valves:
        yield (Table.COIL.value, valve.coil)
        if valve.timed is not None:
            yield (Table.COIL.value, valve.timed.trigger)
            point = valve.timed.duration
            yield from ((point.table.value, point.address + n) for n in range(point.type.words))
    if plant.heartbeat is not None:
        yield (Table.HOLDING.value, plant.heartbeat.address)


def _of_parameter(parameter: Parameter) -> Iterator[Output]:
    point = parameter.point
    count = 1 if point.table.is_bits else point.type.words
    return ((point.table.value, point.address + n) for n in range(count))
