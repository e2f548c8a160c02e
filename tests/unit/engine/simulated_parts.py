"""Clock and ring of the simulation."""

from __future__ import annotations

import random
from concurrent import futures
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from typing_extensions import override

from ald.engine.effects import Reserve
from ald.engine.inputs import Reserved
from ald.gateway.driver.diary import Diary
from ald.gateway.driver.files import write_reservation
from ald.gateway.driver.plant_file import PlantFile
from ald.records.event import Event
from ald.records.scan import decode_scan, encode_scan
from unit.engine.programs import MS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ald.gateway.driver.memory import RunMemory
    from unit.engine.simulation import Simulation

P = ParamSpec("P")
T = TypeVar("T")

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


class FakeReserver:
    """The volume takes reservations in its own time, and now and then for long none."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self._rng = random.Random(f"disk of {sim.seed} at {sim.now}")
        self._wanted: Reserve | None = None
        self._synced_ns = 0

    def ask(self, wanted: Reserve, now_ns: int) -> None:
        self._wanted = wanted
        slow = not self.sim.is_calm and self._rng.random() < 0.05
        self._synced_ns = now_ns + self._rng.randrange((800 if slow else 30) * MS)

    def work(self, now_ns: int, *, is_quiet: bool) -> Reserved | None:
        wanted = self._wanted
        if wanted is None or now_ns < self._synced_ns:
            return None
        self._wanted = None
        made = wanted.reservation
        write_reservation(self.sim.reserved, made)
        return Reserved(at_ns=now_ns, run=made.run, attempt=made.attempt, cycle=wanted.cycle)

    def close(self) -> None:
        pass


class Inline(futures.Executor):
    """Does at once what is left to it: a thread has a clock of its own, and a life has to be lived again from its seed."""

    @override
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> futures.Future[T]:
        done: futures.Future[T] = futures.Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except OSError as error:
            done.set_exception(error)
        return done


def volume(sim: Simulation, memory: RunMemory) -> dict[str, Any]:
    """Return what one more session has on its volume."""
    thread = Inline()
    return {
        "diary": Diary(memory, sim.ledger, len(sim.journal), reserved=sim.reserved, thread=thread),
        "plant_file": PlantFile(sim.directory / "plant.bin", thread=thread),
        "reserver": FakeReserver(sim),
    }


class Clock:
    def __init__(self, sim: Simulation) -> None:
        self.sim = sim

    def monotonic_ns(self) -> int:
        self.sim.advance(self.sim.now + READ_COST_NS + self.sim.stalled_ns())
        return self.sim.now

    def wall_ns(self) -> int:
        return self.sim.now + self.sim.wall_offset_ns
