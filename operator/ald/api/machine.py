"""The resource Machine: one reactor behind one PLC."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.config import JsonDict

from ald.api.fields import (
    Address,
    Duration,
    Flag,
    GasName,
    Groups,
    Integer,
    Model,
    Name,
    Number,
    ParameterName,
    Text,
    Unit,
    Within,
)
from ald.api.interlock import Interlock, Readiness
from ald.api.meta import Metadata
from ald.api.plc import PLC, Table

DataType = Literal[
    "bool", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"
]
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
WidthType = Literal["uint16", "uint32"]
Mode = Literal["Observe", "Control"]
SafeAction = Literal["Closed", "Open", "Keep"]


class Scan(Model):
    """How often everything is read."""

    period: Annotated[Duration, Within("20ms", "60s")] = Field(
        "1s", description="Time from one reading of all parameters to the next, 20ms to 60s."
    )


class Parameter(Model):
    """A named value of the PLC. Value = raw * scale + offset, in `unit`."""

    name: ParameterName = Field(
        description="Name as component.parameter in lower kebab case, such as chamber-heater.temperature-read."
    )
    description: Text = Field("", description="What the value means, for people.")
    table: Table = Field(description="Modbus table: coil, discrete, input or holding.")
    address: Address = Field(description="Protocol address, counted from 0.")
    type: DataType = Field(
        description="How the value lies in the registers; bool for coil, discrete, and one bit of a register."
    )
    bit: Integer | None = Field(
        None,
        ge=0,
        le=15,
        description="For a bool in an input or holding register: which bit, 0 the least significant. Read only.",
    )
    order: Order = Field(
        "ABCD", description="Order of bytes in 32 and 64 bits; CDAB is low word first."
    )
    unit: Unit = Field("", description="Unit of the value, such as °C.")
    scale: Number = Field(1.0, description="Factor from raw to unit; not 0.")
    offset: Number = Field(0.0, description="Added after the factor.")
    minimum: Number | None = Field(None, description="Smallest value that may be written.")
    maximum: Number | None = Field(None, description="Largest value that may be written.")
    writable: Flag = Field(
        default=False,
        description="May be written. Only coil and holding; needs minimum and maximum unless bool.",
    )
    alias_of: ParameterName | None = Field(
        None,
        description="Another parameter at the same address, of which this is a read-only twin.",
    )


class WidthRegister(Model):
    """Where the PLC finds how long it is to hold a valve open, as a count."""

    address: Address = Field(description="Holding register, the first one where it takes two.")
    type: WidthType = Field("uint16", description="uint16 or uint32, which takes two registers.")
    order: Order = Field("ABCD", description="Order of bytes; CDAB is low word first.")
    resolution: Annotated[Duration, Within("0.001ms", "1s", cel=False)] = Field(
        "1ms", description="How long one count is, 0.001ms to 1s."
    )


class DoneBit(Model):
    """The bit by which the PLC says that a pulse was carried out."""

    table: Literal["coil", "discrete"] = Field(description="Modbus table: coil or discrete.")
    address: Address = Field(description="Protocol address, counted from 0.")


class TimedPulse(Model):
    """A valve whose pulses the PLC times itself."""

    duration: WidthRegister = Field(description="Register that takes the width of the next pulse.")
    trigger: Address = Field(
        description="Coil whose rising edge begins a pulse; the PLC clears it when the pulse is over."
    )
    done: DoneBit = Field(
        description="Set when a pulse has lasted its whole width; cleared when the next one begins."
    )


class Valve(Model):
    """A valve behind one coil."""

    name: Name = Field(description="Name of the valve in recipes.")
    number: Integer = Field(ge=1, le=1000, description="Number of the valve on the machine.")
    coil: Address = Field(description="Coil that opens the valve.")
    maximum_open: Annotated[Duration, Within("1ms", "24h", cel=False)] = Field(
        description="No opening is longer than this."
    )
    timed_pulse: TimedPulse | None = Field(
        None, description="Registers by which the PLC times every pulse of this valve itself."
    )


class Gas(Model):
    """A gas by a mass flow controller."""

    name: GasName = Field(description="Name of the gas in recipes, such as N2.")
    setpoint: ParameterName = Field(description="Parameter that sets the flow.")
    feedback: ParameterName | None = Field(None, description="Parameter that reads the flow.")


class MinimumPurge(Model):
    """The purge that must lie between two different valves of a group."""

    duration: Annotated[Duration, Within("1ms", "24h", cel=False)] = Field(
        description="How long the purge lasts at least."
    )
    flow: Number = Field(ge=0, description="Flow at least, in the unit of the gas.")


class ExclusionGroup(Model):
    """Valves that never open together."""

    name: Name = Field(description="Name of the group, for messages.")
    valves: tuple[Name, ...] = Field(
        min_length=1,
        max_length=64,
        description="Valves of the group.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    purge_gases: tuple[GasName, ...] = Field(
        min_length=1,
        max_length=32,
        description="Gases whose flow counts as a purge.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    minimum_purge: MinimumPurge = Field(
        description="The purge that must lie between two different valves of the group."
    )


class SafeValve(Model):
    """The safe position of one valve."""

    valve: Name = Field(description="Name of the valve.")
    state: SafeAction = Field(description="Closed, Open, or Keep for where it is.")


class SafeOutput(Model):
    """The safe value of one writable parameter or one gas."""

    exactly_one: ClassVar[Groups] = (("parameter", "gas"), ("value", "keep"))

    parameter: ParameterName | None = Field(None, description="Parameter to write.")
    gas: GasName | None = Field(None, description="Gas whose flow is set.")
    value: Number | None = Field(
        None, description="Value to write, in the unit; 0 or 1 for a coil."
    )
    keep: Literal[True] | None = Field(None, description="Leave the value as it is.")


class SafeState(Model):
    """What is written to make the machine safe: valves first, then outputs in order."""

    valves: tuple[SafeValve, ...] = Field(
        (),
        max_length=64,
        description="One entry for every valve.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["valve"],
        },
    )
    outputs: tuple[SafeOutput, ...] = Field(
        (), max_length=256, description="Other outputs, written in this order."
    )


class Heartbeat(Model):
    """A register that the gateway keeps changing, so that the PLC notices when nobody is in control."""

    address: Address = Field(description="Holding register of 16 bits, used by nothing else.")
    period: Annotated[Duration, Within("50ms", "60s")] = Field(
        "500ms", description="Time between two changes, 50ms to 60s."
    )
    timeout: Annotated[Duration, Within("100ms", "10m")] = Field(
        "2s", description="The PLC closes its valves after this long without a change."
    )


_BY_NAME: JsonDict = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}


class MachineSpec(Model):
    """What the machine is and what it may do."""

    plc: PLC = Field(description="The PLC and how to talk to it.")
    mode: Mode = Field(
        "Observe",
        description="Observe reads only and never writes; Control runs recipes. Change it when the spec is checked.",
    )
    scan: Scan = Field(default_factory=Scan, description="How often all parameters are read.")
    max_hold: Annotated[Duration, Within("1s", "24h")] = Field(
        "10m", description="A run held longer than this is aborted."
    )
    max_scan_gap: Annotated[Duration, Within("100ms", "10m")] | None = Field(
        None,
        description="Without a scan for this long the machine counts as unseen: a run holds before its next step, and every"
        " interlock is violated. At least two scan periods. Without it three periods, at least 5s.",
    )
    parameters: tuple[Parameter, ...] = Field(
        (),
        max_length=1000,
        description="Values of the PLC, at most 1000.",
        json_schema_extra=_BY_NAME,
    )
    valves: tuple[Valve, ...] = Field(
        (), max_length=64, description="Valves behind coils.", json_schema_extra=_BY_NAME
    )
    gases: tuple[Gas, ...] = Field(
        (), max_length=32, description="Gases by mass flow controllers.", json_schema_extra=_BY_NAME
    )
    exclusion_groups: tuple[ExclusionGroup, ...] = Field(
        (),
        max_length=32,
        description="Valves that never open together, and the purge between them. Every valve is in a group or in"
        " unrestrictedValves.",
        json_schema_extra=_BY_NAME,
    )
    unrestricted_valves: tuple[Name, ...] = Field(
        (),
        max_length=64,
        description="Valves that need no exclusion.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    safe_state: SafeState = Field(
        description="What is written to make the machine safe, with an entry for every valve."
    )
    heartbeat: Heartbeat | None = Field(
        None, description="The watchdog of the PLC. Without it runs need allowWithoutWatchdog."
    )
    allow_without_watchdog: Flag = Field(
        default=False,
        description="Allow runs although the PLC would not notice that its gateway is gone.",
    )
    interlocks: tuple[Interlock, ...] = Field(
        (),
        max_length=32,
        description="What must be true of the plant, looked at with every scan.",
        json_schema_extra=_BY_NAME,
    )
    readiness: tuple[Readiness, ...] = Field(
        (),
        max_length=16,
        description="What must be true of the plant before a run starts; a run waits for it, and goes on without it.",
        json_schema_extra=_BY_NAME,
    )


class Machine(Model):
    """One ALD reactor behind one PLC."""

    metadata: Metadata = Field(description="Kubernetes' own metadata.")
    spec: MachineSpec = Field(description="What the machine is and what it may do.")
