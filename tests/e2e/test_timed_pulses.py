"""Pulses that the PLC times: a second machine on the cluster, with a simulator built from it."""

from collections.abc import Iterator

import pytest
import yaml

from fixtures.second_machine import second_machine
from fixtures.system import EXAMPLES, Object, System, run_document
from fixtures.wait import eventually

pytestmark = pytest.mark.e2e

MACHINE = "timed-reactor"
SIMULATOR = "timed-simulator"
CYCLES = 5
OPEN_MS = 5.0
PLC_CYCLE_MS = 2.0
"""So that a link alone could not keep a pulse of 5 ms within a fifth of it, and the recipe would be refused."""

RECIPE: Object = {
    "apiVersion": "ald.dev/v1alpha1",
    "kind": "Recipe",
    "metadata": {"name": "timed"},
    "spec": {
        "steps": [
            {"name": "clear", "purge": {"gas": "N2", "flow": 20, "duration": "300ms"}},
            {
                "name": "deposit",
                "loop": {
                    "count": CYCLES,
                    "steps": [
                        {"name": "tma", "valve": {"valve": "tma", "open": f"{OPEN_MS:g}ms"}},
                        {"name": "purge", "purge": {"gas": "N2", "flow": 20, "duration": "300ms"}},
                    ],
                },
            },
        ]
    },
}


def machine() -> Object:
    """Return the demonstration machine under another name, with a valve that its PLC times."""
    found: Object = yaml.safe_load((EXAMPLES / "machines/demo-reactor.yaml").read_text())
    found["metadata"]["name"] = MACHINE
    found["spec"]["plc"] |= {"host": SIMULATOR, "cycle": f"{PLC_CYCLE_MS:g}ms"}
    (tma,) = (valve for valve in found["spec"]["valves"] if valve["name"] == "tma")
    tma["timedPulse"] = {
        "duration": {"address": 300, "type": "uint16", "resolution": "0.1ms"},
        "trigger": 40,
        "done": {"table": "discrete", "address": 12},
    }
    return found


@pytest.fixture
def timed(idle: System) -> Iterator[System]:
    """The system with the second machine Idle, its simulator as the witness; both go afterwards."""
    with second_machine(idle, machine(), RECIPE) as system:
        try:
            yield system
        finally:
            system.delete("run", "timed")


@pytest.mark.requirement("REC-06")
@pytest.mark.timeout(240)
def test_pulses_shorter_than_any_link_could_keep_are_timed_by_the_plc_and_on_record(
    timed: System,
) -> None:
    timed.apply(run_document("timed", "timed", machineRef={"name": MACHINE}))
    condition = timed.ended("timed", within_s=60)
    assert (condition["status"], condition["reason"]) == ("True", "Completed"), condition
    judged = timed.condition("run", "timed", "TimingMet")
    assert (judged["status"], judged["reason"]) == ("Unknown", "TimedByPLC"), judged
    run = timed.get("run", "timed")
    assert run["status"]["pulses"] == {"count": CYCLES}

    edges = [edge for edge in timed.edges() if edge["valve"]]
    assert [(e["valve"], e["state"], e["cause"]) for e in edges] == [
        ("tma", True, "timer"),
        ("tma", False, "timer"),
    ] * CYCLES
    for opened, shut in zip(edges[::2], edges[1::2], strict=True):
        width_ms = (shut["effective_ns"] - opened["effective_ns"]) / 1e6
        assert OPEN_MS <= width_ms < OPEN_MS + PLC_CYCLE_MS, "to a cycle of the PLC"

    uid = run["metadata"]["uid"]
    done = "SELECT 1 FROM process_executions WHERE id = %s AND end_time IS NOT NULL"
    eventually(lambda: bool(timed.sql(done, uid)), within_s=60)
    pulses = timed.sql(
        "SELECT target, final_status, timed_by, duration_ns, error_ns, uncertainty_ns"
        " FROM recipe_execution_audit WHERE process_id = %s AND operation_type = 'valve'",
        uid,
    )
    expected = ("tma", "Confirmed", "plc", OPEN_MS * 1e6, None, PLC_CYCLE_MS * 1e6)
    assert pulses == [expected] * CYCLES
