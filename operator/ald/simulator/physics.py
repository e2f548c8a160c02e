"""A reactor in a few exponentials: temperatures, flows and pressure that answer to what the PLC is told.

Which parameter is which is told by the Machine: a gas names its set point and feedback; `X.temperature-set` drives
`X.temperature-read`, while `X.power-on`, if there is one, is on; a parameter nobody writes whose last part begins with
`pressure` is a gauge. Everything else holds what was written, or a constant within its range.
"""

import math
import random
from collections.abc import Iterator, Mapping

import msgspec

from ald.plant.model import Parameter, Plant, Table

AMBIENT_C = 20.0
"""Where heaters without power go, in °C."""

HEATER_TAU_S = 5.0
"""Time constant of a heater; a real one takes minutes, but nobody waits for a simulator."""

FLOW_TAU_S = 0.2
"""Time constant of a mass flow controller."""

PRESSURE_TAU_S = 0.15
"""Time constant of the chamber under its pump."""

PRESSURE_BASE = 10.0
"""Pressure without flow, in the gauge's unit."""

PRESSURE_PER_FLOW = 0.5
"""Pressure per unit of flow."""

PRESSURE_PER_VALVE = 60.0
"""Pressure that a valve would add if it stayed open."""

NOISE = {"temperature": 0.02, "flow": 0.02, "pressure": 0.1}
"""Standard deviation of what sensors add, in the parameter's unit."""


class Follower(msgspec.Struct, frozen=True, kw_only=True):
    """`output` follows `source` with a first-order lag; without `power` it goes to `rest`."""

    source: str
    output: str
    power: str | None
    rest: float
    tau_s: float
    noise: float


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    """What moves by itself."""

    heaters: tuple[Follower, ...]
    flows: tuple[Follower, ...]
    gauges: tuple[str, ...]


def roles(plant: Plant) -> Roles:
    """Return which parameters of a machine are heaters, flows and gauges."""
    names = {p.name for p in plant.parameters}
    heaters = []
    for name in sorted(names):
        owner, _, last = name.rpartition(".")
        if last == "temperature-set" and f"{owner}.temperature-read" in names:
            power = f"{owner}.power-on"
            heaters.append(
                Follower(
                    source=name,
                    output=f"{owner}.temperature-read",
                    power=power if power in names else None,
                    rest=AMBIENT_C,
                    tau_s=HEATER_TAU_S,
                    noise=NOISE["temperature"],
                )
            )
    flows = tuple(
        Follower(
            source=gas.setpoint,
            output=gas.feedback,
            power=None,
            rest=0.0,
            tau_s=FLOW_TAU_S,
            noise=NOISE["flow"],
        )
        for gas in plant.gases
        if gas.feedback is not None
    )
    gauges = tuple(p.name for p in plant.parameters if _is_gauge(p))
    return Roles(heaters=tuple(heaters), flows=flows, gauges=gauges)


def initial(plant: Plant) -> Iterator[tuple[Parameter, float]]:
    """Yield every parameter with its value when the PLC is switched on: off, zero, or a constant within its range.

    Those that are commanded come last, so that they win where a reading is an alias of them.
    """
    owned = {gas.setpoint for gas in plant.gases}
    by_command = sorted(plant.parameters, key=lambda p: p.writable or p.name in owned)
    for parameter in by_command:
        low = -math.inf if parameter.minimum is None else parameter.minimum
        high = math.inf if parameter.maximum is None else parameter.maximum
        wanted = 0.0
        if parameter.name.endswith((".temperature-read", ".temperature-set")):
            wanted = AMBIENT_C
        elif not (parameter.writable or parameter.name in owned or parameter.point.table.is_bits):
            wanted = low + (high - low) / 10 if math.isfinite(high - low) else 0.0
        yield parameter, min(high, max(low, wanted))


class Reactor:
    """The state of everything that moves by itself; time and inputs are arguments, noise is seeded."""

    def __init__(self, plant: Plant, seed: int) -> None:
        self._roles = roles(plant)
        self._random = random.Random(seed)  # noqa: S311 -- noise of a simulation, no secret
        self._bounds = {p.name: (p.minimum, p.maximum) for p in plant.parameters}
        self._followers = self._roles.heaters + self._roles.flows
        self._state = {f.output: f.rest for f in self._followers}
        self._pressure = PRESSURE_BASE

    def advance(self, duration_s: float, inputs: Mapping[str, float], open_valves: int) -> None:
        """Let `duration_s` pass with inputs and valves as they are; exact for any duration."""
        flow = 0.0
        for follower in self._followers:
            powered = follower.power is None or inputs[follower.power] != 0
            target = inputs[follower.source] if powered else follower.rest
            now = self._state[follower.output]
            self._state[follower.output] = _lag(now, target, duration_s / follower.tau_s)
        for follower in self._roles.flows:
            flow += self._state[follower.output]
        target = PRESSURE_BASE + PRESSURE_PER_FLOW * flow + PRESSURE_PER_VALVE * open_valves
        self._pressure = _lag(self._pressure, target, duration_s / PRESSURE_TAU_S)

    @property
    def inputs(self) -> frozenset[str]:
        """Names that `advance` wants to know."""
        return frozenset(
            name for f in self._followers for name in (f.source, f.power) if name is not None
        )

    def outputs(self) -> dict[str, float]:
        """Return what the sensors show now, with noise, within the range of each parameter."""
        shown = {
            f.output: self._shown(f.output, self._state[f.output], f.noise) for f in self._followers
        }
        for gauge in self._roles.gauges:
            shown[gauge] = self._shown(gauge, self._pressure, NOISE["pressure"])
        return shown

    def _shown(self, name: str, value: float, noise: float) -> float:
        low, high = self._bounds[name]
        noisy = value + self._random.gauss(0.0, noise)
        return min(
            math.inf if high is None else high, max(-math.inf if low is None else low, noisy)
        )


def _lag(now: float, target: float, time_constants: float) -> float:
    return target + (now - target) * math.exp(-time_constants)


def _is_gauge(parameter: Parameter) -> bool:
    return (
        not parameter.writable
        and parameter.point.table in (Table.INPUT, Table.HOLDING)
        and parameter.point.bit is None
        and parameter.name.rpartition(".")[2].startswith("pressure")
    )
