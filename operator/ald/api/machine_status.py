"""What the operator says of a Machine: its status."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ald.api.fields import Flag, Integer, Message, Model, Number, ObjectName, Timestamp
from ald.api.meta import Condition

State = Literal["Stopped", "Idle", "Execute", "Held", "Aborting", "Aborted"]
MachineConditionType = Literal[
    "Ready",
    "Configured",
    "UpdatePending",
    "Connected",
    "PLCWatchdog",
    "Interlocked",
    "RealTime",
    "ReadyForRun",
    "HistoryCurrent",
]
MachineReason = Literal[
    "Aborted",
    "Accepted",
    "ConditionsMet",
    "ConditionsNotMet",
    "Connected",
    "Disconnected",
    "Fetched",
    "ForeignMaster",
    "GatewayStarting",
    "GatewayUnreachable",
    "Granted",
    "HeartbeatConfigured",
    "IdentityRefused",
    "Interlocked",
    "InterlocksSatisfied",
    "InvalidSpec",
    "NoConditions",
    "NoHeartbeat",
    "NoInterlocks",
    "Observing",
    "Off",
    "Pending",
    "Ready",
    "RecordingFailed",
    "Refused",
    "Replacing",
    "Stalled",
    "Stopped",
    "Terminating",
    "UpToDate",
    "WaitingForPredecessor",
    "WaitingForRun",
]


class MachineCondition(Condition):
    """One fact about a machine."""

    type: MachineConditionType = Field(description="Which fact.")
    reason: MachineReason = Field(description="Why, in one word of a closed list.")


class GatewayStatus(Model):
    """The gateway that serves the machine."""

    session: str = Field("", max_length=64, description="Changes whenever the gateway starts anew.")
    plant_digest: str = Field(
        "", max_length=64, description="Digest of the configuration that the gateway works from."
    )


class LinkStatus(Model):
    """The connection to the PLC."""

    connected: Flag = Field(description="Whether the PLC answers.")
    since: Timestamp | None = Field(None, description="Since when that has been so.")
    worst_valve_wait: Number | None = Field(
        None, ge=0, description="Longest wait of a valve write for the link in this session, in s."
    )


class LastScan(Model):
    """The newest reading of all parameters."""

    sequence: Integer = Field(ge=0, description="Number of the scan in this session.")
    time: Timestamp = Field(description="When it was read.")
    late: Integer = Field(0, ge=0, description="Scans of this session that came late.")


class MachineStatus(Model):
    """What is the case, written by the operator."""

    observed_generation: Integer = Field(0, ge=0, description="Generation of the spec seen last.")
    state: State = Field("Stopped", description="State of the machine after PackML.")
    message: Message = Field("", description="What is going on and what to do, for people.")
    current_run: ObjectName | None = Field(None, description="RecipeRun that has the machine.")
    gateway: GatewayStatus | None = Field(None, description="The gateway that serves the machine.")
    link: LinkStatus | None = Field(None, description="The connection to the PLC.")
    last_scan: LastScan | None = Field(None, description="The newest reading of all parameters.")
    conditions: tuple[MachineCondition, ...] = Field(
        (),
        max_length=16,
        description="Facts about the machine; Ready sums them up.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
