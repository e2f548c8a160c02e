"""What a gateway takes of its host: memory of both processes together, processor time, and whether memory grows over hours."""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.figures import Figure
from benchmarks.rounds import Benchmark, Options, Round
from fixtures import processes
from fixtures.played_operator import read
from fixtures.processes import MACHINE_FILE, RECIPE, Processes, cpu_s, memory_kib, only_child

SMALL = 137
"""Parameters of the reactor that the bar speaks of, read at 1 Hz."""

LARGE = 1000
"""Parameters that are read at 10 Hz."""

WATCH_S = 30.0
WATCH_S_MIN = 1.0
START_S_MAX = 120.0

SOAK_PERIOD = "20ms"
SOAK_PULSE_MS = 10
SOAK_PAUSE_MS = 58
"""The example opens a valve about every 3.4 s; this is fifty times as often."""

SOAK_CYCLES = 5000
SOAK_SETTLES = 1 / 6
"""Share of the soak before its slope counts: ten minutes of an hour."""

SAMPLE_S = 5.0
RUN_S_MAX = 1200.0


def machine(parameters: int, period: str, **spec: Any) -> dict[str, Any]:
    """Return the example reactor with so many parameters in all, scanned at this period."""
    document = read(MACHINE_FILE)
    known = document["spec"]["parameters"]
    more = [
        {
            "name": f"extra.v{number}",
            "table": "input",
            "address": 1000 + 2 * number,
            "type": "float32",
            "order": "CDAB",
        }
        for number in range(parameters - len(known))
    ]
    return {
        **document,
        "spec": document["spec"] | {"parameters": known + more, "scan": {"period": period}} | spec,
    }


@contextlib.contextmanager
def system(document: dict[str, Any]) -> Iterator[Processes]:
    """Run simulator, driver and front until the machine is Idle."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ald-bench-")))
        file = directory / "machine.yaml"
        file.write_text(yaml.safe_dump(document, allow_unicode=True))
        parts = processes.make(directory, dsn="", machine_file=file)
        stack.callback(parts.close)
        parts.simulator.start()
        parts.driver.start()
        parts.front.start()
        parts.operator.idle(within_s=START_S_MAX)
        yield parts


def pids(parts: Processes) -> tuple[int, ...]:
    """Return the processes of the gateway: the driver's two, and the front."""
    return parts.driver.pid, only_child(parts.driver.pid), parts.front.pid


def memory_mib(parts: Processes) -> float:
    """Return the memory of the gateway, pages that several share counted once."""
    return sum(memory_kib(pid, "Pss") for pid in pids(parts)) / 1024


def resident_kib(parts: Processes) -> float:
    """Return the resident memory of all processes of the gateway: unlike a share, it does not move as others begin and end."""
    return float(sum(memory_kib(pid) for pid in pids(parts)))


def cpu_share(parts: Processes, watch_s: float) -> float:
    """Return the processor time that the gateway takes, in % of one processor."""
    before, begin = [cpu_s(pid) for pid in pids(parts)], time.monotonic()
    time.sleep(watch_s)
    took_s = sum(cpu_s(pid) for pid in pids(parts)) - sum(before)
    return 100 * took_s / (time.monotonic() - begin)


@contextlib.contextmanager
def ready(options: Options) -> Iterator[Round]:
    watch_s = max(WATCH_S_MIN, WATCH_S * options.scale)

    def measure(number: int) -> Mapping[str, float]:
        found: dict[str, float] = {}
        kinds = [("1hz", SMALL, "1s"), ("10hz_1000", LARGE, "100ms")]
        for name, parameters, period in kinds if number % 2 else kinds[::-1]:
            with system(machine(parameters, period)) as parts:
                # A run first, so that what only a run needs is in memory, too.
                recipe = RECIPE | {"spec": {"steps": RECIPE["spec"]["steps"][:1]}}
                parts.operator.completed(recipe, within_s=RUN_S_MAX)
                found[f"cpu_{name}"] = cpu_share(parts, watch_s)
                found[f"rss_mib_{name}"] = memory_mib(parts)
        return {"rss_mib": found.pop("rss_mib_1hz"), **found}

    yield measure


def soak(options: Options) -> Mapping[str, float]:
    """Watch the memory of a gateway that works hard for a long time."""
    document = machine(SMALL, SOAK_PERIOD)
    group = document["spec"]["exclusionGroups"][0]
    group["minimumPurge"] = {"duration": f"{SOAK_PAUSE_MS}ms", "flow": 15}
    pulse = {"name": "tma", "valve": {"valve": "tma", "open": f"{SOAK_PULSE_MS}ms"}}
    purge = {"name": "purge", "purge": {"gas": "N2", "flow": 20, "duration": f"{SOAK_PAUSE_MS}ms"}}
    recipe = {
        "apiVersion": "ald.dev/v1alpha1",
        "kind": "Recipe",
        "metadata": {"name": "soak"},
        "spec": {
            "timing": {"shortPulses": "Allow"},
            "steps": [
                {"name": "carrier", "set": {"gas": "N2", "value": 20}},
                {"name": "clear", "purge": {"gas": "N2", "flow": 20, "duration": "1s"}},
                {"name": "deposit", "loop": {"count": SOAK_CYCLES, "steps": [pulse, purge]}},
            ],
        },
    }
    samples: list[tuple[float, float]] = []
    with system(document) as parts:
        begin = time.monotonic()
        uid = ""
        while (now_s := time.monotonic() - begin) < options.soak_s:
            driver = parts.operator.status().driver
            if driver is not None and (driver.run is None or driver.run.outcome is not None):
                assert not uid or driver.run is not None, "a run leaves how it ended"
                parts.operator.idle(within_s=START_S_MAX)
                uid = parts.operator.start(recipe)
            if now_s >= options.soak_s * SOAK_SETTLES:
                samples.append((now_s / 3600, resident_kib(parts)))
            time.sleep(min(SAMPLE_S, options.soak_s / 20))
    hours, kib = zip(*samples, strict=True)
    return {"slope_kib_h": statistics.linear_regression(hours, kib).slope}


BENCHMARK = Benchmark(
    name="gateway",
    title="memory and processor time of a gateway: driver and front together",
    reference="none: what is measured is absolute",
    figures=(
        Figure(name="rss_mib", unit="MiB", bar=120.0, drift=0.1),
        Figure(name="cpu_1hz", unit="%", drift_least=2.0),
        Figure(name="cpu_10hz_1000", unit="%", drift_least=5.0),
    ),
    ready=ready,
    rounds=5,
    soak=soak,
    soak_figures=(Figure(name="slope_kib_h", unit="KiB/h", bar=512.0, drift_least=512.0),),
)
