"""What the benchmark of pulses from a pod makes of the simulator's stamps."""

import pytest

from benchmarks import bench_pod
from benchmarks.bench_pod import WIDTHS_MS, errors_ms
from benchmarks.bench_pulse import COIL, MS
from benchmarks.rounds import Options

pytestmark = pytest.mark.requirement("BENCH-00")


def written(*widths_ms: float) -> list[dict[str, object]]:
    """Writes of a safe state, of something else, and of pulses of these widths."""
    found = [{"address": COIL, "values": [0], "received_ns": 0}]
    now = 5 * MS
    for width in widths_ms:
        found += [
            {"address": COIL, "values": [1], "received_ns": now},
            {"address": COIL + 1, "values": [1], "received_ns": now + 1},
            {"address": COIL, "values": [0], "received_ns": now + int(width * MS)},
        ]
        now += 300 * MS
    return [*found, {"address": COIL, "values": [0], "received_ns": now}]


def test_widths_are_compared_with_those_of_the_recipe_in_its_order():
    assert errors_ms(written(10.5, 25, 49, 200, 9), 1) == [0.5, 0, -1, 0]


def test_a_pulse_too_few_is_no_figure():
    with pytest.raises(AssertionError):
        errors_ms(written(10, 25, 50), 1)


def test_the_recipe_has_as_many_pulses_of_each_length_as_are_judged():
    loops = [step["loop"] for step in bench_pod.recipe(7)["spec"]["steps"][1:]]
    assert [loop["count"] for loop in loops] == [7] * len(WIDTHS_MS)
    assert [loop["steps"][0]["valve"]["open"] for loop in loops] == [f"{w}ms" for w in WIDTHS_MS]


def test_without_a_cluster_it_says_what_to_do(monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(SystemExit, match="make demo"), bench_pod.ready(Options(rounds=5)):
        pass
