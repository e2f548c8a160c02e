"""The frozen description of one machine that every process below the resource models works from.

A `Plant` is made from a Machine resource by `ald.program.compile.machine`, travels to the gateway as JSON, and lies there as
one checksummed file. Everything in it has been validated: names are unique, addresses do not overlap, references resolve.
Durations are nanoseconds, values are in the parameter's unit.
"""

from __future__ import annotations

import enum
import hashlib

import msgspec


class Table(enum.Enum):
    """The four primary tables of Modbus (Modbus Application Protocol V1.1b3, 4.3)."""

    COIL = "coil"
    DISCRETE = "discrete"
    INPUT = "input"
    HOLDING = "holding"

    @property
    def is_bits(self) -> bool:
        """True for the two tables of single bits."""
        return self in (Table.COIL, Table.DISCRETE)


class DataType(enum.Enum):
    """How a value lies in bits or registers."""

    BOOL = "bool"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @property
    def words(self) -> int:
        """Registers taken; 1 for bool, which takes one bit in the bit tables."""
        return {"64": 4, "32": 2}.get(self.value[-2:], 1)


class Order(enum.Enum):
    """The four ways in which devices lay out the bytes A B C D of a 32-bit value (A most significant)."""

    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"


class Mode(enum.Enum):
    """Observe never writes to the PLC, not even a heartbeat."""

    OBSERVE = "Observe"
    CONTROL = "Control"


class SafeAction(enum.Enum):
    """What the safe state does with one valve."""

    CLOSED = "Closed"
    OPEN = "Open"
    KEEP = "Keep"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which machine this is, across installations: (installation, namespace, name), with the uid as history."""

    installation: str
    namespace: str
    name: str
    uid: str


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Where one value lies: table, protocol address from 0, type and byte order.

    `bit` is given for a bool in a register: 0 is the least significant of its 16 bits, 15 the most significant.
    """

    table: Table
    address: int
    type: DataType
    order: Order = Order.ABCD
    bit: int | None = None


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A named PLC value. Engineering value = raw * scale + offset, in `unit`.

    `minimum` and `maximum` bound what may be written; `writable` is False for what a gas, valve or heartbeat owns.
    """

    name: str
    component: str
    point: Point
    unit: str
    scale: float = 1.0
    offset: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    writable: bool = False
    description: str = ""


class TimedPulse(msgspec.Struct, frozen=True, kw_only=True):
    """How the PLC is told to time a pulse itself: `ald.plant.timed_pulse` has the handshake.

    duration: an unsigned integer in holding registers, in counts of `resolution_ns`. trigger: a coil. done: a coil or discrete input.
    """

    duration: Point
    resolution_ns: int
    trigger: int
    done: Point


class Valve(msgspec.Struct, frozen=True, kw_only=True):
    """A valve behind one coil; `max_open_ns` bounds every opening. `timed`: the PLC times its pulses, None: the gateway does."""

    name: str
    number: int
    coil: int
    max_open_ns: int
    timed: TimedPulse | None = None


class Gas(msgspec.Struct, frozen=True, kw_only=True):
    """A gas by a mass flow controller. `setpoint` and `feedback` are names of parameters; the gas owns the set point."""

    name: str
    setpoint: str
    feedback: str | None = None


class ExclusionGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Valves that never open together, and the purge that must lie between two different ones of them.

    A purge counts when its gas is one of `purge_gases` and its flow is at least `minimum_flow` (unit of the gas's set point).
    """

    name: str
    valves: tuple[str, ...]
    purge_gases: tuple[str, ...]
    minimum_purge_ns: int
    minimum_flow: float


class SafeValve(msgspec.Struct, frozen=True, kw_only=True):
    """The safe position of one valve."""

    valve: str
    action: SafeAction


class SafeOutput(msgspec.Struct, frozen=True, kw_only=True):
    """The safe value of one writable parameter or gas set point; None keeps what is there."""

    value: float | None
    parameter: str | None = None
    gas: str | None = None


class SafeState(msgspec.Struct, frozen=True, kw_only=True):
    """Written valves first, then outputs in order."""

    valves: tuple[SafeValve, ...]
    outputs: tuple[SafeOutput, ...]


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """A holding register that the gateway changes every `period_ns`; the PLC closes its valves after `timeout_ns` without."""

    address: int
    period_ns: int
    timeout_ns: int


class InterlockAction(enum.Enum):
    """What a violated interlock does."""

    BLOCK = "Block"
    HOLD = "Hold"
    ABORT = "Abort"


class Interlock(msgspec.Struct, frozen=True, kw_only=True):
    """What must be true of the plant: `permissive` is a condition, violated when it was not true for `for_ns`."""

    name: str
    permissive: str
    for_ns: int
    action: InterlockAction


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """What must be true of the plant before a run starts."""

    name: str
    condition: str


class AddressRange(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses first to last, both included, of one table that the PLC lets be read in one request."""

    table: Table
    first: int
    last: int


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The connection to the PLC and what the PLC allows on it.

    `readable` empty means: gaps of up to `max_gap` addresses may be read over. Shared spaces: FC3 reads what FC4 would, FC1
    what FC2 would, so that blocks of both tables may be merged. `write_spread_ns` is how much the round trip of a write varies, as
    long as too few of them have been measured. `pause_connect_ns`: from the connection to the first request. `pause_request_ns`:
    from any request or answer to the next request.
    """

    host: str
    port: int = 502
    unit: int = 1
    timeout_ns: int = 1_000_000_000
    requests_in_flight: int = 1
    max_registers: int = 125
    max_bits: int = 2000
    max_gap: int = 16
    shared_registers: bool = False
    shared_bits: bool = False
    readable: tuple[AddressRange, ...] = ()
    cycle_ns: int = 10_000_000
    write_spread_ns: int = 2_000_000
    pause_connect_ns: int = 0
    pause_request_ns: int = 0


class Plant(msgspec.Struct, frozen=True, kw_only=True):
    """One machine. `digest(plant)` identifies this version of it end to end."""

    identity: Identity
    generation: int
    link: LinkSettings
    scan_period_ns: int
    max_hold_ns: int
    max_scan_gap_ns: int = 5_000_000_000
    mode: Mode
    parameters: tuple[Parameter, ...]
    valves: tuple[Valve, ...] = ()
    gases: tuple[Gas, ...] = ()
    groups: tuple[ExclusionGroup, ...] = ()
    unrestricted_valves: tuple[str, ...] = ()
    safe_state: SafeState
    heartbeat: Heartbeat | None = None
    allow_without_watchdog: bool = False
    interlocks: tuple[Interlock, ...] = ()
    readiness: tuple[Readiness, ...] = ()


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a scan: a parameter, or the coil of a valve under the name `valve.NAME`."""

    name: str
    component: str
    point: Point
    unit: str
    scale: float
    offset: float


def signals(plant: Plant) -> tuple[Signal, ...]:
    """Return what every scan holds, in order: the parameters as declared, then the valves as declared."""
    of_parameters = tuple(
        Signal(
            name=p.name,
            component=p.component,
            point=p.point,
            unit=p.unit,
            scale=p.scale,
            offset=p.offset,
        )
        for p in plant.parameters
    )
    of_valves = tuple(
        Signal(
            name=f"valve.{v.name}",
            component="valve",
            point=Point(table=Table.COIL, address=v.coil, type=DataType.BOOL),
            unit="",
            scale=1.0,
            offset=0.0,
        )
        for v in plant.valves
    )
    return of_parameters + of_valves


def digest(plant: Plant) -> str:
    """Return the SHA-256 of the plant's canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(msgspec.json.encode(plant, order="deterministic")).hexdigest()
