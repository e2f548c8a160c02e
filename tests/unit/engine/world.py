"""A world for the engine on virtual time: a PLC with a fixed round trip, scans on a grid, faults on request."""

import heapq
import itertools
import struct
from collections.abc import Callable
from typing import TypeVar

from ald.engine.effects import CancelWrites, Coils, Exit, Journal, UsePlant, Write
from ald.engine.inputs import (
    Answered,
    Input,
    LinkDown,
    LinkUp,
    OpenRun,
    PlantGiven,
    RunGiven,
    Scanned,
    Sent,
    Started,
    Tick,
    WatchdogSeen,
)
from ald.engine.state import State
from ald.engine.step import step
from ald.engine.wake import wake_ns
from ald.plant.model import (
    DataType,
    ExclusionGroup,
    Gas,
    Heartbeat,
    Identity,
    LinkSettings,
    Mode,
    Order,
    Parameter,
    Plant,
    Point,
    SafeAction,
    SafeOutput,
    SafeState,
    SafeValve,
    Table,
    Valve,
    digest,
    signals,
)
from ald.plant.words import decode
from ald.program import model as program
from ald.program.model import Estimate, Instruction, Program
from ald.records.event import Event, PulseDone, RunEnded, RunIdentity, RunOutcome
from ald.records.scan import Quality, Scan
from ald.wire import PROTOCOL, RunOrder

MS = 1_000_000
S = 1_000_000_000
UID = "0f8fad5b-d9cb-469f-a165-70867728950e"
KIND = TypeVar("KIND")


def parameter(name: str, address: int, table: Table = Table.HOLDING, **changes) -> Parameter:
    kind = DataType.BOOL if table.is_bits else DataType.FLOAT32
    point = Point(table=table, address=address, type=kind, order=Order.CDAB)
    fields = {"minimum": 0.0, "maximum": 500.0, "writable": table is Table.HOLDING} | changes
    return Parameter(
        name=name, component=name.split(".", maxsplit=1)[0], point=point, unit="", **fields
    )


PLANT = Plant(
    identity=Identity(installation="i", namespace="n", name="m", uid="u"),
    generation=1,
    link=LinkSettings(host="127.0.0.1", cycle_ns=2 * MS),
    scan_period_ns=100 * MS,
    max_hold_ns=60 * S,
    mode=Mode.CONTROL,
    parameters=(
        parameter("heater.temperature", 0, Table.INPUT),
        parameter("heater.setpoint", 0),
        parameter("heater.power", 0, Table.COIL, minimum=None, maximum=None, writable=True),
        parameter("mfc.flow", 10, Table.INPUT),
        parameter("mfc.setpoint", 10, writable=False),
        parameter("mfc-2.setpoint", 20, writable=False),
    ),
    valves=tuple(
        Valve(name=name, number=i + 1, coil=8 + i, max_open_ns=5 * S)
        for i, name in enumerate(("tma", "water", "spare", "vent"))
    ),
    gases=(
        Gas(name="N2", setpoint="mfc.setpoint", feedback="mfc.flow"),
        Gas(name="Ar", setpoint="mfc-2.setpoint"),
    ),
    groups=(
        ExclusionGroup(
            name="precursors",
            valves=("tma", "water", "spare"),
            purge_gases=("N2", "Ar"),
            minimum_purge_ns=250 * MS,
            minimum_flow=15.0,
        ),
    ),
    unrestricted_valves=("vent",),
    safe_state=SafeState(
        valves=(
            SafeValve(valve="tma", action=SafeAction.CLOSED),
            SafeValve(valve="water", action=SafeAction.CLOSED),
            SafeValve(valve="spare", action=SafeAction.CLOSED),
            SafeValve(valve="vent", action=SafeAction.KEEP),
        ),
        outputs=(
            SafeOutput(parameter="heater.power", value=0.0),
            SafeOutput(gas="N2", value=20.0),
            SafeOutput(parameter="heater.setpoint", value=None),
        ),
    ),
    heartbeat=Heartbeat(address=100, period_ns=500 * MS, timeout_ns=2 * S),
)


def valve(name: str, open_ms: float) -> Instruction:
    return program.Pulse(path="p", name=f"dose-{name}", valve=name, open_ns=int(open_ms * MS))


def purge(ms: float, flow: float = 20.0, gas: str = "N2") -> Instruction:
    return program.Purge(path="p", name="purge", gas=gas, flow=flow, duration_ns=int(ms * MS))


def assign(value: float, parameter: str = "heater.setpoint") -> Instruction:
    return program.Set(path="p", name="assign", parameter=parameter, value=value)


def flow(value: float, gas: str = "N2") -> Instruction:
    return program.Set(path="p", name="flow", gas=gas, value=value)


def ramp(to: float, per_second: float) -> Instruction:
    return program.Ramp(
        path="p", name="ramp", parameter="heater.setpoint", to=to, per_second=per_second
    )


def wait(ms: float) -> Instruction:
    return program.Wait(path="p", name="wait", duration_ns=int(ms * MS))


def wait_for(condition: str, reads: tuple[str, ...], stable_ms: float, timeout_ms: float):
    return program.WaitFor(
        path="p",
        name="settle",
        condition=condition,
        reads=reads,
        stable_ns=int(stable_ms * MS),
        timeout_ns=int(timeout_ms * MS),
    )


def loop(count: int, *body: Instruction | list) -> list:
    """A loop as a nested list, flattened by `compiled`."""
    return [count, *body]


def compiled(*steps, cleanup=(), plant: Plant = PLANT) -> Program:
    instructions: list[Instruction] = []
    leaves = _flatten(steps, instructions, 0)
    start = len(instructions)
    leaves += _flatten(cleanup, instructions, 0)
    return Program(
        recipe="r",
        recipe_uid="x",
        recipe_generation=1,
        plant_digest=digest(plant),
        inputs={},
        instructions=tuple(instructions),
        cleanup=start,
        estimate=Estimate(leaves=leaves, minimum_ns=0, maximum_ns=0, openings={}),
        separations=(),
    )


def _flatten(steps, into: list[Instruction], depth: int) -> int:
    leaves = 0
    for item in steps:
        if not isinstance(item, list):
            into.append(item)
            leaves += 1
            continue
        begin = len(into)
        into.append(program.Loop(path="p", name="loop", count=item[0], depth=depth, end=0))
        leaves += item[0] * _flatten(item[1:], into, depth + 1)
        into.append(program.EndLoop(begin=begin))
        into[begin] = program.Loop(
            path="p", name="loop", count=item[0], depth=depth, end=len(into) - 1
        )
    return leaves


def order(given: Program, uid: str = UID) -> RunOrder:
    return RunOrder(
        protocol=PROTOCOL,
        run=RunIdentity(namespace="n", name="run", uid=uid),
        recipe_source="{}",
        program=given,
        program_digest=program.digest(given),
    )


class World:
    """The engine, a PLC and a clock. `at` runs things later; `fates` decides what becomes of a write."""

    def __init__(
        self,
        plant: Plant | None = PLANT,
        *,
        round_trip_ns: int = 3 * MS,
        late_ns: int = 0,
        open_run: OpenRun | None = None,
        follow_flow: bool = True,
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
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._flying: dict[int, Write] = {}
        self._withdrawn: set[int] = set()
        self._busy_until = 0
        self._sequence = 0
        self.plant = plant
        self.give(
            Started(
                at_ns=self.now,
                session="s",
                version="0",
                wall_offset_ns=5000 * S,
                plant=plant,
                open_run=open_run,
            )
        )

    # What a test does.

    def ready(self) -> "World":
        """Connect, confirm, beat, read: Idle."""
        assert self.plant is not None
        self.connect()
        self.give(
            PlantGiven(
                at_ns=self.now,
                plant=self.plant,
                plant_digest=digest(self.plant),
                confirmed=True,
            )
        )
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
            self._at(self.now, self._scan)

    def disconnect(self) -> None:
        self.connected = False
        flying, self._flying = self._flying, {}
        self.give(LinkDown(at_ns=self.now, message="gone"))
        for token in flying:
            self._answer(token, ok=False, unknown=True, sent_ns=self.now)

    def at(self, in_ns: int, act: Callable[[], None]) -> None:
        self._at(self.now + in_ns, act)

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
            match effect:
                case Journal(event=event):
                    self.journal.append(event)
                case Write():
                    self._write(effect)
                case CancelWrites(lane=lane):
                    for token, write in list(self._flying.items()):
                        if write.lane is lane and token not in self._withdrawn:
                            self._withdraw(token)
                case UsePlant(plant=plant):
                    self.plant = plant
                case Exit():
                    self.exited = True

    def _at(self, when: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._order), act))

    def _write(self, write: Write) -> None:
        if not self.connected:
            self._answer(write.token, ok=False, unknown=False, sent_ns=0)
            return
        self._flying[write.token] = write
        sent = max(self.now, self._busy_until)
        self._busy_until = sent + self.round_trip_ns
        self._at(sent, lambda: self._sent(write))

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
        if fate in ("ok", "mute"):
            self._at(sent + self.round_trip_ns // 2, lambda: self._arrive(write))
        self.give(Sent(at_ns=self.now, token=write.token, sent_ns=sent))
        if fate in ("mute", "lost"):
            self._at(sent + S, self.disconnect)
        else:
            self._at(sent + self.round_trip_ns, lambda: self._acked(write, sent, ok=fate == "ok"))

    def _arrive(self, write: Write) -> None:
        if isinstance(write.target, Coils):
            for index, bit in enumerate(write.target.bits):
                address = write.target.address + index
                if self.coils[address] != bit:
                    self.trace.append((self.now, address, bit))
                self.coils[address] = bit
        else:
            for index, word in enumerate(write.target.words):
                self.words[write.target.address + index] = word

    def _acked(self, write: Write, sent: int, *, ok: bool) -> None:
        if self._flying.pop(write.token, None) is not None:
            self._answer(write.token, ok=ok, unknown=False, sent_ns=sent)

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
        self._at(self.now + self.plant.scan_period_ns, self._scan)
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
                    started_ns=self.now - 2 * MS,
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
