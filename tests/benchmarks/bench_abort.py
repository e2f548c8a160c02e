"""From the last byte of a stop request to the front until the valves are acknowledged shut, and until all is safe.

The whole gateway with the example reactor at the simulated PLC. The PLC's answers come late on purpose in one half of the
aborts. The request goes over a connection that has served one before, as the operator's has. The clock starts before it is
handed to the kernel, which is earlier than its last byte reaches the front.
"""

import contextlib
import http.client
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ald.records.event import Event, MachineState, SafeStateReached, decode_event
from ald.wire import AbortOrder, FeedBatch
from benchmarks.bench_scan import bare_connection, bare_round_trip_ms
from benchmarks.figures import Figure, quantile
from benchmarks.rounds import Benchmark, Options, Round
from fixtures import processes
from fixtures.played_operator import Operator
from fixtures.processes import Processes
from fixtures.wait import eventually

DELAYS_MS = (0, 5)
ABORTS = 15
"""Aborts at each delay in one round."""

PROBES = 40
PAUSE_S = (0.7, 1.8)
"""Least and most time from the start of a run to its abort, at random: in a purge, or with a valve open."""

VALVE_WRITES = 1
"""The three valves of the example lie side by side, so that one FC15 shuts them."""

WRITES = 3
"""Valves, heater, carrier gas."""

VALVES_FIXED_MS = 5.0
ALL_FIXED_MS = 10.0
SETTLED_S_MAX = 60.0
START_S_MAX = 120.0

RECIPE: dict[str, Any] = {
    "apiVersion": "ald.dev/v1alpha1",
    "kind": "Recipe",
    "metadata": {"name": "abort"},
    "spec": {
        "steps": [
            {"name": "carrier", "set": {"gas": "N2", "value": 20}},
            {"name": "clear", "purge": {"gas": "N2", "flow": 20, "duration": "500ms"}},
            {
                "name": "deposit",
                "loop": {
                    "count": 1000,
                    "steps": [
                        {"name": "tma", "valve": {"valve": "tma", "open": "2s"}},
                        {"name": "purge", "purge": {"gas": "N2", "flow": 20, "duration": "300ms"}},
                    ],
                },
            },
        ]
    },
}


class Gateway:
    """The running system, and what its feed says."""

    def __init__(self, parts: Processes, logger_tls: Path) -> None:
        self._parts = parts
        self._reader = Operator(
            int(parts.front.environment["ALD_HTTPS_PORT"]), logger_tls, parts.operator.plant
        )
        self._position = 0

    def abort_ns(self, pause_s: float) -> tuple[int, int]:
        """Start a run, abort it after a while, and return how long the valves took and how long everything."""
        operator = self._parts.operator
        operator.idle(within_s=SETTLED_S_MAX)
        self._events()
        uid = operator.start(RECIPE)
        time.sleep(pause_s)
        body = msgspec.json.encode(AbortOrder(reason="measured", by="bench"))
        head = f"POST /v1/runs/{uid}/abort HTTP/1.1\r\nHost: front\r\nContent-Length: {len(body)}\r\n\r\n"
        request = head.encode() + body
        connection = self._connected(operator)
        with contextlib.closing(connection):
            connection.request("GET", "/v1/status")
            connection.getresponse().read()
            begin_ns = time.monotonic_ns()
            connection.sock.sendall(request)
            reply = http.client.HTTPResponse(connection.sock)
            reply.begin()
            assert reply.status == 200, reply.read()
            reply.read()
        operator.wait_for(
            lambda s: s.driver is not None and s.driver.state is not MachineState.ABORTING,
            within_s=SETTLED_S_MAX,
        )
        reached: list[SafeStateReached] = []

        def is_on_record() -> bool:
            reached.extend(e for e in self._events() if isinstance(e, SafeStateReached))
            return bool(reached)

        eventually(is_on_record, within_s=SETTLED_S_MAX)
        assert reached[0].confirmed, reached[0].detail
        asked_ns = reached[0].at_ns - reached[0].total_ns
        return asked_ns + reached[0].valves_ns - begin_ns, reached[0].at_ns - begin_ns

    def _events(self) -> list[Event]:
        """Return what came on record since the last call."""
        connection = self._connected(self._reader)
        found: list[Event] = []
        with contextlib.closing(connection):
            while True:
                connection.request("GET", f"/v1/feed?after={self._position}")
                reply = connection.getresponse()
                batch = msgspec.msgpack.decode(reply.read(), type=FeedBatch)
                for record in batch.records:
                    self._position = record.position
                    if record.kind == "event":
                        found.append(decode_event(record.body))
                if self._position >= batch.latest or not batch.records:
                    return found

    def _connected(self, operator: Operator) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", operator._port, context=operator._context, timeout=SETTLED_S_MAX
        )
        connection.connect()
        return connection


@contextlib.contextmanager
def ready(options: Options) -> Iterator[Round]:
    aborts = max(2, int(ABORTS * options.scale))
    probes = max(5, int(PROBES * options.scale))
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ald-bench-")))
        parts = processes.make(directory, dsn="")
        stack.callback(parts.close)
        parts.simulator.start()
        parts.driver.start()
        parts.front.start()
        parts.operator.idle(within_s=START_S_MAX)
        gateway = Gateway(parts, directory / "logger-tls")
        window = parts.operator.plant.link.requests_in_flight

        def measure(number: int) -> Mapping[str, float]:
            pauses = random.Random(number)
            found: dict[str, float] = {}
            for delay_ms in DELAYS_MS:
                parts.simulator.faults(delay_ms=delay_ms)
                probe = stack.enter_context(bare_connection(parts.simulator.port))
                with contextlib.closing(probe):
                    rtt_ms = statistics.median(bare_round_trip_ms(probe, 2) for _ in range(probes))
                times = [gateway.abort_ns(pauses.uniform(*PAUSE_S)) for _ in range(aborts)]
                valves_ms, all_ms = (
                    quantile(column, 0.99) / 1e6 for column in zip(*times, strict=True)
                )
                found |= {
                    f"rtt_ms_{delay_ms}": rtt_ms,
                    f"valves_ms_{delay_ms}": valves_ms,
                    f"all_ms_{delay_ms}": all_ms,
                    f"valves_excess_{delay_ms}": valves_ms - (window + VALVE_WRITES) * rtt_ms,
                    f"all_excess_{delay_ms}": all_ms - (WRITES + 2) * rtt_ms,
                }
            parts.simulator.faults(delay_ms=0)
            return {
                "valves_excess_ms": max(found.pop(f"valves_excess_{d}") for d in DELAYS_MS)
                - VALVES_FIXED_MS,
                "all_excess_ms": max(found.pop(f"all_excess_{d}") for d in DELAYS_MS)
                - ALL_FIXED_MS,
                **found,
            }

        yield measure


BENCHMARK = Benchmark(
    name="abort",
    title="from a stop request until the valves are acknowledged shut (p99), and until all is safe",
    reference="single reads of the simulated PLC over a connection of their own (rtt_ms_...)",
    figures=(
        Figure(name="valves_excess_ms", unit="ms", bar=0, drift_least=5.0),
        Figure(name="all_excess_ms", unit="ms", bar=0, drift_least=10.0),
    ),
    ready=ready,
    rounds=5,
)
