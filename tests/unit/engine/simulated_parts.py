"""Clock and ring of the simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ald.records.event import Event
from ald.records.scan import decode_scan, encode_scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unit.engine.simulation import Simulation

READ_COST_NS = 20_000


class Crash(BaseException):
    """The executor is killed here and now."""


class BrokenError(AssertionError):
    """A rule was broken."""


class FakeRecorder:
    """The ring, as large as it takes, or full."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.has_room = True

    @property
    def last_record(self) -> int:
        return len(self.sim.journal)

    def events(self, events: Sequence[Event]) -> bool:
        self.sim.clock.monotonic_ns()
        for event in events:
            self.sim.record(event)
        return True

    def scan(self, scan: Any) -> bool:
        if not self.has_room:
            return False
        self.sim.records.append(decode_scan(encode_scan(scan)))
        return True

    def has_room_for(self, payload_bytes: int) -> bool:
        return True

    def check_room(self, *, may_grow: bool) -> bool:
        had, self.has_room = self.has_room, not self.sim.is_full
        return had is not self.has_room

    def grow(self, capacity_bytes: int) -> None:
        pass

    def close(self) -> None:
        pass


class Clock:
    def __init__(self, sim: Simulation) -> None:
        self.sim = sim

    def monotonic_ns(self) -> int:
        self.sim.advance(self.sim.now + READ_COST_NS + self.sim.stalled_ns())
        return self.sim.now

    def wall_ns(self) -> int:
        return self.sim.now + self.sim.wall_offset_ns
