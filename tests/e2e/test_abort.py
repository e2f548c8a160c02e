"""Aborting a run, by patch and by deletion: valves closed at the PLC within a second."""

import json
import time
from collections.abc import Iterator

import pytest

from fixtures.system import System, run_document
from fixtures.wait import eventually

pytestmark = pytest.mark.e2e

LIMIT_S = 1.0
TRIES = 20


@pytest.fixture
def pulsing(idle: System) -> Iterator[System]:
    """The system with a recipe whose valve is open most of the time, so that an abort always meets an open one."""
    idle.apply(
        {
            "apiVersion": "ald.dev/v1alpha1",
            "kind": "Recipe",
            "metadata": {"name": "mostly-open"},
            "spec": {
                "steps": [
                    {"name": "clear", "purge": {"gas": "N2", "flow": 20, "duration": "300ms"}},
                    {
                        "name": "hold",
                        "loop": {
                            "count": 100,
                            "steps": [
                                {"name": "tma", "valve": {"valve": "tma", "open": "4500ms"}},
                                {"name": "rest", "wait": {"duration": "10ms"}},
                            ],
                        },
                    },
                ]
            },
        }
    )
    yield idle
    idle.delete("recipe", "mostly-open")


def start(system: System, name: str) -> None:
    system.delete("run", name)
    system.wait_for(
        "machine", "demo-reactor", lambda o: o["status"]["state"] == "Idle", within_s=30
    )
    system.apply(run_document(name, "mostly-open"))
    eventually(lambda: "tma" in system.open_valves(), within_s=30)


@pytest.mark.requirement("REC-03")
@pytest.mark.timeout(600)
def test_the_valves_are_closed_within_a_second_after_the_patch_twenty_times_of_twenty(
    pulsing: System,
) -> None:
    waits = []
    for number in range(TRIES):
        name = f"abort-{number}"
        start(pulsing, name)
        before = pulsing.edges()[-1]["sequence"]
        pulsing.kubectl(
            "patch", "run", name, "--type=merge", "-p", json.dumps({"spec": {"action": "Abort"}})
        )
        returned_wall_ns = time.time_ns()
        eventually(lambda: pulsing.open_valves() == [], within_s=5)
        closing = [e for e in pulsing.edges(before) if e["valve"] == "tma" and not e["state"]][-1]
        waits.append((closing["effective_wall_ns"] - returned_wall_ns) / 1e9)
        condition = pulsing.ended(name, within_s=20)
        assert (condition["status"], condition["reason"]) == ("False", "Aborted")
        pulsing.delete("run", name)
    assert max(waits) < LIMIT_S, f"seconds from patch to closed valves: {waits}"


@pytest.mark.requirement("REC-03")
def test_deleting_a_run_closes_the_valves_within_a_second(pulsing: System) -> None:
    start(pulsing, "deleted")
    before = pulsing.edges()[-1]["sequence"]
    pulsing.delete("run", "deleted", "--wait=false")
    returned_wall_ns = time.time_ns()
    eventually(lambda: pulsing.open_valves() == [], within_s=5)
    closing = [e for e in pulsing.edges(before) if e["valve"] == "tma" and not e["state"]][-1]
    assert (closing["effective_wall_ns"] - returned_wall_ns) / 1e9 < LIMIT_S
    eventually(
        lambda: pulsing.kubectl("get", "run", "deleted", check=False).returncode != 0, within_s=30
    )


def test_aborting_twice_changes_nothing(pulsing: System) -> None:
    start(pulsing, "abort-twice")
    patch = json.dumps({"spec": {"action": "Abort"}})
    pulsing.kubectl("patch", "run", "abort-twice", "--type=merge", "-p", patch)
    first = pulsing.ended("abort-twice", within_s=20)
    pulsing.kubectl("patch", "run", "abort-twice", "--type=merge", "-p", patch)
    assert pulsing.condition("run", "abort-twice", "Succeeded") == first
    pulsing.delete("run", "abort-twice")
