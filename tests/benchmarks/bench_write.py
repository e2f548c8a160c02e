"""How long a valve write takes while 1000 parameters are scanned at 10 Hz: at worst the requests in flight, and its own way.

No edge is announced, so that no scan keeps clear of the write: this is the worst that an abort or a command meets.
"""

import contextlib
import random
import statistics
import time
from collections.abc import Iterator, Mapping

from ald.engine.effects import Coils, Lane, Write
from ald.plant.model import Plant
from benchmarks import peers
from benchmarks.bench_scan import bare_connection, bare_round_trip_ms
from benchmarks.figures import Figure, quantile
from benchmarks.master import Scanning, as_the_driver, scanned_plant
from benchmarks.rounds import Benchmark, Options, Round

VALUES = 1000
ROUND_TRIP_MS = 5
WINDOWS = (1, 4, 16)
PERIOD_NS = 100_000_000
WRITES = 200
PROBES = 40
PAUSE_MS = (1.0, 40.0)
"""Least and most time between two writes, at random, so that they come at any moment of a scan."""

FIXED_MS = 1.0
COIL = 8


@contextlib.contextmanager
def ready(options: Options) -> Iterator[Round]:
    writes, probes = (max(10, int(number * options.scale)) for number in (WRITES, PROBES))
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(peers.server())
        plants: dict[int, Plant] = {}
        for window in WINDOWS:
            port = stack.enter_context(peers.proxy(server, ROUND_TRIP_MS / 1e3))
            plants[window] = scanned_plant(
                port, values=VALUES, window=window, period_ns=PERIOD_NS, valves=(("tma", COIL),)
            )
        port = stack.enter_context(peers.proxy(server, ROUND_TRIP_MS / 1e3))
        probe = stack.enter_context(bare_connection(port))

        def measure(number: int) -> Mapping[str, float]:
            pauses = random.Random(number)
            found: dict[str, float] = {}
            with as_the_driver():
                rtt_ms = statistics.median(bare_round_trip_ms(probe) for _ in range(probes))
                shift = number % len(WINDOWS)
                for window in WINDOWS[shift:] + WINDOWS[:shift]:
                    times = _write_times_ms(plants[window], writes, pauses)
                    found[f"p50_ms_w{window}"] = quantile(times, 0.5)
                    found[f"p99_ms_w{window}"] = quantile(times, 0.99)
            excess = max(found[f"p99_ms_w{w}"] - (w + 1) * rtt_ms - FIXED_MS for w in WINDOWS)
            return {"p99_excess_ms": excess, "rtt_ms": rtt_ms, **found}

        yield measure


def _write_times_ms(plant: Plant, count: int, pauses: random.Random) -> list[float]:
    """Return how long each write took from being asked for to its acknowledgement."""
    times: list[float] = []
    with Scanning(plant) as station:
        for token in range(1, count + 1):
            station.wait(time.monotonic_ns() + int(pauses.uniform(*PAUSE_MS) * 1e6))
            target = Coils(address=COIL, bits=(token % 2 == 1,))
            begin_ns = time.monotonic_ns()
            answer = station.write(Write(token=token, lane=Lane.RECIPE, target=target))
            times.append((answer.acked_ns - begin_ns) / 1e6)
    return times


BENCHMARK = Benchmark(
    name="write",
    title="a valve write during a scan of 1000 float32 at 10 Hz, above (requests in flight + 1) x RTT + 1 ms",
    reference="single reads through the same kind of proxy (rtt_ms), libmodbus' server in C",
    figures=(Figure(name="p99_excess_ms", unit="ms", bar=0, drift_least=3.0),),
    ready=ready,
    rounds=5,
)
