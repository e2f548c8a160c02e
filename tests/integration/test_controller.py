"""The operator as a process, against a real API server and a gateway played over real HTTPS."""

import copy
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ald.records.event import MachineState, RunOutcome
from ald.wire import RunAction
from fixtures.controller import Operator
from fixtures.resources import changed, example
from fixtures.wait import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

MACHINE = "machines/demo-reactor.yaml"
RECIPE = "recipes/al2o3-demo.yaml"
RUN = "runs/al2o3-demo.yaml"


def apply(operator: Operator, *documents):
    for document in documents:
        code, said = operator.resources.create(document)
        assert code == 0, said


def ready(operator: Operator) -> Operator:
    """Have a machine with a gateway, and a recipe."""
    apply(operator, example(RECIPE))
    with_machine(operator)
    return operator


def with_machine(operator: Operator) -> None:
    """Have a machine with a gateway that answers."""
    apply(operator, example(MACHINE))
    operator.serve_gateway()
    operator.wait_for("machine", "demo-reactor", "Ready", "Ready")


def run(name: str, **spec):
    document = copy.deepcopy(example(RUN))
    document["metadata"]["name"] = name
    document["spec"] |= spec
    return document


def running(operator: Operator, name: str) -> str:
    """Have a run that the gateway has; return its uid."""
    apply(operator, run(name))
    operator.wait_for("reciperun", name, "Succeeded", "Running")
    return str(operator.resources.read("reciperun", name)["metadata"]["uid"])


def test_an_applied_machine_gets_its_gateway_and_becomes_ready(operator):
    ready(operator)
    found = operator.resources
    owner = found.read("machine", "demo-reactor")["metadata"]["uid"]
    for kind, name in (
        ("deployment", "demo-reactor-gateway"),
        ("service", "demo-reactor-gateway"),
        ("pvc", "demo-reactor-gateway"),
        ("secret", "demo-reactor-gateway-tls"),
    ):
        child = found.read(kind, name)
        assert child["metadata"]["ownerReferences"][0]["uid"] == owner
    assert found.read("service", "demo-reactor-gateway")["spec"]["publishNotReadyAddresses"]
    status = found.read("machine", "demo-reactor")["status"]
    assert status["state"] == "Idle"
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Ready": "True",
        "Configured": "True",
        "UpdatePending": "False",
        "Connected": "True",
        "PLCWatchdog": "True",
        "Interlocked": "False",
        "RealTime": "Unknown",
        "ReadyForRun": "True",
        "HistoryCurrent": "Unknown",
    }
    assert operator.gateway.roles == {"operator"}
    assert len(operator.gateway.pushes) == 1
    assert operator.page("/livez") == (200, "ok\n")
    eventually(lambda: operator.metric("ald_operator_gateway_reachable") == 1, within_s=5)


def test_a_run_is_ordered_once_mirrored_and_ended_with_the_gateways_outcome(operator):
    gateway = ready(operator).gateway
    uid = running(operator, "one")
    eventually(lambda: operator.metric("ald_operator_runs_open") == 1, within_s=5)
    status = operator.resources.read("reciperun", "one")["status"]
    assert status["step"] == "deposit/tma"
    assert status["iterations"] == "1/100"
    assert status["gatewaySession"] == "session-1"
    meta = operator.resources.read("reciperun", "one")["metadata"]
    assert meta["finalizers"] == ["ald.dev/active-run"]
    assert "annotations" not in meta
    gateway.advance(step="deposit/water", leaves_done=6, pulses=1, worst_error_ns=123_456)
    eventually(
        lambda: operator.resources.read("reciperun", "one")["status"]["step"] == "deposit/water",
        within_s=5,
    )
    gateway.end(RunOutcome.COMPLETED)
    status = operator.wait_for("reciperun", "one", "Succeeded", "Completed")
    assert status["phase"] == "Succeeded"
    assert status["pulses"] == {
        "count": 1,
        "p50ErrorMs": 0.0,
        "p99ErrorMs": 0.0,
        "worstErrorMs": 0.123,
    }
    eventually(
        lambda: "finalizers" not in operator.resources.read("reciperun", "one")["metadata"],
        within_s=5,
    )
    assert [order.run.uid for order in gateway.orders] == [uid]
    assert json.loads(gateway.orders[0].recipe_source)["steps"]
    events = operator.resources.kubectl("get", "events", "-o", "json")[1]
    reasons = {e["reason"] for e in json.loads(events)["items"]}
    assert {"Running", "Completed"} <= reasons
    assert operator.metric("ald_operator_runs_ended_total") == 1
    eventually(lambda: operator.metric("ald_operator_runs_open") == 0, within_s=5)


def test_an_ended_run_is_never_written_again(operator):
    gateway = ready(operator).gateway
    running(operator, "one")
    gateway.end(RunOutcome.STEP_FAILED, "deposit/tma: the valve's coil did not answer")
    operator.wait_for("reciperun", "one", "Succeeded", "StepFailed")
    eventually(
        lambda: "finalizers" not in operator.resources.read("reciperun", "one")["metadata"],
        within_s=5,
    )
    before = operator.resources.read("reciperun", "one")
    # Whatever a gateway says later, and whoever starts anew, it stays as it was.
    gateway.advance(outcome=RunOutcome.COMPLETED)
    operator.stop()
    operator.start()
    running(operator, "two")
    assert operator.resources.read("reciperun", "one") == before


@pytest.mark.parametrize("how", ["patch", "delete"])
def test_an_abort_reaches_the_gateway_at_once(operator, how):
    gateway = ready(operator).gateway
    uid = running(operator, "one")
    with ThreadPoolExecutor() as pool:
        # The run has a finalizer, so that kubectl would wait for its end.
        if how == "patch":
            done = pool.submit(
                operator.resources.merge, "reciperun", "one", {"spec": {"action": "Abort"}}
            )
        else:
            done = pool.submit(
                operator.resources.kubectl, "delete", "reciperun", "one", "--wait=false"
            )
        code, said = done.result()
    returned = time.monotonic()
    assert code == 0, said
    eventually(lambda: bool(gateway.aborts), within_s=5)
    assert gateway.aborts[0][0] == uid
    assert gateway.aborts[0][1] - returned < 0.5
    if how == "patch":
        status = operator.wait_for("reciperun", "one", "Succeeded", "Aborted")
        assert status["phase"] == "Aborted"
    else:
        gone = lambda: operator.resources.kubectl("get", "reciperun", "one")[0] != 0  # noqa: E731 -- a fact in one line
        eventually(gone, within_s=10)
    assert len(gateway.aborts) == 1


def test_a_stop_reaches_the_gateway_once_and_its_word_ends_the_run(operator):
    gateway = ready(operator).gateway
    uid = running(operator, "one")
    assert operator.resources.merge("reciperun", "one", {"spec": {"action": "Stop"}})[0] == 0
    eventually(lambda: gateway.actions == [(uid, RunAction.STOP)], within_s=5)
    gateway.end(RunOutcome.STOPPED, "stopped after 3 steps: action: Stop (by kubernetes)")
    status = operator.wait_for("reciperun", "one", "Succeeded", "Stopped")
    assert status["phase"] == "Stopped"
    assert gateway.actions == [(uid, RunAction.STOP)]
    assert gateway.aborts == []


def test_runs_queue_in_order_and_a_queued_one_can_be_aborted(operator):
    gateway = ready(operator).gateway
    running(operator, "a")
    apply(operator, run("b"), run("c"))
    operator.wait_for("reciperun", "b", "Succeeded", "Queued")
    status = operator.wait_for("reciperun", "c", "Succeeded", "Queued")
    assert status["queuePosition"] == 2
    assert operator.resources.merge("reciperun", "b", {"spec": {"action": "Abort"}})[0] == 0
    status = operator.wait_for("reciperun", "b", "Succeeded", "Aborted")
    assert "before it started" in status["message"]
    gateway.end(RunOutcome.COMPLETED)
    operator.wait_for("reciperun", "c", "Succeeded", "Running")
    assert [order.run.name for order in gateway.orders] == ["a", "c"]
    assert gateway.aborts == []


def test_a_restarted_operator_picks_up_without_sending_anything_again(operator):
    gateway = ready(operator).gateway
    running(operator, "one")
    assert operator.stop() < 10
    gateway.advance(step="deposit/purge-water", leaves_done=10)
    operator.start()
    eventually(
        lambda: operator.resources.read("reciperun", "one")["status"]["stepsDone"] == 10,
        within_s=10,
    )
    events = json.loads(operator.resources.kubectl("get", "events", "-o", "json")[1])["items"]
    assert not [e for e in events if e["type"] == "Warning" and "Gateway" in e["reason"]]
    operator.stop()
    gateway.change(session="session-2")
    gateway.end(RunOutcome.GATEWAY_RESTARTED, "the executor was killed; the machine is safe")
    operator.start()
    status = operator.wait_for("reciperun", "one", "Succeeded", "GatewayRestarted")
    assert status["gatewaySession"] == "session-1"
    assert len(gateway.orders) == 1
    assert gateway.aborts == []


def test_a_dry_run_shows_a_plan_and_orders_nothing(operator):
    gateway = ready(operator).gateway
    apply(operator, run("dry", dryRun=True))
    status = operator.wait_for("reciperun", "dry", "Succeeded", "DryRun")
    assert status["plan"]["openings"] == [
        {"valve": "spare", "count": 0},
        {"valve": "tma", "count": 100},
        {"valve": "water", "count": 100},
    ]
    assert status["plan"]["steps"][5] == {
        "name": "deposit/tma",
        "kind": "valve",
        "detail": status["plan"]["steps"][5]["detail"],
        "repeats": 100,
    }
    assert gateway.orders == []


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"inputs": {"cycles": 0}}, "InvalidInput", "spec.inputs.cycles"),
        ({"recipeRef": {"name": "nothing"}}, "Pending", "Recipe nothing does not exist"),
        ({"machineRef": {"name": "nothing"}}, "Pending", "Machine nothing does not exist"),
    ],
)
def test_a_run_that_cannot_start_says_why(operator, spec, reason, words):
    gateway = ready(operator).gateway
    apply(operator, run("one", **spec))
    status = operator.wait_for("reciperun", "one", "Succeeded", reason)
    assert words in status["message"]
    assert gateway.orders == []


def test_a_refused_run_waits_with_the_gateways_reason_and_is_offered_again(operator):
    gateway = ready(operator).gateway
    gateway.refuse_runs = "NotReady"
    apply(operator, run("one"))
    status = operator.wait_for("reciperun", "one", "Succeeded", "MachineNotReady")
    assert "not now" in status["message"]
    gateway.refuse_runs = ""
    operator.wait_for("reciperun", "one", "Succeeded", "Running")


def test_a_gateway_that_goes_away_is_told_and_its_run_is_picked_up_when_it_is_back(operator):
    gateway = ready(operator).gateway
    running(operator, "one")
    operator.stop_gateway()
    operator.wait_for("machine", "demo-reactor", "Ready", "GatewayUnreachable")
    operator.wait_for("reciperun", "one", "Succeeded", "GatewayUnreachable")
    asked = operator.metric("ald_operator_gateway_requests_total")
    time.sleep(2)  # the fact is that little happens in this time
    assert operator.metric("ald_operator_gateway_requests_total") - asked < 10
    operator.serve_gateway()
    gateway.end(RunOutcome.COMPLETED)
    operator.wait_for("reciperun", "one", "Succeeded", "Completed")
    assert len(gateway.orders) == 1


def test_a_new_spec_waits_for_the_run_to_end(operator):
    gateway = ready(operator).gateway
    running(operator, "one")
    assert operator.resources.merge("machine", "demo-reactor", {"spec": {"maxHold": "5m"}})[0] == 0
    operator.wait_for("machine", "demo-reactor", "Configured", "WaitingForRun")
    assert len(gateway.pushes) == 1
    gateway.end(RunOutcome.COMPLETED)
    operator.wait_for("machine", "demo-reactor", "Configured", "Accepted")
    assert [push.plant.generation for push in gateway.pushes] == [1, 2]


def test_a_machine_with_an_active_run_stays_until_the_run_has_ended(operator):
    gateway = ready(operator).gateway
    running(operator, "one")
    assert operator.resources.kubectl("delete", "machine", "demo-reactor", "--wait=false")[0] == 0
    operator.wait_for("machine", "demo-reactor", "Ready", "Terminating")
    gateway.end(RunOutcome.COMPLETED)
    operator.wait_for("reciperun", "one", "Succeeded", "Completed")
    eventually(
        lambda: operator.resources.kubectl("get", "machine", "demo-reactor")[0] != 0, within_s=10
    )


def test_an_invalid_machine_says_every_rule_it_breaks_and_is_corrected_in_place(operator):
    apply(operator, changed(MACHINE, "spec.valves.1.coil", 8))
    status = operator.wait_for("machine", "demo-reactor", "Configured", "InvalidSpec")
    assert "spec.valves[1]" in status["message"]
    valves = example(MACHINE)["spec"]["valves"]
    operator.resources.merge("machine", "demo-reactor", {"spec": {"valves": valves}})
    operator.wait_for("machine", "demo-reactor", "Configured", "Pending")


def test_clear_is_told_to_an_aborted_machine_once(operator):
    gateway = ready(operator).gateway
    gateway.change(state=MachineState.ABORTED, message="the safe state was not acknowledged")
    status = operator.wait_for("machine", "demo-reactor", "Ready", "Aborted")
    assert "MachineAction" in status["message"]
    apply(operator, example("actions/clear.yaml"))
    name = example("actions/clear.yaml")["metadata"]["name"]
    operator.wait_for("machineaction", name, "Succeeded", "Done")
    operator.wait_for("machine", "demo-reactor", "Ready", "Ready")
    assert len(gateway.clears) == 1


def test_a_clear_of_a_machine_that_is_not_aborted_is_refused(operator):
    gateway = ready(operator).gateway
    apply(operator, example("actions/clear.yaml"))
    name = example("actions/clear.yaml")["metadata"]["name"]
    status = operator.wait_for("machineaction", name, "Succeeded", "Refused")
    assert "Idle" in status["message"]
    assert gateway.clears == []


def test_a_recipe_is_judged_for_each_machine_of_its_namespace(operator):
    apply(operator, example(RECIPE))
    status = operator.wait_for("recipe", "al2o3-demo", "Valid", "Accepted")
    assert "machines" not in status
    with_machine(operator)
    eventually(
        lambda: "machines" in operator.resources.read("recipe", "al2o3-demo")["status"], within_s=10
    )
    found = operator.resources.read("recipe", "al2o3-demo")["status"]["machines"]
    assert [(m["name"], m["valid"], m["reason"], m["steps"]) for m in found] == [
        ("demo-reactor", True, "Accepted", 406)
    ]
    operator.resources.kubectl("delete", "machine", "demo-reactor")
    eventually(
        lambda: "machines" not in operator.resources.read("recipe", "al2o3-demo")["status"],
        within_s=10,
    )


def test_a_recipe_of_300_kb_is_too_large_and_costs_nothing_more(operator):
    document = example(RECIPE)
    condition = " && ".join(["value('gauge-1.pressure-read') > 1.0"] * 24)
    step = {"waitFor": {"condition": condition, "timeout": "1m"}}
    for outer in range(4):
        steps = [{"name": f"step-{inner}"} | step for inner in range(90)]
        document["spec"]["steps"].append(
            {"name": f"loop-{outer}", "loop": {"count": 2, "steps": steps}}
        )
    size = len(json.dumps(document["spec"]))
    assert size > 300_000, size
    code, said = operator.resources.kubectl("apply", "--server-side", "-f", "-", document=document)
    assert code == 0, said
    status = operator.wait_for("recipe", "al2o3-demo", "Valid", "TooLarge")
    assert "200 kB" in status["conditions"][0]["message"]
    meta = operator.resources.read("recipe", "al2o3-demo")["metadata"]
    assert "annotations" not in meta
    version = meta["resourceVersion"]
    judged = operator.metric("ald_operator_reconciles_total")
    time.sleep(2)  # the fact is that nothing happens in this time
    assert operator.resources.read("recipe", "al2o3-demo")["metadata"]["resourceVersion"] == version
    assert operator.metric("ald_operator_reconciles_total") - judged < 3
