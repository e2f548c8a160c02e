"""Each benchmark with tiny counts: that it works and what it prints, never how fast anything is."""

import json

import pytest

from benchmarks import catalogue
from benchmarks.report import BASELINE
from fixtures.smoke import smoke

pytestmark = [pytest.mark.integration, pytest.mark.requirement("BENCH-00")]

ENDINGS = (0, 1, 3)
"""All bars reached, one missed, too few quiet rounds: each may be, on a busy host."""


ALONE = ("pulse",)
"""Keep every processor busy, before whatever else runs."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.serial] if name in ALONE else [])
        for name in catalogue.NAMES
    ],
)
def test_a_benchmark_prints_its_figures(name):
    before = BASELINE.read_bytes() if BASELINE.exists() else b""
    done = smoke(name, "--soak=0", within_s=280)
    assert done.returncode in ENDINGS, done.stderr
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    last = json.loads(lines[-1])
    benchmark = catalogue.load(name)
    assert last["name"] == name
    assert list(last["figures"]) == [figure.name for figure in benchmark.all_figures]
    for figure in benchmark.figures:
        assert f"| `{figure.name}` |" in done.stdout
        value = last["figures"][figure.name]
        assert (value is None) == (done.returncode == 3)
    assert (BASELINE.read_bytes() if BASELINE.exists() else b"") == before
