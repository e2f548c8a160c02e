"""How exactly pulses are kept from a pod: software-timed pulses of four lengths on the cluster that KUBECONFIG names.

The product must be installed there, with its simulator (`hack/e2e` or `make demo`). A machine of its own is applied beside the
demonstration's, of 1000 parameters scanned at 10 Hz and one valve; its simulator is a pod as well, whose kernel stamps each
write when it arrives. One run with the cluster as it is, one with every processor kept busy by others.
"""

import contextlib
import itertools
import os
import sys
from collections.abc import Iterator, Mapping

from benchmarks import bench_pulse
from benchmarks.figures import Figure, Over, quantile
from benchmarks.rounds import Benchmark, Options, Round
from fixtures.second_machine import second_machine
from fixtures.system import NAMESPACE, Object, System, run_document

MACHINE = "pulses"
SIMULATOR = "pulses-simulator"
WIDTHS_MS = (10, 25, 50, 200)
PULSES = 100
"""Of each of these lengths in one run."""

RUN_S_MAX = 300.0


def machine() -> Object:
    """Return the machine of `bench_pulse` as one of the cluster."""
    found = bench_pulse.machine()
    found["metadata"]["name"] = MACHINE
    found["spec"]["plc"]["host"] = SIMULATOR
    return found


def recipe(count: int) -> Object:
    """Return a recipe of so many pulses of each length, short ones allowed, with pauses between them."""
    pause = {"name": "pause", "wait": {"duration": f"{bench_pulse.PAUSE_MS}ms"}}
    loops = [
        {
            "name": f"of-{width}-ms",
            "loop": {
                "count": count,
                "steps": [
                    {"name": "pulse", "valve": {"valve": "tma", "open": f"{width}ms"}},
                    pause,
                ],
            },
        }
        for width in WIDTHS_MS
    ]
    calm = {"name": "calm", "wait": {"duration": "500ms"}}
    return {
        "apiVersion": "ald.dev/v1alpha1",
        "kind": "Recipe",
        "metadata": {"name": MACHINE},
        "spec": {"timing": {"shortPulses": "Allow"}, "steps": [calm, *loops]},
    }


def errors_ms(writes: list[Object], count: int) -> list[float]:
    """Return how much wider each pulse was than asked for; they came in the order of `WIDTHS_MS`, `count` of each."""
    edges = [
        (bool(write["values"][0]), write["received_ns"])
        for write in writes
        if write["address"] == bench_pulse.COIL
    ]
    # The safe state before the run may have shut the valve that is shut.
    begin = next(i for i, (is_open, _) in enumerate(edges) if is_open)
    wanted = [width for width in WIDTHS_MS for _ in range(count)]
    of_run = edges[begin:][: 2 * len(wanted)]
    assert len(of_run) == 2 * len(wanted), f"{len(of_run)} edges of {len(wanted)} pulses"
    pairs = list(zip(of_run[::2], of_run[1::2], strict=True))
    assert [(a[0], b[0]) for a, b in pairs] == [(True, False)] * len(wanted)
    return [
        (shut_ns - opened_ns) / bench_pulse.MS - width
        for ((_, opened_ns), (_, shut_ns)), width in zip(pairs, wanted, strict=True)
    ]


class Cluster:
    """Runs on the machine of the benchmark, one after the other."""

    def __init__(self, system: System, count: int) -> None:
        self._system = system
        self._count = count
        self._numbers = itertools.count(1)

    def run(self) -> tuple[list[float], float]:
        """Return the width errors by the simulator's kernel, and the p99 that the run itself says; in ms."""
        name = f"{MACHINE}-{next(self._numbers)}"
        self._system.order("/trace/reset", {})
        self._system.apply(run_document(name, MACHINE, machineRef={"name": MACHINE}))
        try:
            ended = self._system.ended(name, within_s=RUN_S_MAX)
            assert ended["reason"] == "Completed", ended
            told = self._system.get("run", name)["status"]["pulses"]["p99ErrorMs"]
            return errors_ms(self._system.writes(), self._count), float(told)
        finally:
            self._system.delete("run", name)


@contextlib.contextmanager
def ready(options: Options) -> Iterator[Round]:
    if "KUBECONFIG" not in os.environ:
        sys.exit(
            'hack/bench pod: no cluster is named: run hack/e2e or make demo, then eval "$(hack/cluster env)"'
        )
    count = max(2, int(PULSES * options.scale))
    bare = System(namespace=NAMESPACE)
    with second_machine(bare, machine(), recipe(count)) as system:
        cluster = Cluster(system, count)

        def measure(number: int) -> Mapping[str, float]:
            errors, told = cluster.run()
            with bench_pulse.busy():
                beside, beside_told = cluster.run()
            absolute, beside_absolute = ([abs(ms) for ms in each] for each in (errors, beside))
            return {
                "width_p50_ms": quantile(absolute, 0.5),
                "width_p99_ms": quantile(absolute, 0.99),
                "width_most_ms": max(absolute),
                "busy_p50_ms": quantile(beside_absolute, 0.5),
                "busy_p99_ms": quantile(beside_absolute, 0.99),
                "busy_most_ms": max(beside_absolute),
                "told_p99_ms": told,
                "busy_told_p99_ms": beside_told,
            }

        yield measure


BENCHMARK = Benchmark(
    name="pod",
    title="error of the width of pulses from a pod, as the kernel of the simulator's pod sees them",
    reference="the same with every processor kept busy (busy_...); what the run's own status says (told_...)",
    figures=(
        Figure(name="width_p50_ms", unit="ms", drift=1.0, drift_least=0.1),
        Figure(name="width_p99_ms", unit="ms", drift=1.0, drift_least=5.0),
        Figure(name="width_most_ms", unit="ms", over=Over.WORST, drift=1.0, drift_least=20.0),
        Figure(name="busy_p50_ms", unit="ms", drift=1.0, drift_least=1.0),
        Figure(name="busy_p99_ms", unit="ms", drift=1.0, drift_least=20.0),
    ),
    ready=ready,
)
