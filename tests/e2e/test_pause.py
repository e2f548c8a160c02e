"""Pausing a run, letting it go on, and stopping it, with kubectl: what the valves do meanwhile by the simulator's trace."""

import json
from collections.abc import Iterator

import pytest

from fixtures.system import System, run_document
from fixtures.wait import eventually

pytestmark = pytest.mark.e2e

STAND_S = 3.0


@pytest.fixture
def pulsing(idle: System) -> Iterator[System]:
    """The system with a recipe of many short pulses, and a cleanup that shows."""
    idle.apply(
        {
            "apiVersion": "ald.dev/v1alpha1",
            "kind": "Recipe",
            "metadata": {"name": "many-pulses"},
            "spec": {
                # Where others use the machine too, no round trip is short enough for a promise.
                "timing": {"shortPulses": "Allow"},
                "steps": [
                    {"name": "clear", "purge": {"gas": "N2", "flow": 20, "duration": "300ms"}},
                    {
                        "name": "deposit",
                        "loop": {
                            "count": 1000,
                            "steps": [
                                {"name": "tma", "valve": {"valve": "tma", "open": "100ms"}},
                                {"name": "rest", "wait": {"duration": "100ms"}},
                            ],
                        },
                    },
                ],
                "cleanup": [{"name": "settle", "wait": {"duration": "200ms"}}],
            },
        }
    )
    yield idle
    idle.delete("recipe", "many-pulses")


def start(system: System, name: str) -> None:
    system.delete("run", name)
    system.apply(run_document(name, "many-pulses"))
    eventually(lambda: "tma" in system.open_valves(), within_s=30)


def act(system: System, name: str, action: str) -> None:
    patch = json.dumps({"spec": {"action": action}})
    system.kubectl("patch", "run", name, "--type=merge", "-p", patch)


@pytest.mark.requirement("REC-03")
def test_a_paused_run_opens_no_valve_until_it_goes_on_and_a_stop_ends_it_in_order(
    pulsing: System,
) -> None:
    start(pulsing, "paused")
    act(pulsing, "paused", "Pause")
    held = pulsing.wait_for("run", "paused", lambda o: o["status"]["phase"] == "Held", within_s=10)
    assert held["status"]["held"]["reason"] == "Paused"
    assert pulsing.condition("run", "paused", "Succeeded")["reason"] == "Paused"
    pulsing.wait_for(
        "machine", "demo-reactor", lambda o: o["status"]["state"] == "Held", within_s=10
    )
    assert pulsing.open_valves() == []
    before = pulsing.edges()[-1]["sequence"]
    with pytest.raises(AssertionError, match="still not so"):
        eventually(lambda: bool(pulsing.edges(before)), within_s=STAND_S)
    act(pulsing, "paused", "Run")
    eventually(lambda: len(pulsing.edges(before)) >= 4, within_s=10)
    act(pulsing, "paused", "Stop")
    condition = pulsing.ended("paused", within_s=20)
    assert (condition["status"], condition["reason"]) == ("False", "Stopped")
    refused = pulsing.kubectl(
        "patch", "run", "paused", "--type=merge", "-p", '{"spec":{"action":"Run"}}', check=False
    )
    assert "cannot go on" in refused.stderr
    assert pulsing.open_valves() == []
    pulsing.wait_for(
        "machine", "demo-reactor", lambda o: o["status"]["state"] == "Idle", within_s=20
    )
    steps = "select outcome from process_executions where name = 'paused' order by start_time desc limit 1"
    eventually(lambda: pulsing.sql(steps) == [("Stopped",)], within_s=30)
    pulsing.delete("run", "paused")
