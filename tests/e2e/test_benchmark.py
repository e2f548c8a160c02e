"""The benchmark of pulses from a pod with tiny counts: that it works and what it prints, never how exact anything is."""

import json

import pytest

from benchmarks import catalogue
from fixtures.smoke import smoke
from fixtures.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("BENCH-00")]


@pytest.mark.timeout(360)
def test_pulses_from_a_pod_are_measured(idle: System) -> None:
    done = smoke("pod", within_s=340)
    assert done.returncode in (0, 3), done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert list(last["figures"]) == [figure.name for figure in catalogue.load("pod").figures]
    assert "pulses" not in idle.kubectl("get", "machine", "-o", "name").stdout
