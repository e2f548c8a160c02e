"""What the engine wants done, in order: the executor carries out each effect before the next."""

import enum

import msgspec

from ald.plant.model import Plant, Table
from ald.records.event import Event
from ald.wire import Reached


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


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """What the volume is to know of a run: `begun` had begun for certain, and by then leaves_done and pulses; up to `reached` it may come.

    ordinal: leaves that may begin up to there, at most. is_over: it may come to the end of its steps, or is being ended.
    """

    run: str
    attempt: int
    begun: Reached
    reached: Reached
    ordinal: int
    leaves_done: int
    pulses: int
    is_over: bool


class Reserve(msgspec.Struct, frozen=True, kw_only=True):
    """Put this on the volume as soon as nothing else is in the way; `Reserved` comes back with `cycle`. A later one takes its place."""

    cycle: int
    reservation: Reservation


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """Everything is settled: end the process."""


Effect = Journal | Write | Look | CancelWrites | UsePlant | Reserve | Exit
