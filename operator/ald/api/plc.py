"""The part of a Machine that says where its PLC is, and what that allows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ald.api.fields import Address, Duration, Flag, Integer, Model, Within

Table = Literal["coil", "discrete", "input", "holding"]


class Limits(Model):
    """How much the PLC lets be read in one request."""

    max_registers: Integer = Field(
        125, ge=1, le=125, description="Registers in one read request at most."
    )
    max_bits: Integer = Field(
        2000, ge=1, le=2000, description="Coils or discrete inputs in one read request at most."
    )
    max_gap: Integer = Field(
        16,
        ge=0,
        le=125,
        description="Addresses without a parameter that a merged read may span. 0 where the PLC refuses gaps.",
    )


class AddressRange(Model):
    """Addresses that may be read together."""

    table: Table = Field(description="Which table the range lies in.")
    first: Address = Field(description="First address of the range.")
    last: Address = Field(description="Last address of the range, included.")


class Pauses(Model):
    """Pauses that the PLC needs; none unless its manual asks for them."""

    after_connect: Annotated[Duration, Within("0ms", "10s")] = Field(
        "0ms", description="From the connection to the first request, 0ms to 10s."
    )
    between_requests: Annotated[Duration, Within("0ms", "1s")] = Field(
        "0ms",
        description="From any request or answer to the next request, 0ms to 1s. Valve writes wait for it, too, so it counts"
        " for the shortest pulse of a run.",
    )


class PLC(Model):
    """The connection to the PLC, and what the PLC allows on it."""

    host: str = Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$",
        max_length=253,
        description="Host name or address of the PLC.",
    )
    port: Integer = Field(502, ge=1, le=65535, description="TCP port of Modbus on the PLC.")
    unit: Integer = Field(1, ge=0, le=255, description="Modbus unit identifier.")
    timeout: Annotated[Duration, Within("10ms", "30s")] = Field(
        "1s",
        description="How long to wait for an answer, 10ms to 30s. After it the link is made anew.",
    )
    requests_in_flight: Integer = Field(
        1,
        ge=1,
        le=16,
        description="Requests sent before the first is answered. 1 unless the PLC is known to queue.",
    )
    limits: Limits = Field(
        default_factory=Limits, description="How much may be read in one request."
    )
    readable: tuple[AddressRange, ...] = Field(
        (),
        max_length=64,
        description="Ranges that may be read whole. Empty: gaps up to limits.maxGap are read over.",
    )
    shared_registers: Flag = Field(
        default=False,
        description="Input and holding registers are one memory, so that one read may serve both.",
    )
    shared_bits: Flag = Field(
        default=False,
        description="Coils and discrete inputs are one memory, so that one read may serve both.",
    )
    cycle: Annotated[Duration, Within("1ms", "1s")] = Field(
        "10ms",
        description="Scan cycle of the PLC, 1ms to 1s: the uncertainty of every pulse it makes.",
    )
    pauses: Pauses = Field(default_factory=Pauses, description="Pauses that the PLC needs.")
    write_spread: Annotated[Duration, Within("0ms", "10s")] = Field(
        "2ms",
        description="How much the time from a write to its acknowledgement varies at worst, 0ms to 10s. Counts for the"
        " shortest pulse of a run until the gateway has measured 100 writes.",
    )
