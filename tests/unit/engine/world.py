"""A world for the engine on virtual time: a PLC with a fixed round trip, scans on a grid, faults on request."""

import heapq
import itertools
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from ald.engine.effects import (
    CancelWrites,
    Coils,
    Effect,
    Exit,
    Journal,
    Look,
    Reservation,
    Reserve,
    UsePlant,
    Write,
)
from ald.engine.inputs import (
    AbortAsked,
    Answered,
    Input,
    LinkDown,
    LinkUp,
    Looked,
    OpenRun,
    PlantGiven,
    Reserved,
    RunGiven,
    Scanned,
    Sent,
    Started,
    Tick,
    WatchdogSeen,
)
from ald.engine.state import State
from ald.engine.step import step
from ald.engine.wake import edge_ns, wake_ns
from ald.plant.model import Plant, Table, digest, signals
from ald.plant.words import decode
from ald.records.event import Event, PulseDone, RunEnded, RunOutcome
from ald.records.scan import Quality, Scan
from unit.engine import world_timers
from unit.engine.programs import MS, PLANT, UID, S, compiled, order

KIND = TypeVar("KIND")


class World:
    """The engine, a PLC and a clock. `at` runs things later; `fates` decides what becomes of a write; `found` is more of `Started`."""

    def __init__(
        self,
        plant: Plant | None = PLANT,
        *,
        round_trip_ns: int = 3 * MS,
        late_ns: int = 0,
        follow_flow: bool = True,
        open_run: OpenRun | None = None,
        **found: Any,
    ) -> None:
        self.now = 1000 * S
        self.round_trip_ns = round_trip_ns
        self.late_ns = late_ns
        self.follow_flow = follow_flow
        self.connected = False
        self.state = State()
        self.inputs: list[Input] = []
        self.journal: list[Event] = []
        self.log: list[object] = []
        self.trace: list[tuple[int, int, bool]] = []
        self.coils: dict[int, bool] = dict.fromkeys(range(32), False)
        self.words: dict[int, int] = dict.fromkeys(range(200), 0)
        self.overrides: dict[str, float | None] = {}
        self.fates: list[Callable[[Write], str | None]] = []
        self.exited = False
        self.scanning = True
        self.scan_takes_ns = 2 * MS
        self.has_disk = True
        self.disk_takes_ns = 10 * MS
        self.reservations: list[Reservation] = []
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._flying: dict[int, Write] = {}
        self._withdrawn: set[int] = set()
        self._busy_until = 0
        self._sequence = 0
        # The PLC's timers: what became of each pulse, and whether they see triggers and end.
        self.timers: dict[str, int] = {}
        self.is_deaf = False
        self.is_stuck = False
        self.bits: dict[int, bool] = dict.fromkeys(range(32), False)
        self.stubborn: dict[int, int] = {}
        self.unreadable: set[int] = set()
        self.plant = plant
        self.give(
            Started(
                at_ns=self.now,
                session="s",
                version="0",
                wall_offset_ns=5000 * S,
                plant=plant,
                open_run=open_run,
                **found,
            )
        )

    # What a test does.

    def ready(self) -> "World":
        """Connect, confirm, beat, read: Idle."""
        assert self.plant is not None
        self.connect()
        known = digest(self.plant)
        self.give(PlantGiven(at_ns=self.now, plant=self.plant, plant_digest=known, confirmed=True))
        self.give(WatchdogSeen(at_ns=self.now, ok=True))
        self.run_for(250 * MS)
        return self

    def start(self, *steps, cleanup=(), uid: str = UID) -> "World":
        assert self.plant is not None
        given = compiled(*steps, cleanup=cleanup, plant=self.plant)
        self.give(RunGiven(at_ns=self.now, order=order(given, uid)))
        return self

    def connect(self) -> None:
        self.connected = True
        self.give(LinkUp(at_ns=self.now))
        if self._sequence == 0:
            self.later(self.now, self._scan)

    def abort(self, *, uid: str = UID, by: str = "t", reason: str = "r") -> None:
        self.give(AbortAsked(at_ns=self.now, uid=uid, by=by, reason=reason))

    def disconnect(self) -> None:
        self.connected = False
        flying, self._flying = self._flying, {}
        self.give(LinkDown(at_ns=self.now, message="gone"))
        for token in flying:
            self._answer(token, ok=False, unknown=True, sent_ns=self.now)

    def at(self, in_ns: int, act: Callable[[], None]) -> None:
        self.later(self.now + in_ns, act)

    def run_for(self, duration_ns: int) -> "World":
        end = self.now + duration_ns
        while True:
            wake = wake_ns(self.state)
            due = max(self.now, wake + self.late_ns) if wake is not None else None
            queued = self._queue[0][0] if self._queue else None
            times = [t for t in (due, queued) if t is not None]
            if not times or min(times) > end:
                self.now = end
                return self
            self.now = max(self.now, min(times))
            if queued is not None and queued <= self.now:
                heapq.heappop(self._queue)[2]()
            else:
                self.give(Tick(at_ns=self.now))
                again = wake_ns(self.state)
                assert again is None or again > self.now or again != wake, "the engine spins"
                self._scans_are_possible()

    def run_until_ended(self, within_ns: int = 3600 * S) -> RunEnded:
        end = self.now + within_ns
        while self.state.run is not None:
            assert self.now < end, f"still running: {self.state.run}"
            self.run_for(50 * MS)
        self.run_for(50 * MS)
        return self.events(RunEnded)[-1]

    # What a test looks at.

    def events(self, kind: type[KIND]) -> list[KIND]:
        return [event for event in self.journal if isinstance(event, kind)]

    @property
    def pulses(self) -> list[PulseDone]:
        return self.events(PulseDone)

    @property
    def outcome(self) -> RunOutcome:
        return self.events(RunEnded)[-1].outcome

    @property
    def machine(self) -> str:
        return self.state.machine.value

    def value(self, name: str) -> float:
        assert self.plant is not None
        found = next(p for p in self.plant.parameters if p.name == name)
        if found.point.table is Table.COIL:
            return float(self.coils[found.point.address])
        address = found.point.address
        return decode(found, (self.words[address], self.words[address + 1]))

    @property
    def open_valves(self) -> set[str]:
        assert self.plant is not None
        return {v.name for v in self.plant.valves if self.coils[v.coil]}

    # Inside.

    def give(self, given: Input) -> None:
        self.inputs.append(given)
        self.state, effects = step(self.state, given)
        for effect in effects:
            self.log.append(effect)
            self._do(effect)

    def _do(self, effect: Effect) -> None:
        match effect:
            case Journal(event=event):
                self.journal.append(event)
            case Write():
                self._write(effect)
            case Look():
                self._look(effect)
            case CancelWrites(lane=lane):
                for token, write in list(self._flying.items()):
                    if write.lane is lane:
                        self._withdraw(token)
            case UsePlant(plant=plant):
                self.plant = plant
            case Reserve():
                self._reserve(effect)
            case Exit():
                self.exited = True

    def _reserve(self, wanted: Reserve) -> None:
        if self.has_disk:
            self.at(self.disk_takes_ns, partial(self._reserved, wanted))

    def _reserved(self, wanted: Reserve) -> None:
        self.reservations.append(wanted.reservation)
        made = wanted.reservation
        self.give(Reserved(at_ns=self.now, run=made.run, attempt=made.attempt, cycle=wanted.cycle))

    def _scans_are_possible(self) -> None:
        """An edge that has passed keeps every scan away: there may be none that nobody is about to carry out."""
        edge, wake = edge_ns(self.state), wake_ns(self.state)
        assert edge is None or edge > self.now or (wake is not None and wake <= self.now)

    def later(self, when: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._order), act))

    def _write(self, write: Write) -> None:
        if not self.connected:
            self._answer(write.token, ok=False, unknown=False, sent_ns=0)
            return
        self._flying[write.token] = write
        sent = max(self.now, self._busy_until)
        self._busy_until = sent + self.round_trip_ns
        self.later(sent, lambda: self._sent(write))

    def _withdraw(self, token: int) -> None:
        if self._flying.get(token) is None:
            return
        self._withdrawn.add(token)

    def _sent(self, write: Write) -> None:
        if write.token not in self._flying:
            return
        if write.token in self._withdrawn:
            del self._flying[write.token]
            self._answer(write.token, ok=False, unknown=False, sent_ns=0)
            return
        sent = self.now
        fate = next((f for f in (fate(write) for fate in self.fates) if f is not None), "ok")
        if fate in ("ok", "mute", "unknown"):
            self.later(sent + self.round_trip_ns // 2, lambda: self._arrive(write))
        self.give(Sent(at_ns=self.now, token=write.token, sent_ns=sent))
        if fate in ("mute", "lost"):
            self.later(sent + S, self.disconnect)
        else:
            self.later(sent + self.round_trip_ns, lambda: self._acked(write, sent, fate))

    def _arrive(self, write: Write) -> None:
        if isinstance(write.target, Coils):
            for index, bit in enumerate(write.target.bits):
                self.switch(write.target.address + index, bit)
        else:
            for index, word in enumerate(write.target.words):
                self.words[write.target.address + index] = word

    def switch(self, address: int, bit: bool) -> None:
        was, self.coils[address] = self.coils[address], bit
        if was == bit:
            return
        self.trace.append((self.now, address, bit))
        assert self.plant is not None
        for valve in self.plant.valves:
            if valve.timed is None:
                continue
            if address == valve.timed.trigger and bit and not self.is_deaf:
                self.later(
                    self.now + self.plant.link.cycle_ns, partial(world_timers.pulled, self, valve)
                )
            elif (
                not bit
                and valve.name in self.timers
                and address in (valve.coil, valve.timed.trigger)
            ):
                del self.timers[valve.name]
                self.switch(valve.coil, False)
                self.switch(valve.timed.trigger, False)

    def _look(self, look: Look) -> None:
        sent = max(self.now, self._busy_until)
        self._busy_until = sent + self.round_trip_ns
        found: list[tuple[int, ...] | None] = []
        self.later(sent + self.round_trip_ns // 2, lambda: found.append(self._read(look)))
        self.later(sent + self.round_trip_ns, lambda: self._looked(look, sent, found[0]))

    def _read(self, look: Look) -> tuple[int, ...] | None:
        if look.address in self.unreadable:
            return None
        if look.table is Table.HOLDING:
            words = self.words | self.stubborn
            return tuple(words[look.address + i] for i in range(look.count))
        bits = self.coils if look.table is Table.COIL else self.bits
        return tuple(int(bits[look.address + i]) for i in range(look.count))

    def _looked(self, look: Look, sent: int, found: tuple[int, ...] | None) -> None:
        self.give(
            Looked(
                at_ns=self.now,
                token=look.token,
                values=found if self.connected else None,
                error="",
                sent_ns=sent,
                acked_ns=self.now,
            )
        )

    def _acked(self, write: Write, sent: int, fate: str) -> None:
        if self._flying.pop(write.token, None) is not None:
            unknown = fate == "unknown"
            self._answer(write.token, ok=fate == "ok", unknown=unknown, sent_ns=sent)

    def _answer(self, token: int, *, ok: bool, unknown: bool, sent_ns: int) -> None:
        self.give(
            Answered(
                at_ns=self.now,
                token=token,
                ok=ok,
                unknown=unknown,
                error="" if ok else "refused",
                sent_ns=sent_ns,
                acked_ns=self.now if ok else 0,
            )
        )

    def _scan(self) -> None:
        assert self.plant is not None
        self.later(self.now + self.plant.scan_period_ns, self._scan)
        if not self.connected or not self.scanning:
            return
        if self.follow_flow:
            self.words[1010], self.words[1011] = self.words[10], self.words[11]
        values, qualities = [], []
        for signal in signals(self.plant):
            value = self._signal(signal.name)
            values.append(float("nan") if value is None else value)
            qualities.append(Quality.BAD if value is None else Quality.GOOD)
        self._sequence += 1
        self.give(
            Scanned(
                at_ns=self.now,
                scan=Scan(
                    sequence=self._sequence,
                    started_ns=self.now - self.scan_takes_ns,
                    ended_ns=self.now,
                    wall_ns=self.now,
                    late_ns=0,
                    plant_digest=self.state.plant_digest,
                    run="",
                    values=struct.pack(f"<{len(values)}d", *values),
                    qualities=bytes(qualities),
                ),
            )
        )

    def _signal(self, name: str) -> float | None:
        assert self.plant is not None
        if name in self.overrides:
            return self.overrides[name]
        if name.startswith("valve."):
            return float(name.removeprefix("valve.") in self.open_valves)
        if name == "mfc.flow":
            return self.value("mfc.setpoint")
        if name == "heater.temperature":
            return self.value("heater.setpoint")
        return self.value(name)
