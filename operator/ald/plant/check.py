"""Whether a plant can be worked with at all: what every process below the compiler relies on.

The compiler makes only such plants. This is for the gateway, which takes them from the wire and from its volume: one that only
looks like a plant would end every executor at its start, and a machine without an executor is never made safe.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING

from ald.errors import InvalidInputError, Violation
from ald.plant.addresses import ADDRESS_MAX
from ald.plant.limits import limit_violation
from ald.plant.model import DataType, Parameter, Plant, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IN_FLIGHT_MAX = 16
READ_REGISTERS_MAX = 125
READ_BITS_MAX = 2000
PORT_MAX = 65535
UNIT_MAX = 255

DURATION_NS_MAX = 86_400 * 1_000_000_000
"""The longest duration that a machine declares: a day."""

_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")

BIT_MAX = 15
"""The most significant bit of a register."""

WIDTH_TYPES = (DataType.UINT16, DataType.UINT32)
"""What a PLC's timer may take its width as."""

_WRITABLE = (Table.COIL, Table.HOLDING)

HINT = "correct the machine's spec, or let an operator of this gateway's version send it anew"


def check_plant(plant: Plant) -> None:
    """Return when everything that works with a plant can work with this one.

    Raises:
        InvalidInputError: it cannot be; every broken rule with its path in the plant.
    """
    found = [*_numbers(plant), *_values(plant), *_timed_pulses(plant), *_names(plant)]
    # Only what exists, and lies where it can, has limits to be checked.
    found += () if found else _safe_values(plant)
    if found:
        raise InvalidInputError(found)


def _numbers(plant: Plant) -> Iterator[Violation]:
    link = plant.link
    ranges = [
        ("link.port", link.port, 1, PORT_MAX),
        ("link.unit", link.unit, 0, UNIT_MAX),
        ("link.timeout_ns", link.timeout_ns, 1, DURATION_NS_MAX),
        ("link.requests_in_flight", link.requests_in_flight, 1, IN_FLIGHT_MAX),
        ("link.max_registers", link.max_registers, 1, READ_REGISTERS_MAX),
        ("link.max_bits", link.max_bits, 1, READ_BITS_MAX),
        ("link.max_gap", link.max_gap, 0, ADDRESS_MAX),
        ("link.cycle_ns", link.cycle_ns, 1, DURATION_NS_MAX),
        ("link.pause_connect_ns", link.pause_connect_ns, 0, DURATION_NS_MAX),
        ("link.pause_request_ns", link.pause_request_ns, 0, DURATION_NS_MAX),
        ("scan_period_ns", plant.scan_period_ns, 1, DURATION_NS_MAX),
        ("max_hold_ns", plant.max_hold_ns, 0, DURATION_NS_MAX),
    ]
    ranges += [
        (f"valves.{v.name}.max_open_ns", v.max_open_ns, 1, DURATION_NS_MAX) for v in plant.valves
    ]
    ranges += [(f"valves.{v.name}.coil", v.coil, 0, ADDRESS_MAX) for v in plant.valves]
    for valve in plant.valves:
        if valve.timed is not None:
            path = f"valves.{valve.name}.timed"
            words = valve.timed.duration.type.words
            last = ADDRESS_MAX + 1 - words
            ranges += [
                (f"{path}.duration.address", valve.timed.duration.address, 0, last),
                (f"{path}.resolution_ns", valve.timed.resolution_ns, 1, DURATION_NS_MAX),
                (f"{path}.trigger", valve.timed.trigger, 0, ADDRESS_MAX),
                (f"{path}.done.address", valve.timed.done.address, 0, ADDRESS_MAX),
            ]
    ranges += [
        (f"groups.{g.name}.minimum_purge_ns", g.minimum_purge_ns, 0, DURATION_NS_MAX)
        for g in plant.groups
    ]
    for index, each in enumerate(link.readable):
        ranges.append((f"link.readable[{index}].first", each.first, 0, ADDRESS_MAX))
        ranges.append((f"link.readable[{index}].last", each.last, each.first, ADDRESS_MAX))
    if plant.heartbeat is not None:
        beat = plant.heartbeat
        ranges.append(("heartbeat.address", beat.address, 0, ADDRESS_MAX))
        ranges.append(("heartbeat.period_ns", beat.period_ns, 1, DURATION_NS_MAX))
        ranges.append(("heartbeat.timeout_ns", beat.timeout_ns, 1, DURATION_NS_MAX))
    for path, value, low, high in ranges:
        if not low <= value <= high:
            yield _violation(path, value, f"is {low} to {high}")
    if not _HOST.fullmatch(link.host):
        yield _violation("link.host", link.host, "is the name or the address of a host")


def _values(plant: Plant) -> Iterator[Violation]:
    for parameter in plant.parameters:
        path, point = f"parameters.{parameter.name}", parameter.point
        if not 0 <= point.address <= ADDRESS_MAX + 1 - point.type.words:
            yield _violation(f"{path}.address", point.address, f"ends at {ADDRESS_MAX}")
        is_bit = point.table.is_bits or point.bit is not None
        if is_bit is not (point.type is DataType.BOOL) or (point.table.is_bits and point.bit):
            yield _violation(
                f"{path}.type", point.type.value, f"does not lie in {point.table.value}"
            )
        if point.bit is not None and not 0 <= point.bit <= BIT_MAX:
            yield _violation(f"{path}.bit", point.bit, f"is 0 to {BIT_MAX}")
        if point.bit is not None and parameter.writable:
            yield _violation(f"{path}.writable", parameter.writable, "is False for one bit")
        if not math.isfinite(parameter.scale) or parameter.scale == 0:
            yield _violation(f"{path}.scale", parameter.scale, "is a finite number other than 0")
        if not math.isfinite(parameter.offset):
            yield _violation(f"{path}.offset", parameter.offset, "is a finite number")
    for group in plant.groups:
        if not (math.isfinite(group.minimum_flow) and group.minimum_flow >= 0):
            path = f"groups.{group.name}.minimum_flow"
            yield _violation(path, group.minimum_flow, "is a finite number from 0")


def _timed_pulses(plant: Plant) -> Iterator[Violation]:
    """Yield what of a PLC's timer no request could write or read, and coils of it that move something else, too."""
    coils = [valve.coil for valve in plant.valves]
    triggers = [valve.timed.trigger for valve in plant.valves if valve.timed is not None]
    for valve in plant.valves:
        timed = valve.timed
        if timed is None:
            continue
        path, kind = f"valves.{valve.name}.timed", timed.duration.type
        if timed.duration.table is not Table.HOLDING or kind not in WIDTH_TYPES:
            what = f"{kind.value} in {timed.duration.table.value}"
            yield _violation(f"{path}.duration", what, "is a uint16 or uint32 in holding registers")
        if not timed.done.table.is_bits or timed.done.type is not DataType.BOOL:
            yield _violation(f"{path}.done", timed.done.table.value, "is a coil or discrete input")
        if timed.trigger in coils or triggers.count(timed.trigger) > 1:
            yield _violation(f"{path}.trigger", timed.trigger, "is a coil of its own")


def _names(plant: Plant) -> Iterator[Violation]:
    parameters = [p.name for p in plant.parameters]
    valves = [v.name for v in plant.valves]
    gases = [g.name for g in plant.gases]
    for what, names in (("parameters", parameters), ("valves", valves), ("gases", gases)):
        for name in sorted(name for name, count in Counter(names).items() if count > 1):
            yield _violation(f"{what}.{name}", name, "is declared once")
    outputs = {p.name for p in plant.parameters if _is_output(p)}
    for gas in plant.gases:
        if gas.setpoint not in outputs:
            yield _missing(f"gases.{gas.name}.setpoint", gas.setpoint, "parameter to write")
        if gas.feedback is not None and gas.feedback not in parameters:
            yield _missing(f"gases.{gas.name}.feedback", gas.feedback, "parameter")
    for group in plant.groups:
        yield from _unknown(f"groups.{group.name}.valves", group.valves, valves, "valve")
        yield from _unknown(f"groups.{group.name}.purge_gases", group.purge_gases, gases, "gas")
    yield from _unknown("unrestricted_valves", plant.unrestricted_valves, valves, "valve")
    safe = tuple(each.valve for each in plant.safe_state.valves)
    yield from _unknown("safe_state.valves", safe, valves, "valve")
    yield from _unknown("valves", tuple(v for v in valves if v not in safe), (), "safe position")
    for index, output in enumerate(plant.safe_state.outputs):
        if output.parameter not in parameters and output.gas not in gases:
            named = output.parameter or output.gas or ""
            yield _missing(f"safe_state.outputs[{index}]", named, "parameter or gas")


def _safe_values(plant: Plant) -> Iterator[Violation]:
    """Yield what the safe state could not write."""
    parameters = {p.name: p for p in plant.parameters}
    setpoints = {g.name: g.setpoint for g in plant.gases}
    for index, output in enumerate(plant.safe_state.outputs):
        name = setpoints.get(output.gas or "", output.parameter)
        parameter = parameters[name] if name is not None else None
        if parameter is None or output.value is None:
            continue
        yield from _unwritable(parameter, output.value, f"safe_state.outputs[{index}]")


def _unwritable(parameter: Parameter, value: float, path: str) -> Iterator[Violation]:
    if not _is_output(parameter):
        yield _violation(path, parameter.name, "is a parameter that can be written")
    broken = limit_violation(parameter, value, path)
    if broken is not None:
        yield broken


def _is_output(parameter: Parameter) -> bool:
    """Tell whether a request can write it; of a register one bit alone cannot be written."""
    return parameter.point.table in _WRITABLE and parameter.point.bit is None


def _unknown(
    path: str, names: Sequence[str], known: Sequence[str], what: str
) -> Iterator[Violation]:
    for name in names:
        if name not in known:
            yield _missing(path, name, what)


def _missing(path: str, name: str, what: str) -> Violation:
    return _violation(path, name, f"there is no such {what}")


def _violation(path: str, value: object, rule: str) -> Violation:
    return Violation(path=path, value=str(value), rule=rule, hint=HINT)
