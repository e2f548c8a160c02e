"""How exactly valve edges leave: software-timed pulses of four lengths, with and without real-time priority.

The driver as a process at the simulated PLC, whose kernel stamps each write when it arrives: what is measured holds the
way over loopback, too. Meanwhile 1000 parameters are scanned at 10 Hz, and as many processes as there are processors do
nothing but turn. A PLC is another device that has no part in that, so the simulated one goes before them where the host permits.
"""

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from ald.program import model as program
from ald.program.model import Instruction
from ald.records.event import (
    MachineState,
    PulseDone,
    RunEnded,
    RunOutcome,
    WriteOutcome,
)
from ald.standing import RealTime, RealTimeMode
from benchmarks.figures import Figure, Over, quantile
from benchmarks.rounds import Benchmark, Options, Round
from fixtures.driver_process import Driver, plant_of
from fixtures.run_order import order_of
from fixtures.simulator import Simulator
from fixtures.wait import eventually

MS = 1_000_000
COIL = 8
VALUES = 1000
WIDTHS_MS = (25, 50, 200)
PULSES = 200
"""Of each of these lengths in one round."""

SHORTEST_MS = 10
CYCLES = 2000
"""Pulses of the shortest length in one round, in one loop, over which the drift is looked for."""

PAUSE_MS = 15
ENDS = 50
"""Pulses at the beginning and at the end of that loop that are compared."""

START_S_MAX = 60.0
SLACK = 3
"""A run that takes so many times as long as it should has failed."""


class Edge(msgspec.Struct, frozen=True):
    """One pulse: how late its two edges came, and how much wider it was than asked for; all in ms."""

    open_ms: int
    opening: float
    closing: float
    width: float


def machine() -> dict[str, Any]:
    """Return a Machine of 1000 values side by side and one valve that excludes no other."""
    values = [
        {
            "name": f"p.v{number}",
            "table": "holding",
            "address": 2 * number,
            "type": "float32",
            "order": "CDAB",
        }
        for number in range(VALUES)
    ]
    spec = {
        "plc": {"host": "127.0.0.1", "port": 502},
        "mode": "Control",
        "scan": {"period": "100ms"},
        "parameters": values,
        "valves": [{"name": "tma", "number": 1, "coil": COIL, "maximumOpen": "5s"}],
        "unrestrictedValves": ["tma"],
        "safeState": {"valves": [{"valve": "tma", "state": "Closed"}]},
        "allowWithoutWatchdog": True,
    }
    return {
        "apiVersion": "ald.dev/v1alpha1",
        "kind": "Machine",
        "metadata": {"name": "pulses"},
        "spec": spec,
    }


def steps(counts: tuple[tuple[int, int], ...]) -> tuple[Instruction, ...]:
    """Return a loop of pulse and pause for each (length in ms, count), one after the other."""
    made: list[Instruction] = [program.Wait(path="p", name="calm", duration_ns=500 * MS)]
    for open_ms, count in counts:
        begin = len(made)
        made += [
            program.Loop(path="p", name="loop", count=count, depth=0, end=begin + 3),
            program.Pulse(path="p", name="pulse", valve="tma", open_ns=open_ms * MS),
            program.Wait(path="p", name="pause", duration_ns=PAUSE_MS * MS),
            program.EndLoop(begin=begin),
        ]
    return tuple(made)


class Bench:
    """One simulator, and a driver for each measurement."""

    def __init__(self, directory: Path) -> None:
        file = directory / "machine.yaml"
        file.write_text(yaml.safe_dump(machine()))
        self.simulator = Simulator(machine_file=file, log_file=directory / "simulator.log", seed=1)
        self._directory = directory
        self._numbers = itertools.count(1)

    def pulses(
        self, mode: RealTimeMode, counts: tuple[tuple[int, int], ...]
    ) -> tuple[bool, list[Edge]]:
        """Run so many pulses of each length; tell whether real-time priority was granted, and how the edges came."""
        directory = self._directory / f"driver-{next(self._numbers)}"
        directory.mkdir()
        driver = Driver(directory=directory, more={"ALD_REAL_TIME": mode.value})
        with contextlib.ExitStack() as stack:
            stack.callback(driver.stop)
            driver.start()
            plant = plant_of(self.simulator.machine_file, self.simulator.port)
            error = driver.load(plant).error
            assert error is None, error
            driver.reaches(MachineState.IDLE, within_s=START_S_MAX)
            # No run starts before the first scan.
            eventually(lambda: driver.status().scan.sequence > 0, within_s=START_S_MAX)
            told = driver.status().real_time
            self.simulator.reset_trace()
            stack.enter_context(busy())
            leaves = 1 + 2 * sum(count for _, count in counts)
            total_ms = sum(count * (open_ms + PAUSE_MS) for open_ms, count in counts)
            error = driver.run(order_of(plant, steps(counts), leaves)).error
            assert error is None, error
            ended = driver.wait_for(RunEnded, within_s=START_S_MAX + SLACK * total_ms / 1e3)
            assert ended[0].outcome is RunOutcome.COMPLETED, ended[0].message
            return told is not None and told.state is RealTime.GRANTED, self._edges(driver)

    def _edges(self, driver: Driver) -> list[Edge]:
        stamps = [
            (bool(write["values"][0]), write["received_ns"])
            for write in self.simulator.writes()
            if write["address"] == COIL
        ]
        begin = next(i for i, (is_open, _) in enumerate(stamps) if is_open)
        done = driver.of(PulseDone)
        found = []
        for number, pulse in enumerate(done):
            assert pulse.outcome is WriteOutcome.CONFIRMED
            (is_open, opened_ns), (is_still_open, closed_ns) = stamps[begin + 2 * number :][:2]
            assert is_open
            assert not is_still_open
            width_ns = closed_ns - opened_ns - pulse.open_ns
            closing_ns = closed_ns - pulse.opened_sent_ns - pulse.open_ns
            opening_ns = opened_ns - pulse.due_ns
            found.append(Edge(pulse.open_ns // MS, opening_ns / MS, closing_ns / MS, width_ns / MS))
        return found


_TURN = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(10**6):
        pass
"""
"""Ends by itself when its parent is killed."""


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Keep every processor turning."""
    turning = [subprocess.Popen([sys.executable, "-c", _TURN]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in turning:
            process.kill()
            process.wait()


def _late(edges: list[Edge]) -> list[float]:
    return [ms for edge in edges for ms in (edge.opening, edge.closing)]


def _drift_ms(edges: list[Edge]) -> float:
    """Return how much later the last openings of the long loop came than the first, by their medians."""
    opened = [edge.opening for edge in edges if edge.open_ms == SHORTEST_MS]
    few = min(ENDS, len(opened) // 2)
    return abs(quantile(opened[-few:], 0.5) - quantile(opened[:few], 0.5))


@contextlib.contextmanager
def ready(options: Options) -> Iterator[Round]:
    pulses, cycles = (max(4, int(number * options.scale)) for number in (PULSES, CYCLES))
    counts = ((SHORTEST_MS, cycles), *((width, pulses) for width in WIDTHS_MS))
    fewer = tuple((width, pulses) for width in (SHORTEST_MS, *WIDTHS_MS))
    with contextlib.ExitStack() as stack:
        bench = Bench(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ald-bench-"))))
        stack.callback(bench.simulator.stop)
        bench.simulator.start()
        with contextlib.suppress(PermissionError):
            # Below the driver's own priority, so that it takes nothing from that.
            os.sched_setscheduler(bench.simulator.pid, os.SCHED_RR, os.sched_param(1))

        def measure(number: int) -> Mapping[str, float]:
            modes = [(RealTimeMode.TRY, counts), (RealTimeMode.OFF, fewer)]
            found = {m: bench.pulses(m, c) for m, c in (modes if number % 2 else modes[::-1])}
            is_granted, edges = found[RealTimeMode.TRY]
            late = _late(edges)
            without = _late(found[RealTimeMode.OFF][1])
            return {
                "edge_p50_ms": quantile(late, 0.5),
                "edge_p99_ms": quantile(late, 0.99),
                "early": float(sum(ms < 0 for ms in late)),
                "width_p99_ms": quantile([abs(edge.width) for edge in edges], 0.99),
                "drift_ms": _drift_ms(edges),
                "degraded_p99_ms": quantile(without, 0.99),
                "degraded_p50_ms": quantile(without, 0.5),
                "degraded_early": float(sum(ms < 0 for ms in without)),
                "width_least_ms": min(edge.width for edge in edges),
                "edge_most_ms": max(late),
                "granted": float(is_granted),
            }

        yield measure


BENCHMARK = Benchmark(
    name="pulse",
    title="valve edges at the PLC after their deadlines, every processor kept busy, with real-time priority",
    reference="the same without real-time priority (degraded_...); granted says whether the host gave it",
    figures=(
        Figure(name="edge_p50_ms", unit="ms", bar=0.2, drift_least=0.1),
        Figure(name="edge_p99_ms", unit="ms", bar=1.0, drift_least=0.5),
        Figure(name="early", over=Over.SUM, bar=0.0),
        Figure(name="width_p99_ms", unit="ms", bar=1.0, drift_least=0.5),
        Figure(name="drift_ms", unit="ms", bar=1.0, drift_least=0.5),
        Figure(name="degraded_p99_ms", unit="ms", drift=1.0, drift_least=5.0),
    ),
    ready=ready,
    rounds=5,
)
