"""How long a scan of 1000 float32 takes over a long way: the product's station through a delaying proxy to libmodbus' server.

A scan cannot be faster than its requests allow: ceil(blocks / window) round trips. The round trip is that of single requests
through the same proxy in the same round.
"""

import contextlib
import functools
import math
import socket
import statistics
import struct
import time
from collections.abc import Callable, Iterator, Mapping

import msgspec

from ald.plant.model import Plant
from ald.plc.plan import plan_reads
from benchmarks import peers
from benchmarks.figures import Figure, in_turn
from benchmarks.master import Scanning, as_the_driver, scanned_plant
from benchmarks.rounds import Benchmark, Options, Round

VALUES = 1000
ROUND_TRIPS_MS = (1, 5, 20)
WINDOWS = (1, 8, 16)
SCANS = 12
PROBES = 40
ALLOWED = 1.15
FIXED_MS = 1.0
PERIOD_NS = 1_000_000
"""Scans follow one another at once: the grid is finer than any of them."""

READ = struct.Struct(">HHHBBHH")
ANSWER_HEAD_BYTES = 9


class Way(msgspec.Struct, frozen=True):
    """One delayed way to the server: the plant at its end for each window, and a bare socket for the round trip."""

    plants: Mapping[int, Plant]
    probe: socket.socket

    @property
    def blocks(self) -> int:
        """Requests of one scan."""
        return len(plan_reads(self.plants[1]))

    def round_trip_ms(self, count: int) -> float:
        """Return the median round trip of single reads of 125 registers."""
        return statistics.median(bare_round_trip_ms(self.probe) for _ in range(count))

    def scan_ms(self, window: int, count: int) -> float:
        """Return the median time of a scan."""
        with Scanning(self.plants[window]) as station:
            return statistics.median(station.scan_times_ns(count)) / 1e6


def bare_connection(port: int) -> socket.socket:
    """Return a socket for `bare_round_trip_ms`."""
    connected = socket.create_connection(("127.0.0.1", port))
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def bare_round_trip_ms(connected: socket.socket, registers: int = 125) -> float:
    """Return how long one read of registers takes, as short as Python can make it."""
    begin_ns = time.monotonic_ns()
    connected.sendall(READ.pack(1, 0, 6, 1, 3, 0, registers))
    missing = ANSWER_HEAD_BYTES + 2 * registers
    while missing:
        missing -= len(connected.recv(missing))
    return (time.monotonic_ns() - begin_ns) / 1e6


@contextlib.contextmanager
def ready(options: Options) -> Iterator[Round]:
    scans, probes = (max(3, int(number * options.scale)) for number in (SCANS, PROBES))
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(peers.server())
        ways = {ms: _way(stack, server, ms) for ms in ROUND_TRIPS_MS}

        def measure(number: int) -> Mapping[str, float]:
            found: dict[str, float] = {}
            for ms, way in ways.items():
                contenders: dict[str, Callable[[], float]] = {
                    f"scan_ms_{ms}_w{window}": functools.partial(way.scan_ms, window, scans)
                    for window in WINDOWS
                }
                contenders[f"rtt_ms_{ms}"] = functools.partial(way.round_trip_ms, probes)
                with as_the_driver():
                    found |= {name: times[0] for name, times in in_turn(number, contenders).items()}
            return {f"excess_ms_w{w}": _excess_ms(found, ways, w) for w in WINDOWS} | found

        yield measure


def _excess_ms(found: Mapping[str, float], ways: Mapping[int, Way], window: int) -> float:
    """Return by how much the worst round trip's scan misses what it may take."""
    return max(
        found[f"scan_ms_{ms}_w{window}"]
        - ALLOWED * math.ceil(way.blocks / window) * found[f"rtt_ms_{ms}"]
        - FIXED_MS
        for ms, way in ways.items()
    )


def _way(stack: contextlib.ExitStack, server: int, round_trip_ms: int) -> Way:
    plants: dict[int, Plant] = {}
    for window in WINDOWS:
        port = stack.enter_context(peers.proxy(server, round_trip_ms / 1e3))
        plants[window] = scanned_plant(port, values=VALUES, window=window, period_ns=PERIOD_NS)
    port = stack.enter_context(peers.proxy(server, round_trip_ms / 1e3))
    return Way(plants=plants, probe=stack.enter_context(bare_connection(port)))


BENCHMARK = Benchmark(
    name="scan",
    title="a scan of 1000 float32 at round trips of 1, 5 and 20 ms, above 1.15 x ceil(blocks / window) x RTT + 1 ms",
    reference="single reads through the same kind of proxy (rtt_ms_...), libmodbus' server in C",
    figures=tuple(
        Figure(name=f"excess_ms_w{window}", unit="ms", bar=0, drift_least=2.0) for window in WINDOWS
    ),
    ready=ready,
)
