"""What the engine looks up in a plant, prepared once: columns of a scan, valves, gases, groups and the bytes of a value."""

from collections.abc import Mapping

import msgspec

from ald.engine.effects import Coils, Words
from ald.errors import InvalidInputError, SafetyError
from ald.plant.limits import limit_violation
from ald.plant.model import ExclusionGroup, Gas, Parameter, Plant, Table, Valve, signals
from ald.plant.words import decode, encode
from ald.program.condition import Condition

VALVE_PREFIX = "valve."
"""The coil of valve `tma` is the signal `valve.tma`."""

READBACK_TOLERANCE = 1e-6
"""Largest relative difference between a value as encoded and as read back: the noise of float arithmetic, no more."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Look-up tables of one plant; never changed after they are made. `permissives` are those of the interlocks, in order, and `readiness` its conditions."""

    plant: Plant
    columns: Mapping[str, int]
    parameters: Mapping[str, Parameter]
    valves: Mapping[str, Valve]
    gases: Mapping[str, Gas]
    groups_of: Mapping[str, tuple[ExclusionGroup, ...]]
    permissives: tuple[Condition | None, ...]
    readiness: tuple[Condition | None, ...]

    def setpoint(self, *, parameter: str | None, gas: str | None) -> Parameter:
        """Return the parameter that a `set`, `ramp`, `purge` or safe output writes.

        Raises:
            SafetyError: the program names what this plant does not have, or what it may not write by this name.
        """
        name = parameter
        if gas is not None and gas in self.gases:
            name = self.gases[gas].setpoint
        if name is None or name not in self.parameters:
            raise SafetyError(f"this machine has no {'gas ' + gas if gas else parameter}")
        found = self.parameters[name]
        # A gas's set point is written as the gas's, and a twin of a valve's coil not at all, whatever a program says.
        if gas is None and not found.writable:
            raise SafetyError(f"{name} is read-only here, or belongs to a gas or a valve")
        return found


def layout_of(plant: Plant) -> Layout:
    """Return the look-up tables of `plant`."""
    return Layout(
        plant=plant,
        columns={signal.name: index for index, signal in enumerate(signals(plant))},
        parameters={p.name: p for p in plant.parameters},
        valves={v.name: v for v in plant.valves},
        gases={g.name: g for g in plant.gases},
        groups_of={
            v.name: tuple(g for g in plant.groups if v.name in g.valves) for v in plant.valves
        },
        permissives=tuple(_condition(each.permissive) for each in plant.interlocks),
        readiness=tuple(_condition(each.condition) for each in plant.readiness),
    )


def _condition(text: str) -> Condition | None:
    """Return the condition; None where it is none, which then is never true: the machine can be made safe all the same."""
    try:
        return Condition(text)
    except InvalidInputError:
        return None


def coil_of(valve: Valve, *, is_open: bool) -> Coils:
    """Return the write that opens or closes one valve."""
    return Coils(address=valve.coil, bits=(is_open,))


def target_of(parameter: Parameter, value: float) -> Coils | Words:
    """Return the write that gives `parameter` this value, in its unit.

    Raises:
        SafetyError: the value is outside the parameter's limits; nothing may be written.
    """
    broken = limit_violation(parameter, value, parameter.name)
    if broken is not None:
        raise SafetyError(str(broken))
    words = encode(parameter, value)
    if parameter.point.table is Table.COIL:
        return Coils(address=parameter.point.address, bits=(words[0] == 1,))
    return Words(address=parameter.point.address, words=words)


def same_value(parameter: Parameter, wanted: float, found: float) -> bool:
    """Tell whether `found`, as read from the PLC, is `wanted` as the parameter's type can hold it."""
    held = decode(parameter, encode(parameter, wanted))
    return abs(held - found) <= READBACK_TOLERANCE * max(1.0, abs(held))


def within_limits(parameter: Parameter, found: float) -> float:
    """Return a value as read, or the limit that it is but for the rounding of its type, so that it can be written again."""
    low = found if parameter.minimum is None else parameter.minimum
    high = found if parameter.maximum is None else parameter.maximum
    limit = max(low, min(found, high))
    return limit if limit != found and same_value(parameter, limit, found) else found
