"""The whole driver but its sockets, on virtual time: executor, station, link and engine against a PLC that loses, delays and dies.

Everything is drawn from one seed. Reading the clock takes time, so a crash can come between any two things that it does.
"""

from __future__ import annotations

import contextlib
import functools
import heapq
import itertools
import random
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from msgspec.structs import replace

from ald.gateway.driver.executor import Executor, Parts
from ald.gateway.driver.memory import RunMemory
from ald.gateway.driver.realtime import Jitter
from ald.kit.lines import Level, Lines
from ald.plant.model import Plant, digest
from ald.plc.link import Link
from ald.program.model import Program
from ald.records.event import (
    Event,
    MachineState,
    PulseOpening,
    StepStarted,
    decode_event,
    encode_event,
)
from ald.records.scan import Scan
from ald.standing import RealTime
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
from unit.engine import simulated_interlocks, simulated_programs, simulated_verbs
from unit.engine.programs import (
    MS,
    PLANT,
    S,
    compiled,
    flow,
    order,
    purge,
    timed,
    valve,
)
from unit.engine.simulated_parts import BrokenError, Clock, Crash, FakeRecorder, volume
from unit.engine.simulated_plc import TIMED, VALVES, Plc
from unit.engine.simulated_rules import MOVED_NS, Rules
from unit.engine.simulated_wire import SOCKET, FakeConnection

SIGNALS, COMMANDS = 6, 7
QUIET_FROM_NS = 5 * S
END_NS = 11 * S


class Simulation:
    """One seed's life of a machine. `play` raises BrokenError where a rule is."""

    def __init__(self, seed: int, directory: Path) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        # Apart from the others, so that what is drawn here changes nothing but the programs.
        self.branches = random.Random(f"branches of {seed}")
        self.now = 1000 * S
        self.start_ns = self.now
        self.wall_offset_ns = 5000 * S
        self.clock = Clock(self)
        self.plc = Plc(self)
        self.rules = Rules(self)
        self.directory, self.ledger = directory, directory / "ledger"
        self.reserved = directory / "reserved"
        self.journal: list[Event] = []
        self.records: list[Event | Scan] = []
        self.requests: list[Any] = []
        self.widest_ns: Counter[str] = Counter()
        self.last_uid = ""
        self.wholes: dict[str, Program] = {}
        self.is_full = self.has_lost_memory = False
        self.troubled_ns = 0
        self.crash_ns: int | None = None
        self.usurped_ns: int | None = None
        self.refuses_beats_until = 0
        self._stall_ns = 0
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
        plant = replace(PLANT, link=link, max_hold_ns=1 * S, scan_period_ns=200 * MS)
        plant = simulated_interlocks.guarded(seed, plant)
        # Apart from the others as well: of half of the machines the PLC times some valves.
        self.is_timed = random.Random(f"timers of {seed}").random() < 0.5
        self.plant = timed(plant, *TIMED) if self.is_timed else plant
        self.kept: Plant | None = self.plant
        self.slow_ns = self.rng.choice((1, 1, 2, 4, 20)) * MS
        self.fault_rate = self.rng.choice((0.0, 0.001, 0.003, 0.01))

    # What the parts ask.

    def require(self, fact: bool, rule: str) -> None:
        if not fact:
            raise BrokenError(f"at {(self.now - self.start_ns) / 1e9:.6f} s: {rule}")

    def chance(self, share: float) -> bool:
        return self.fault_rate > 0 and not self.is_calm and self.rng.random() < share

    @property
    def is_calm(self) -> bool:
        return self.now - self.start_ns > QUIET_FROM_NS

    def trouble(self) -> None:
        self.troubled_ns = self.now

    def stall(self, duration_ns: int) -> None:
        """The process gets no turn for a while: as soon as it looks at the clock again, it is late."""
        self.trouble()
        self._stall_ns = duration_ns

    def stalled_ns(self) -> int:
        stalled, self._stall_ns = self._stall_ns, 0
        return stalled

    def present_run(self) -> str | None:
        run = self.executor._state.run if self.executor is not None else None
        return run.identity.uid if run is not None else None

    def fate(self, pdu: bytes) -> str:
        if pdu[0] == 6 and self.now < self.refuses_beats_until and not self.is_calm:
            return "refuse"
        rate = self.fault_rate * (10 if pdu[0] == 5 else 1)
        if self.is_calm or self.rng.random() >= rate:
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
            if self.executor is not None:
                raise Crash

    def record(self, event: Event) -> None:
        self.rules.record(event)
        self.journal.append(event)
        self.records.append(decode_event(encode_event(event)))
        if self.is_calm or not isinstance(event, PulseOpening | StepStarted):
            return
        if isinstance(event, StepStarted):
            # A set point may have to wait behind a scan, and is to be taken back then.
            if event.step == "set" and self.rng.random() < 0.05:
                self.at(self.now + self.rng.randrange(8 * MS), self.ask_abort)
        elif self.rng.random() < 0.02:
            self.hang_up()  # So that the opening write itself is what shows it.
        elif self.rng.random() < 0.05:
            ways = (self.ask_abort, self.crash, self.stop, self.hang_up)
            within_ns = self.rng.choice((MS // 10, MS, 2 * MS, 8 * MS))
            self.at(self.now + self.rng.randrange(within_ns), self.rng.choice(ways))
        elif self.rng.random() < 0.08:
            self.at(self.now + self.rng.randrange(60 * MS), self.meddle)

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
            is_writable = self.connection is not None and self.connection.is_writable
            writable = [SOCKET] if SOCKET in writing and is_writable else []
            if readable or writable or self.now >= until:
                return readable, writable, []
            next_ns = self._queue[0][0] if self._queue else until
            self.advance(max(self.now, min(next_ns, until, self.crash_ns or until)))

    def heard(self, *_: object) -> bytes:
        """Take the mark of a signal."""
        self._signalled = False
        return b"x"

    def serve(self, ready: list[int], answer: Any, _: object) -> None:
        if COMMANDS in ready:
            asked, self.requests = self.requests, []
            for request in asked:
                self.rules.shown(answer(DriverRequest(id=1, request=request)).status)

    # What happens.

    def ask_run(self) -> None:
        uid = str(uuid.UUID(int=self.rng.getrandbits(128)))
        if self._uids and self.rng.random() < 0.3:
            uid = self.rng.choice(self._uids)
        self._uids.append(uid)
        program = simulated_programs.program(self)
        self.wholes.setdefault(uid, program)
        self.requests.append(StartRun(order=order(program, uid)))

    def ask_plant(self) -> None:
        if self.rng.random() < 0.3:
            self.plant = replace(self.plant, generation=self.plant.generation + 1)
        self.push_plant()

    def push_plant(self) -> None:
        """Hand over the plant as it is."""
        push = PlantPush(protocol=PROTOCOL, plant=self.plant, digest=digest(self.plant))
        self.requests.append(LoadPlant(push=push, confirmed=True))

    def ask_abort(self) -> None:
        self.requests.append(AbortRun(uid="", order=AbortOrder(reason="r", by="t")))
        self.trouble()

    def ask_clear(self) -> None:
        self.requests.append(Clear(order=ClearOrder(by="t", comment="c")))

    def pause(self) -> None:
        self.stall(0 if self.is_calm else self.rng.randrange(300 * MS))

    def hang_up(self) -> None:
        """The connection breaks."""
        if self.connection is not None and self.connection.wire is not None:
            self.connection.wire.die()

    def meddle(self) -> None:
        """Somebody moves a valve at the PLC's own panel: the one that is open, or any."""
        if self.is_calm:
            return
        coil = next(iter(self.plc.opened_ns), self.rng.choice(list(VALVES)))
        self.plc.meddle(coil)
        since_ns, run = self.now, self.present_run()
        self.at(since_ns + MOVED_NS, lambda: self.rules.meddled(coil, since_ns, run))

    def protect(self) -> None:
        """The PLC takes no heartbeat for a while."""
        if not self.is_calm:
            self.refuses_beats_until = self.now + self.rng.randrange(4 * S)

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
        rare = (
            *(self.ask_abort, self.fill, self.stop, self.crash, self.crash, self.clock_step),
            *(
                self.meddle,
                functools.partial(simulated_verbs.usurp, self),
                self.protect,
                self.pause,
                self.plc.stick,
            ),
            *((self.plc.timers.jam, self.plc.timers.deafen) if self.is_timed else ()),
        )
        for when in (300, 1900, 3500):
            self.at(self.start_ns + when * MS, self.ask_plant)
            self.at(self.start_ns + (when + 350) * MS, self.ask_run)
        for _ in range(self.rng.randrange(8)):
            when = self.start_ns + self.rng.randrange(QUIET_FROM_NS)
            self.at(when, self.rng.choice(rare))
            self.at(when + self.rng.randrange(S), self.ask_clear)
        simulated_verbs.schedule(self)
        simulated_interlocks.schedule(self)
        simulated_verbs.schedule_resumes(self)
        self.at(self.start_ns + QUIET_FROM_NS + S, self.ask_abort)
        self.at(self.start_ns + QUIET_FROM_NS, lambda: setattr(self, "is_full", False))
        self.at(self.start_ns + QUIET_FROM_NS + 1, self.plc.tidy_up)
        for after_ns, act in ((0, self.ask_clear), (1, self.ask_plant), (S, self._last_run)):
            self.at(self.start_ns + QUIET_FROM_NS + 3 * S + after_ns, act)
        self.at(self.start_ns + END_NS - S, self.crash)
        while self.now < self.start_ns + END_NS - S:
            self._session()
        self.rules.judge()

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
        recorder: Any = FakeRecorder(self)
        # None of these touches a file or a socket.
        settings: Any = SimpleNamespace(alive="")
        commands: Any = mock.Mock(filenos=lambda: [COMMANDS], serve=self.serve)
        parts = Parts(
            settings=settings,
            clock=self.clock,
            log=Lines(Level.ERROR),
            recorder=recorder,
            **volume(self, memory),
            commands=commands,
            unit_random=self.rng.random,
            signals_fd=SIGNALS,
            jitter=Jitter((RealTime.OFF, "")),
        )
        self._signalled = False
        self.requests.clear()
        with contextlib.suppress(Crash):
            self.executor = Executor(parts, "session", "0")
            self.executor.run(self.kept)
        self.executor = self.connection = self.crash_ns = None
        memory.close()
        self.advance(self.now + self.rng.randrange(20 * MS, 500 * MS))


def again(seed: int) -> str:
    """Return the command that lives this one again."""
    return f"PYTHONPATH=operator:tests .venv/bin/python -m unit.engine.simulation {seed}"


def play(seed: int, life: Callable[[int, Path], Simulation] = Simulation) -> Simulation:
    """Live through one seed."""
    module = "ald.gateway.driver"
    with tempfile.TemporaryDirectory() as directory:
        sim = life(seed, Path(directory))

        def connect(link: Link, _: object) -> FakeConnection:
            sim.connection = FakeConnection(sim, link)
            return sim.connection

        def keep(_: object, plant: Plant) -> None:
            sim.kept = plant

        with (
            mock.patch(f"{module}.station.Connection", connect),
            mock.patch(f"{module}.ready.select", SimpleNamespace(select=sim.select)),
            mock.patch("ald.kit.garbage.gc", mock.MagicMock()),
            mock.patch(f"{module}.executor.os.read", sim.heard),
            mock.patch(f"{module}.plant_file.write_plant", keep),
            mock.patch(f"{module}.executor.alive.stamp"),
            mock.patch(f"{module}.files.os.fsync"),
        ):
            sim.play()
    return sim


if __name__ == "__main__":
    play(int(sys.argv[1]))
