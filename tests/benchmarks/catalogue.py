"""The benchmarks by name, each loaded when it is asked for."""

import importlib

from benchmarks.rounds import Benchmark

NAMES = ("link", "scan", "decode", "write", "pulse", "abort", "engine", "gateway")
"""What `all` measures."""

ON_A_CLUSTER = ("pod",)
"""Needs a cluster with the product on it."""


def load(name: str) -> Benchmark:
    """Return the benchmark of module `benchmarks.bench_NAME`."""
    found = importlib.import_module(f"benchmarks.bench_{name}").BENCHMARK
    assert isinstance(found, Benchmark)
    return found
