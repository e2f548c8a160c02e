"""Pulses that the PLC times: a second machine on the cluster, with a simulator built from it."""

import copy
import dataclasses
from collections.abc import Iterator

import pytest
import yaml

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


def simulator_of(system: System, document: Object) -> list[Object]:
    """Return what the chart has installed for its simulator, under another name and built from this Machine."""
    labels = {"app.kubernetes.io/name": SIMULATOR, "app.kubernetes.io/instance": "test"}
    installed = {
        kind: system.get(kind, "ald-simulator") for kind in ("configmap", "service", "deployment")
    }
    spec = copy.deepcopy(installed["deployment"]["spec"])
    spec["selector"]["matchLabels"] = spec["template"]["metadata"]["labels"] = labels
    spec["template"]["spec"]["volumes"] = [{"name": "machine", "configMap": {"name": SIMULATOR}}]
    bodies: dict[str, Object] = {
        "configmap": {"data": {"machine.yaml": yaml.safe_dump(document, allow_unicode=True)}},
        "service": {"spec": {"selector": labels, "ports": installed["service"]["spec"]["ports"]}},
        "deployment": {"spec": spec},
    }
    return [
        {
            "apiVersion": installed[kind]["apiVersion"],
            "kind": installed[kind]["kind"],
            "metadata": {"name": SIMULATOR, "labels": labels},
            **body,
        }
        for kind, body in bodies.items()
    ]


@pytest.fixture
def timed(idle: System) -> Iterator[System]:
    """The system with the second machine Idle, its simulator as the witness; both go afterwards."""
    document = machine()
    made = simulator_of(idle, document)
    try:
        idle.apply({"apiVersion": "v1", "kind": "List", "items": [*made, document, RECIPE]})
        idle.wait_for("machine", MACHINE, lambda o: o["status"]["state"] == "Idle", within_s=120)
        yield dataclasses.replace(idle, simulator=SIMULATOR)
    finally:
        idle.delete("run", "timed")
        idle.delete("machine", MACHINE)
        idle.delete("recipe", "timed")
        for each in made:
            idle.delete(each["kind"], SIMULATOR)


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
