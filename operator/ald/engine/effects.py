"""What the engine wants done, in order: the executor carries out each effect before the next."""

import enum

import msgspec

from ald.plant.model import Plant, Table
from ald.records.event import Event


class Lane(enum.Enum):
    """On which lane of the link a write travels."""

    SAFE = "safe"
    RECIPE = "recipe"


class Coils(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Adjacent coils from `address` on, and what each is to be."""

    address: int
    bits: tuple[bool, ...]


class Words(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Adjacent holding registers from `address` on, and what each is to hold."""

    address: int
    words: tuple[int, ...]


Target = Coils | Words


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """Put this on record before anything that follows is done."""

    event: Event


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """Hand this write to the link; `Sent` and `Answered` come back with `token`."""

    token: int
    lane: Lane
    target: Target


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Read `count` bits or registers now, on the lane of the valves; `Looked` comes back with `token`."""

    token: int
    table: Table
    address: int
    count: int


class CancelWrites(msgspec.Struct, frozen=True, kw_only=True):
    """Take back every write and look of this lane that has not left yet."""

    lane: Lane


class UsePlant(msgspec.Struct, frozen=True, kw_only=True):
    """This plant is the new one: keep it on the volume, connect to its PLC, scan its signals."""

    plant: Plant


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """Everything is settled: end the process."""


Effect = Journal | Write | Look | CancelWrites | UsePlant | Exit
