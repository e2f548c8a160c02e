"""The whole driver but its sockets, on virtual time: executor, station, link and engine against a PLC that loses, delays and dies.

Everything that happens is drawn from one seed. Reading the clock takes time and runs what is due, so a crash can come between
any two things that the driver does.
"""

from __future__ import annotations

import heapq
import itertools
import random
import struct
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from msgspec.structs import replace

from ald.errors import LinkDownError
from ald.gateway.driver.diary import Diary
from ald.gateway.driver.executor import Executor, Parts
from ald.gateway.driver.memory import RunMemory
from ald.kit.lines import Level, Lines
from ald.plant.model import Plant, digest
from ald.plc.codec import FrameReader
from ald.plc.link import Link, State
from ald.records.event import (
    Event,
    MachineState,
    PulseDone,
    PulseOpening,
    RunEnded,
    RunStarted,
    StepStarted,
)
from ald.wire import (
    PROTOCOL,
    AbortOrder,
    AbortRun,
    Clear,
    ClearOrder,
    DriverRequest,
    LoadPlant,
    PlantPush,
    StartRun,
)
from unit.engine.programs import MS, PLANT, S, compiled, flow, loop, order, purge, valve, wait

SOCKET, SIGNALS, COMMANDS = 5, 6, 7
READ_COST_NS = 20_000
QUIET_FROM_NS = 5 * S
END_NS = 11 * S
WIDTH_SLACK_NS = 60 * MS
WIDTH_SLACK_FAULTY_NS = 8 * S
VALVES = {v.coil: v for v in PLANT.valves}
GROUP = {v.coil for v in PLANT.valves if v.name in PLANT.groups[0].valves}


class Crash(BaseException):
    """The executor is killed here and now."""


class Broken(AssertionError):
    """A rule was broken."""


class Plc:
    """Coils, registers, a watchdog, and the rules that hold at the valves themselves."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.coils: dict[int, bool] = {}
        self.words = dict.fromkeys(range(2000), 0)
        self.opened_ns: dict[int, int] = {}
        self.opens: Counter[str] = Counter()
        self.last_open: int | None = None
        self.purged_ns = 0
        self.purging_since: int | None = None
        self.beat_ns = 0

    def serve(self, pdu: bytes) -> bytes:
        function, address, count = struct.unpack_from(">BHH", pdu)
        if function in (1, 2):
            bits = sum(self.coils.get(address + i, False) << i for i in range(count))
            data = bits.to_bytes((count + 7) // 8, "little")
            return bytes((function, len(data))) + data
        if function in (3, 4):
            # The feedback of the flow follows its set point at once.
            shift = 0 if function == 3 else 1000
            self.words[1010], self.words[1011] = self.words[10], self.words[11]
            words = [self.words[address + i + shift] for i in range(count)]
            return struct.pack(f">BB{count}H", function, 2 * count, *words)
        if function == 5:
            self.switch(address, is_open=count == 0xFF00)
        elif function == 15:
            mask = int.from_bytes(pdu[6:], "little")
            for index in range(count):
                self.switch(address + index, is_open=bool(mask >> index & 1))
        elif function == 6:
            self.store(address, (count,))
        elif function == 16:
            self.store(address, struct.unpack_from(f">{count}H", pdu, 6))
        return pdu[:5]

    def store(self, address: int, words: tuple[int, ...]) -> None:
        for index, word in enumerate(words):
            self.words[address + index] = word
        assert PLANT.heartbeat is not None
        if address == PLANT.heartbeat.address:
            self.beat_ns = self.sim.now
            self.sim.at(self.sim.now + PLANT.heartbeat.timeout_ns + 1, self.watch)
        high, low = self.words[11], self.words[10]
        rate = struct.unpack(">f", struct.pack(">HH", high, low))[0]
        self._purging(is_on=rate >= PLANT.groups[0].minimum_flow)

    def _purging(self, *, is_on: bool) -> None:
        if self.purging_since is not None:
            self.purged_ns += self.sim.now - self.purging_since
        self.purging_since = self.sim.now if is_on else None

    def watch(self) -> None:
        """Shut all valves when nobody lives."""
        assert PLANT.heartbeat is not None
        if self.sim.now - self.beat_ns > PLANT.heartbeat.timeout_ns:
            for coil in VALVES:
                self.switch(coil, is_open=False)

    def switch(self, coil: int, *, is_open: bool) -> None:
        was = self.coils.get(coil, False)
        self.coils[coil] = is_open
        if coil not in VALVES or was == is_open:
            return
        if is_open:
            self._opened(coil)
        else:
            self._closed(coil)

    def _opened(self, coil: int) -> None:
        sim, name = self.sim, VALVES[coil].name
        self.opened_ns[coil] = sim.now
        self.opens[name] += 1
        recorded = [e for e in sim.journal if isinstance(e, PulseOpening) and e.valve == name]
        sim.require(self.opens[name] <= len(recorded), f"{name} opened without a record of it")
        if coil not in GROUP:
            return
        others = [VALVES[c].name for c in GROUP if c != coil and self.coils.get(c)]
        sim.require(not others, f"{name} opened while {others} is open")
        self._purging(is_on=self.purging_since is not None)
        if self.last_open not in (coil,):
            sim.require(
                self.purged_ns >= PLANT.groups[0].minimum_purge_ns,
                f"{name} opened after a purge of {self.purged_ns} ns only",
            )
        self.last_open = coil
        self.purged_ns = 0

    def _closed(self, coil: int) -> None:
        sim, began = self.sim, self.opened_ns.pop(coil)
        self.purged_ns = 0
        self._purging(is_on=self.purging_since is not None)
        self.purged_ns = 0
        calm = sim.troubled_ns < began - 2 * S
        slack = WIDTH_SLACK_NS if calm else WIDTH_SLACK_FAULTY_NS
        limit = sim.widest_ns[VALVES[coil].name] + slack
        sim.require(
            sim.now - began <= limit, f"{VALVES[coil].name} was open for {sim.now - began} ns"
        )


class Wire:
    """One TCP connection, with what is on its way."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.reader = FrameReader()
        self.inbox: list[bytes] = []
        self.is_dead = False
        self.is_mute = False
        self.arrives_ns = self.returns_ns = self.blocked_until = sim.now

    def send(self, data: bytes) -> int:
        sim = self.sim
        if sim.now < self.blocked_until or self.is_dead:
            return 0
        count = len(data)
        if sim.chance(0.05):
            count = sim.rng.randrange(count)
            self.blocked_until = sim.now + sim.rng.randrange(3 * MS)
            sim.at(self.blocked_until, lambda: None)
        self.arrives_ns = max(self.arrives_ns, sim.now + sim.latency())
        piece = data[:count]
        sim.at(self.arrives_ns, lambda: self._arrive(piece))
        return count

    def _arrive(self, data: bytes) -> None:
        for frame in self.reader.feed(data):
            self._serve(frame.transaction, frame.unit, frame.pdu)

    def _serve(self, transaction: int, unit: int, pdu: bytes) -> None:
        sim = self.sim
        if self.is_mute:
            return
        fate = sim.fate()
        if fate == "mute":
            self.is_mute = True
            if sim.chance(0.5):
                sim.plc.serve(pdu)
            return
        if fate == "reset" and sim.chance(0.5):
            self.die()
            return
        answer = (
            bytes((pdu[0] | 0x80, sim.rng.choice((2, 4, 6))))
            if fate == "refuse"
            else sim.plc.serve(pdu)
        )
        if fate == "reset":
            self.die()
            return
        whole = struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer
        self.returns_ns = max(self.returns_ns, sim.now + sim.latency())
        sim.at(self.returns_ns, lambda: self.inbox.append(whole))

    def die(self) -> None:
        self.is_dead = True
        self.sim.trouble()


class FakeConnection:
    """What `Connection` does, over a `Wire`."""

    def __init__(self, sim: Simulation, link: Link) -> None:
        self.sim, self.link = sim, link
        self.wire: Wire | None = None
        self.ready_ns = 0

    def fileno(self) -> int | None:
        is_there = self.wire is not None or self.link.state is State.CONNECTING
        return SOCKET if is_there else None

    def wants_write(self) -> bool:
        return self.link.state is State.CONNECTING or self.link.has_outgoing

    @property
    def is_readable(self) -> bool:
        return self.wire is not None and bool(self.wire.inbox or self.wire.is_dead)

    @property
    def is_writable(self) -> bool:
        if self.link.state is State.CONNECTING:
            return self.sim.now >= self.ready_ns
        return (
            self.link.has_outgoing
            and self.wire is not None
            and self.sim.now >= self.wire.blocked_until
        )

    def on_readable(self, now_ns: int) -> None:
        if self.wire is not None and self.link.state is State.UP:
            data = b"".join(self.wire.inbox)
            self.wire.inbox.clear()
            if data or self.wire.is_dead:
                self.link.receive(data, now_ns)
        self._drop_if_lost()

    def on_writable(self, now_ns: int) -> None:
        if self.link.state is State.CONNECTING and self.sim.now >= self.ready_ns:
            if self.sim.chance(0.2):
                self.link.lost(LinkDownError("refused"), now_ns)
            else:
                self.wire = Wire(self.sim)
                self.link.opened()
        self.flush(now_ns)

    def flush(self, now_ns: int) -> None:
        self.link.tick(now_ns)
        self._drop_if_lost()
        if self.link.begin_connect(now_ns):
            self.ready_ns = self.sim.now + self.sim.rng.randrange(15 * MS, 30 * MS)
            self.sim.at(self.ready_ns, lambda: None)
        if self.wire is not None and self.link.state is State.UP:
            data = self.link.outgoing(now_ns)
            if data:
                at_ns = self.sim.clock.monotonic_ns()
                count = self.wire.send(data)
                self.link.handed_over(count, at_ns)
        self._drop_if_lost()

    def close(self) -> None:
        self.link.close()
        self._drop_if_lost()

    def _drop_if_lost(self) -> None:
        if self.link.state not in (State.CONNECTING, State.UP) and self.wire is not None:
            self.wire = None


class FakeRecorder:
    """The ring, as large as it takes, or full."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.has_room = True

    @property
    def last_record(self) -> int:
        return len(self.sim.journal)

    def event(self, event: Event) -> bool:
        self.sim.clock.monotonic_ns()
        self.sim.record(event)
        return True

    def scan(self, scan: Any) -> None:
        pass

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
        self.sim.advance(self.sim.now + READ_COST_NS)
        return self.sim.now

    def wall_ns(self) -> int:
        return self.sim.now + self.sim.wall_offset_ns


class Simulation:
    """One seed's life of a machine. `play` raises Broken where a rule is."""

    def __init__(self, seed: int, directory: Path) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.now = 1000 * S
        self.start_ns = self.now
        self.wall_offset_ns = 5000 * S
        self.clock = Clock(self)
        self.plc = Plc(self)
        self.directory = directory
        self.journal: list[Event] = []
        self.requests: list[Any] = []
        self.widest_ns: Counter[str] = Counter()
        self.is_full = False
        self.troubled_ns = 0
        self.crash_ns: int | None = None
        self.connection: FakeConnection | None = None
        self.executor: Executor | None = None
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._uids: list[str] = []
        self._signalled = False
        link = replace(
            PLANT.link,
            requests_in_flight=self.rng.choice((1, 1, 2, 4)),
            timeout_ns=self.rng.choice((200, 500, 1000)) * MS,
        )
        self.plant = replace(PLANT, link=link, max_hold_ns=1 * S, scan_period_ns=200 * MS)
        self.kept: Plant | None = self.plant
        self.slow_ns = self.rng.choice((1, 1, 2, 4)) * MS
        self.fault_rate = self.rng.choice((0.0, 0.001, 0.003, 0.01))

    # What the parts ask.

    def require(self, fact: bool, rule: str) -> None:
        if not fact:
            raise Broken(f"at {(self.now - self.start_ns) / 1e9:.6f} s: {rule}")

    def chance(self, share: float) -> bool:
        return self.fault_rate > 0 and not self.is_calm and self.rng.random() < share

    @property
    def is_calm(self) -> bool:
        return self.now - self.start_ns > QUIET_FROM_NS

    def trouble(self) -> None:
        self.troubled_ns = self.now

    def fate(self) -> str:
        if self.is_calm or self.rng.random() >= self.fault_rate:
            return "ok"
        self.trouble()
        return self.rng.choice(("mute", "reset", "refuse"))

    def latency(self) -> int:
        return self.rng.randrange(self.slow_ns // 4, self.slow_ns)

    def at(self, when: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._order), act))

    def advance(self, until: int) -> None:
        while self._queue and self._queue[0][0] <= until:
            when, _, act = heapq.heappop(self._queue)
            self.now = max(self.now, when)
            act()
        self.now = max(self.now, until)
        if self.crash_ns is not None and self.now >= self.crash_ns:
            self.crash_ns = None
            raise Crash

    def record(self, event: Event) -> None:
        match event:
            case RunStarted(run=run):
                began = [e for e in self.journal if isinstance(e, RunStarted) and e.run == run]
                self.require(not began, "a run was started twice")
            case PulseOpening() | StepStarted():
                same = [
                    e
                    for e in self.journal
                    if type(e) is type(event)
                    and (e.run, e.ordinal) == (event.run, event.ordinal)  # type: ignore[union-attr] -- of one type
                ]
                self.require(not same, "a step or pulse was begun twice")
            case PulseDone():
                of_it = [
                    type(e)
                    for e in self.journal
                    if isinstance(e, PulseOpening | PulseDone)
                    and (e.run, e.ordinal) == (event.run, event.ordinal)
                ]
                self.require(PulseDone not in of_it, "a pulse ended twice")
            case RunEnded(run=run):
                ended = [e for e in self.journal if isinstance(e, RunEnded) and e.run == run]
                self.require(not ended, "a run ended twice")
            case _:
                pass
        self.journal.append(event)

    def select(self, reading: list[int], writing: list[int], _: object, timeout_s: float) -> Any:
        until = self.now + int(timeout_s * 1e9)
        while True:
            readable = [
                number
                for number, is_ready in (
                    (SIGNALS, self._signalled),
                    (COMMANDS, bool(self.requests)),
                    (SOCKET, self.connection is not None and self.connection.is_readable),
                )
                if is_ready and number in reading
            ]
            writable = [SOCKET] if SOCKET in writing and self.connection.is_writable else []  # type: ignore[union-attr] -- polled
            if readable or writable or self.now >= until:
                return readable, writable, []
            next_ns = self._queue[0][0] if self._queue else until
            self.advance(max(self.now, min(next_ns, until, self.crash_ns or until)))

    def serve(self, ready: list[int], answer: Any, _: object) -> None:
        if COMMANDS in ready:
            asked, self.requests = self.requests, []
            for request in asked:
                answer(DriverRequest(id=1, request=request))

    # What happens.

    def program(self) -> Any:
        rng = self.rng
        names = ("tma", "water", "spare", "vent")
        steps = []
        for _ in range(rng.randrange(1, 5)):
            name = rng.choice(names)
            open_ms = rng.choice((5, 20, 40, 300))
            self.widest_ns[name] = max(self.widest_ns[name], open_ms * MS)
            body = [valve(name, open_ms), purge(rng.choice((100, 250, 300)), 20.0)]
            if rng.random() < 0.3:
                body.append(wait(rng.randrange(1, 200)))
            if rng.random() < 0.2:
                body.append(purge(300, rng.choice((15.0, 40.0))))
            steps.append(loop(rng.randrange(1, 6), *body))
        lead = [flow(20.0), purge(300)] if rng.random() < 0.9 else [purge(300)]
        return compiled(*lead, *steps, cleanup=[flow(5.0)], plant=self.plant)

    def ask_run(self) -> None:
        uid = str(uuid.UUID(int=self.rng.getrandbits(128)))
        if self._uids and self.rng.random() < 0.3:
            uid = self.rng.choice(self._uids)
        self._uids.append(uid)
        self.requests.append(StartRun(order=order(self.program(), uid)))

    def ask_plant(self) -> None:
        if self.rng.random() < 0.3:
            self.plant = replace(self.plant, generation=self.plant.generation + 1)
        push = PlantPush(protocol=PROTOCOL, plant=self.plant, digest=digest(self.plant))
        self.requests.append(LoadPlant(push=push, confirmed=True))

    def ask_abort(self) -> None:
        self.requests.append(AbortRun(uid="", order=AbortOrder(reason="r", by="t")))
        self.trouble()

    def ask_clear(self) -> None:
        self.requests.append(Clear(order=ClearOrder(by="t", comment="c")))

    def fill(self) -> None:
        self.is_full = not self.is_full and not self.is_calm

    def stop(self) -> None:
        self.trouble()
        if self.executor is not None:
            self._signalled = True
            self.executor.stop("SIGTERM")

    def crash(self) -> None:
        self.trouble()
        self.crash_ns = self.now + self.rng.randrange(50_000)

    def clock_step(self) -> None:
        self.wall_offset_ns += self.rng.randrange(-3600 * S, 3600 * S)

    def play(self) -> None:
        """Live through it; the machine must come out closed, and fit for another run."""
        rare = (self.ask_abort, self.fill, self.stop, self.crash, self.crash, self.clock_step)
        for when in (300, 1900, 3500):
            self.at(self.start_ns + when * MS, self.ask_plant)
            self.at(self.start_ns + (when + 350) * MS, self.ask_run)
        for _ in range(self.rng.randrange(6)):
            when = self.start_ns + self.rng.randrange(QUIET_FROM_NS)
            self.at(when, self.rng.choice(rare))
            self.at(when + self.rng.randrange(S), self.ask_clear)
        self.at(self.start_ns + QUIET_FROM_NS, lambda: setattr(self, "is_full", False))
        self.at(self.start_ns + QUIET_FROM_NS + 3 * S, self.ask_clear)
        self.at(self.start_ns + QUIET_FROM_NS + 3 * S + 1, self.ask_plant)
        self.at(self.start_ns + QUIET_FROM_NS + 4 * S, self._last_run)
        self.at(self.start_ns + END_NS - S, self.crash)
        while self.now < self.start_ns + END_NS - S:
            self._session()
        self._judge()

    def _last_run(self) -> None:
        assert self.executor is not None
        state = self.executor._state
        self.require(
            state.machine is MachineState.IDLE,
            f"the machine does not come to rest: {state.machine.value}, {state.message}",
        )
        self.last_uid = str(uuid.UUID(int=self.seed))
        self.widest_ns["tma"] = max(self.widest_ns["tma"], 40 * MS)
        made = compiled(flow(20.0), purge(300), valve("tma", 40), plant=self.plant)
        self.requests.append(StartRun(order=order(made, self.last_uid)))

    def _session(self) -> None:
        memory = RunMemory(self.directory / "run.state")
        recorder = FakeRecorder(self)
        parts = Parts(
            settings=SimpleNamespace(plant="", alive=""),
            clock=self.clock,
            log=Lines(Level.ERROR),
            recorder=recorder,
            diary=Diary(memory, self.directory / "ledger", recorder.last_record),
            commands=SimpleNamespace(
                filenos=lambda: [COMMANDS], serve=self.serve, close=lambda: None
            ),
            unit_random=self.rng.random,
            signals_fd=SIGNALS,
        )
        self._signalled = False
        self.requests.clear()
        try:
            self.executor = Executor(parts, "session", "0")
            self.executor.run(self.kept)
        except Crash:
            pass
        self.executor = None
        self.connection = None
        self.crash_ns = None
        memory.close()
        self.advance(self.now + self.rng.randrange(20 * MS, 500 * MS))

    def _judge(self) -> None:
        self.require(not self.plc.opened_ns, f"still open: {self.plc.opened_ns}")
        started = [e.run.uid for e in self.journal if isinstance(e, RunStarted)]
        ended = {e.run: e for e in self.journal if isinstance(e, RunEnded)}
        self.require(sorted(started) == sorted(ended), "a run has no end on record")
        begun = {(e.run, e.ordinal) for e in self.journal if isinstance(e, PulseOpening)}
        done = {(e.run, e.ordinal) for e in self.journal if isinstance(e, PulseDone)}
        self.require(begun == done, f"pulses without an end: {sorted(begun ^ done)}")
        last = ended.get(self.last_uid)
        outcome = last.outcome.value if last is not None else "none"
        self.require(outcome == "Completed", f"the last run ended {outcome}")


def play(seed: int) -> Simulation:
    """Live through one seed."""
    module = "ald.gateway.driver"
    with tempfile.TemporaryDirectory() as directory:
        sim = Simulation(seed, Path(directory))

        def connect(link: Link, _: object) -> FakeConnection:
            sim.connection = FakeConnection(sim, link)
            return sim.connection

        def keep(_: object, plant: Plant) -> None:
            sim.kept = plant

        with (
            mock.patch(f"{module}.station.Connection", connect),
            mock.patch(f"{module}.executor.select", SimpleNamespace(select=sim.select)),
            mock.patch(f"{module}.executor.gc", mock.MagicMock()),
            mock.patch(f"{module}.executor.os.read", lambda *_: setattr(sim, "_signalled", False)),
            mock.patch(f"{module}.executor.write_plant", keep),
            mock.patch(f"{module}.executor.alive.stamp", lambda *_: None),
            mock.patch(f"{module}.files.os.fsync", lambda _: None),
        ):
            sim.play()
    return sim
