"""What a cycle costs the engine, and whether the hundred-thousandth costs more than the tenth: no I/O, virtual time."""

import contextlib
import gc
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from ald.engine.effects import Journal, Reserve, Write
from ald.engine.inputs import (
    Answered,
    Input,
    LinkUp,
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
from ald.engine.wake import wake_ns
from ald.plant.model import Plant, Table, digest, signals
from ald.program import model as program
from ald.program.model import Estimate, Program
from ald.records.event import RunEnded, RunIdentity
from ald.records.scan import Quality, Scan
from ald.wire import PROTOCOL, RunOrder
from benchmarks.figures import Better, Figure, Over
from benchmarks.rounds import Benchmark, Options, Round
from fixtures.plants import parameter, plant

SHORT = 10
LONG = 100_000
REPEATS = 200
"""Pairs of short runs, half of them before the long one and half of them after it."""

MS = 1_000_000
ROUND_TRIP_NS = 2 * MS
SCAN_NS = 100 * MS
PLANT: Plant = plant(
    parameter("gauge.pressure", Table.HOLDING, 0), valves=(("tma", 8), ("water", 9))
)
DIGEST = digest(PLANT)


class Bench:
    """The engine with a PLC that answers everything after one round trip."""

    def __init__(self) -> None:
        self.now = 10**12
        self.inputs = 0
        self.has_ended = False
        self._state = State()
        self._scan_ns = self.now
        self._sequence = 0
        self._runs = 0
        self._writes: list[Write] = []
        self._reserves: list[Reserve] = []
        self._give(
            Started(
                at_ns=self.now,
                session="s",
                version="0",
                wall_offset_ns=0,
                plant=PLANT,
                open_run=None,
            )
        )
        self._give(LinkUp(at_ns=self.now))
        self._give(
            PlantGiven(at_ns=self.now, plant=PLANT, plant_digest=digest(PLANT), confirmed=True)
        )
        self._give(WatchdogSeen(at_ns=self.now, ok=True))
        for _ in range(20):
            self._scan()
            self._settle()

    def us_a_run(self, cycles: int) -> float:
        """Run so many cycles and return how long the processor was at it."""
        self._runs += 1
        order = self._order(cycles)
        self.has_ended = False
        begin_ns = time.thread_time_ns()
        self._give(RunGiven(at_ns=self.now, order=order))
        while not self.has_ended:
            self._settle()
            due_ns = wake_ns(self._state)
            if due_ns is None or due_ns >= self._scan_ns:
                self._scan()
            else:
                self.now = max(self.now, due_ns)
                self._give(Tick(at_ns=self.now))
        return (time.thread_time_ns() - begin_ns) / 1e3

    def _scan(self) -> None:
        self.now = max(self.now, self._scan_ns)
        self._scan_ns = self.now + SCAN_NS
        self._sequence += 1
        count = len(signals(PLANT))
        scan = Scan(
            sequence=self._sequence,
            started_ns=self.now - MS,
            ended_ns=self.now,
            wall_ns=self.now,
            late_ns=0,
            plant_digest=DIGEST,
            run="",
            values=bytes(8 * count),
            qualities=bytes([Quality.GOOD]) * count,
        )
        self._give(Scanned(at_ns=self.now, scan=scan))

    def _settle(self) -> None:
        """Send and answer whatever was written; the volume takes what it is told at once."""
        while self._reserves:
            wanted = self._reserves.pop(0)
            made = wanted.reservation
            self._give(
                Reserved(at_ns=self.now, run=made.run, attempt=made.attempt, cycle=wanted.cycle)
            )
        while self._writes:
            write = self._writes.pop(0)
            sent_ns = self.now
            self._give(Sent(at_ns=sent_ns, token=write.token, sent_ns=sent_ns))
            self.now += ROUND_TRIP_NS
            self._give(
                Answered(
                    at_ns=self.now,
                    token=write.token,
                    ok=True,
                    unknown=False,
                    error="",
                    sent_ns=sent_ns,
                    acked_ns=self.now,
                )
            )

    def _give(self, given: Input) -> None:
        self._state, effects = step(self._state, given)
        self.inputs += 1
        for effect in effects:
            match effect:
                case Write():
                    self._writes.append(effect)
                case Reserve():
                    self._reserves.append(effect)
                case Journal(event=RunEnded(outcome=outcome, message=message)):
                    assert outcome.value == "Completed", message
                    self.has_ended = True
                case _:
                    pass

    def _order(self, cycles: int) -> RunOrder:
        instructions = (
            program.Loop(path="p", name="loop", count=cycles, depth=0, end=5),
            program.Pulse(path="p", name="tma", valve="tma", open_ns=40 * MS),
            program.Wait(path="p", name="wait", duration_ns=60 * MS),
            program.Pulse(path="p", name="water", valve="water", open_ns=25 * MS),
            program.Wait(path="p", name="wait", duration_ns=75 * MS),
            program.EndLoop(begin=0),
        )
        made = Program(
            recipe="r",
            recipe_uid="x",
            recipe_generation=1,
            plant_digest=DIGEST,
            inputs={},
            instructions=instructions,
            cleanup=len(instructions),
            estimate=Estimate(leaves=4 * cycles, minimum_ns=0, maximum_ns=0, openings={}),
            separations=(),
        )
        return RunOrder(
            protocol=PROTOCOL,
            run=RunIdentity(
                namespace="lab", name="run", uid=f"00000000-0000-4000-8000-{self._runs:012d}"
            ),
            recipe_source="{}",
            program=made,
            program_digest=program.digest(made),
        )


@contextlib.contextmanager
def ready(options: Options) -> Iterator[Round]:
    long = max(10 * SHORT, int(LONG * options.scale))
    repeats = max(4, int(REPEATS * options.scale))
    bench = Bench()
    bench.us_a_run(10 * SHORT)

    def short_runs() -> tuple[float, float]:
        """Return the medians of runs of `SHORT` cycles and of twice as many."""
        pairs = [(bench.us_a_run(SHORT), bench.us_a_run(2 * SHORT)) for _ in range(repeats // 2)]
        once, twice = zip(*pairs, strict=True)
        return statistics.median(once), statistics.median(twice)

    def measure(_: int) -> Mapping[str, float]:
        gc.collect()
        before = short_runs()
        begin_mib, inputs = _rss_mib(), bench.inputs
        begin_ns = time.monotonic_ns()
        us_long = bench.us_a_run(long)
        took_s = (time.monotonic_ns() - begin_ns) / 1e9
        inputs = bench.inputs - inputs
        gc.collect()
        growth_mib = _rss_mib() - begin_mib
        after = short_runs()
        once, twice = ((before[i] + after[i]) / 2 for i in range(2))
        # What begins and ends a run is in both, and so in neither.
        us_short_cycle = (twice - once) / SHORT
        us_long_cycle = (us_long - once) / (long - SHORT)
        return {
            "events_per_s": inputs / took_s,
            "cost_ratio_100k": us_long_cycle / us_short_cycle,
            "rss_growth_mib": growth_mib,
            "cpu_us_cycle_10": us_short_cycle,
            "cpu_us_cycle_100k": us_long_cycle,
            "cpu_us_event": us_long / inputs,
        }

    yield measure


def _rss_mib() -> float:
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line
    )
    return int(line.split()[1]) / 1024


BENCHMARK = Benchmark(
    name="engine",
    title="cost of a cycle (two pulses, two waits, scans at 10 Hz) in runs of 10 and of 100,000",
    reference="what a run of 20 cycles takes more than one of 10, before and after the long one (cpu_us_cycle_10)",
    figures=(
        Figure(name="events_per_s", unit="1/s", bar=None, better=Better.HIGHER, drift=0.5),
        Figure(name="cost_ratio_100k", bar=1.1, drift=0.1),
        Figure(name="rss_growth_mib", unit="MiB", over=Over.WORST, bar=1.0, drift_least=1.0),
    ),
    ready=ready,
    rounds=5,
)
