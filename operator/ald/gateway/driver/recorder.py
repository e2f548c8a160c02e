"""Where events and scans go: the ring. Events come first; when the reader is away for long, scans make room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ald.engine.taken import left_out
from ald.errors import RefusedError, RingFullError
from ald.gateway.ring import EVENT, SCAN, RingWriter
from ald.records.event import Event, InputsTaken, encode_event
from ald.records.scan import Scan, encode_scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ald.kit.lines import Lines

FULL_SHARE = 0.9
"""From here on scans are dropped, and the rest is kept for events."""

INPUTS_SHARE = 0.95
"""From here on what a run was told is left out as well: scans that are not on record by themselves would fill the rest."""

ROOM_SHARE = 0.7
"""Down to here the reader must have come before there counts as room again."""


class Recorder:
    """The writer's side of the ring, with its counts."""

    def __init__(self, ring: RingWriter, log: Lines) -> None:
        self._ring = ring
        self._log = log
        self._wanted_bytes = 0
        self.has_room = True
        self.dropped_scans = 0

    @property
    def last_record(self) -> int:
        """Sequence of the last record in the ring."""
        return self._ring.sequence

    def events(self, events: Sequence[Event]) -> bool:
        """Put the events of one step on record, all or none; False when there is no room even for them."""
        try:
            self._ring.append_all(EVENT, self._encoded(events))
        except (RingFullError, RefusedError) as error:
            kinds = [type(event).__name__ for event in events]
            self._log.error("events_lost", kinds=kinds, error=str(error))
            return False
        return True

    def _encoded(self, events: Sequence[Event]) -> list[bytes]:
        """Return the records of the events: as many where there is no room for all that they say."""
        records = [encode_event(event) for event in events]
        room = INPUTS_SHARE * self._ring.capacity - self._ring.used
        if sum(map(len, records)) <= room:
            return records
        return [
            encode_event(left_out(event)) if isinstance(event, InputsTaken) else record
            for event, record in zip(events, records, strict=True)
        ]

    def scan(self, scan: Scan) -> bool:
        """Put a scan on record, unless the room is kept for events; False when it is not."""
        if self.has_room:
            try:
                self._ring.append(SCAN, encode_scan(scan))
            except RingFullError:
                pass
            else:
                return True
        self.dropped_scans += 1
        return False

    def check_room(self, *, may_grow: bool) -> bool:
        """Look at how full the ring is; True when `has_room` changed.

        Growing takes as long as the kernel needs to clear the memory: `may_grow` only while no run is on.
        """
        if may_grow and self._wanted_bytes:
            self._grow()
        share = self._ring.used / self._ring.capacity
        had_room = self.has_room
        self.has_room = share < (FULL_SHARE if had_room else ROOM_SHARE)
        return self.has_room is not had_room

    def grow(self, capacity_bytes: int) -> None:
        """Have the ring hold this much, as soon as it may grow."""
        self._wanted_bytes = capacity_bytes

    def has_room_for(self, payload_bytes: int) -> bool:
        """Tell whether a record of this size fits now, and leaves as much as is kept for events."""
        return self._ring.used + payload_bytes < FULL_SHARE * self._ring.capacity

    def _grow(self) -> None:
        try:
            self._ring.grow(self._wanted_bytes)
        except OSError as error:
            # The ring that is there goes on; it holds fewer minutes.
            self._log.error("ring_too_small", wanted=self._wanted_bytes, error=str(error))
        self._wanted_bytes = 0

    def close(self) -> None:
        """Leave the ring to the reader."""
        self._ring.close()
