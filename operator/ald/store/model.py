"""What goes into the history, decoded: one batch of one feed."""

import datetime

import msgspec

from ald.plant.model import Identity
from ald.records.event import Event
from ald.records.scan import Scan

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class Undecodable(msgspec.Struct, frozen=True, kw_only=True):
    """A record that cannot be read; it is kept as it is, with the reason."""

    reason: str


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a feed; `body` is its bytes as they came."""

    position: int
    session: str
    kind: str
    body: bytes
    content: Scan | Event | Undecodable


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Records of `feed` behind position `after`, ascending; stored whole or not at all, and once."""

    machine: Identity
    feed: str
    after: int
    items: tuple[Item, ...]

    @property
    def last(self) -> int:
        """The position that the feed has once this is stored."""
        return self.items[-1].position


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """Where a feed stands in the database."""

    machine_id: int
    feed: str
    position: int


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch.

    `position` is the feed's position afterwards. `applied` is False when the feed was elsewhere, so that nothing was stored:
    somebody else had stored it. `gap` counts positions that the feed no longer had; rejected ones went to dead_letters.
    """

    position: int
    applied: bool
    scans: int = 0
    events: int = 0
    samples: int = 0
    rejected: int = 0
    gap: int = 0


def utc(ns: int) -> datetime.datetime:
    """Return UTC nanoseconds since 1970 as PostgreSQL keeps them, in whole microseconds."""
    return _EPOCH + datetime.timedelta(microseconds=ns // 1000)
