"""Bad values are refused by the API server itself, with the path in the message."""

from typing import Any

import pytest

from fixtures.resources import changed

pytestmark = pytest.mark.integration

MACHINE = "machines/demo-reactor.yaml"
RECIPE = "recipes/al2o3-demo.yaml"
RUN = "runs/al2o3-demo.yaml"
ACTION = "actions/clear.yaml"
REST = {"name": "rest", "wait": {"duration": "1s"}}
TIMER = {
    "duration": {"address": 300},
    "trigger": 40,
    "done": {"table": "discrete", "address": 12},
}


def nested(step: object, depth: int) -> Any:
    for level in range(depth):
        step = {"name": f"l{level}", "loop": {"count": 1, "steps": [step]}}
    return step


BAD = [
    (MACHINE, "metadata.name", "m" * 51, "metadata.name"),
    (MACHINE, "spec.plc.host", ..., "spec.plc.host: Required value"),
    (MACHINE, "spec.plc.host", "a b", "spec.plc.host"),
    (MACHINE, "spec.plc.port", 0, "spec.plc.port"),
    (MACHINE, "spec.plc.port", 65536, "spec.plc.port"),
    (MACHINE, "spec.plc.unit", 256, "spec.plc.unit"),
    (MACHINE, "spec.plc.timeout", "9ms", "spec.plc.timeout"),
    (MACHINE, "spec.plc.timeout", "31s", "must be from 10ms to 30s"),
    (MACHINE, "spec.plc.timeout", "1d", "spec.plc.timeout"),
    (MACHINE, "spec.plc.requestsInFlight", 17, "spec.plc.requestsInFlight"),
    (MACHINE, "spec.plc.limits", {"maxRegisters": 126}, "spec.plc.limits.maxRegisters"),
    (MACHINE, "spec.plc.limits", {"maxBits": 0}, "spec.plc.limits.maxBits"),
    (MACHINE, "spec.plc.limits", {"maxGap": 126}, "spec.plc.limits.maxGap"),
    (
        MACHINE,
        "spec.plc.readable",
        [{"table": "file", "first": 0, "last": 1}],
        "spec.plc.readable[0].table",
    ),
    (MACHINE, "spec.plc.sharedBits", "yes", "spec.plc.sharedBits"),
    (MACHINE, "spec.plc.sharedRegisters", 1, "spec.plc.sharedRegisters"),
    (MACHINE, "spec.plc.cycle", "2s", "spec.plc.cycle"),
    (MACHINE, "spec.mode", "Auto", "spec.mode"),
    (MACHINE, "spec.scan.period", "10ms", "spec.scan.period"),
    (MACHINE, "spec.maxHold", "25h", "spec.maxHold"),
    (MACHINE, "spec.parameters.0.name", "Heater.x", "spec.parameters[0].name"),
    (MACHINE, "spec.parameters.0.name", "heater", "spec.parameters[0].name"),
    (MACHINE, "spec.parameters.0.table", "register", "spec.parameters[0].table"),
    (MACHINE, "spec.parameters.0.address", -1, "spec.parameters[0].address"),
    (MACHINE, "spec.parameters.0.type", "float16", "spec.parameters[0].type"),
    (MACHINE, "spec.parameters.0.order", "ACBD", "spec.parameters[0].order"),
    (MACHINE, "spec.parameters.0.unit", "x" * 21, "spec.parameters[0].unit"),
    (MACHINE, "spec.parameters.0.scale", "2", "spec.parameters[0].scale"),
    (MACHINE, "spec.parameters.0.offset", "2", "spec.parameters[0].offset"),
    (MACHINE, "spec.parameters.0.minimum", "2", "spec.parameters[0].minimum"),
    (MACHINE, "spec.parameters.0.maximum", True, "spec.parameters[0].maximum"),
    (MACHINE, "spec.parameters.0.writable", "no", "spec.parameters[0].writable"),
    (MACHINE, "spec.parameters.0.aliasOf", "x", "spec.parameters[0].aliasOf"),
    (MACHINE, "spec.parameters.0.description", "x" * 301, "spec.parameters[0].description"),
    (
        MACHINE,
        "spec.parameters.1.name",
        "chamber-heater.temperature-read",
        "spec.parameters[1]: Duplicate value",
    ),
    (MACHINE, "spec.valves.1.name", "tma", "spec.valves[1]: Duplicate value"),
    (MACHINE, "spec.valves.0.number", 0, "spec.valves[0].number"),
    (MACHINE, "spec.valves.0.coil", 65536, "spec.valves[0].coil"),
    (MACHINE, "spec.valves.0.maximumOpen", ..., "spec.valves[0].maximumOpen"),
    *(
        (MACHINE, f"spec.valves.0.timedPulse{where}", value, f"spec.valves[0].timedPulse{said}")
        for where, value, said in (
            ("", {"trigger": 1}, ".duration: Required value"),
            ("", TIMER | {"trigger": 65536}, ".trigger"),
            ("", TIMER | {"trigger": "1"}, ".trigger"),
            ("", TIMER | {"done": {"table": "coil"}}, ".done.address: Required value"),
            ("", TIMER | {"done": {"table": "holding", "address": 1}}, ".done.table"),
            ("", TIMER | {"done": {"table": "coil", "address": -1}}, ".done.address"),
            ("", TIMER | {"duration": {}}, ".duration.address: Required value"),
            ("", TIMER | {"duration": {"address": 65536}}, ".duration.address"),
            ("", TIMER | {"duration": {"address": 1, "type": "float32"}}, ".duration.type"),
            ("", TIMER | {"duration": {"address": 1, "order": "ACBD"}}, ".duration.order"),
            ("", TIMER | {"duration": {"address": 1, "resolution": "1us"}}, ".duration.resolution"),
        )
    ),
    (MACHINE, "spec.gases.0.setpoint", "mfc", "spec.gases[0].setpoint"),
    (MACHINE, "spec.gases.0.feedback", "mfc", "spec.gases[0].feedback"),
    (MACHINE, "spec.gases.0.name", "N 2", "spec.gases[0].name"),
    (
        MACHINE,
        "spec.exclusionGroups.0.valves",
        ["tma", "tma"],
        "spec.exclusionGroups[0].valves[1]: Duplicate value",
    ),
    (MACHINE, "spec.exclusionGroups.0.purgeGases", [], "spec.exclusionGroups[0].purgeGases"),
    (
        MACHINE,
        "spec.exclusionGroups.0.minimumPurge.flow",
        -1,
        "spec.exclusionGroups[0].minimumPurge.flow",
    ),
    (MACHINE, "spec.unrestrictedValves", ["tma", "tma"], "spec.unrestrictedValves[1]"),
    (MACHINE, "spec.safeState", ..., "spec.safeState: Required value"),
    (MACHINE, "spec.safeState.valves.0.state", "Shut", "spec.safeState.valves[0].state"),
    (MACHINE, "spec.safeState.valves.1.valve", "tma", "spec.safeState.valves[1]: Duplicate"),
    (MACHINE, "spec.safeState.outputs.0.value", ..., "spec.safeState.outputs[0]"),
    (MACHINE, "spec.safeState.outputs.0.keep", True, "spec.safeState.outputs[0]"),
    (MACHINE, "spec.safeState.outputs.0.gas", "N2", "spec.safeState.outputs[0]"),
    (MACHINE, "spec.heartbeat.address", ..., "spec.heartbeat.address"),
    (MACHINE, "spec.heartbeat.period", "10ms", "spec.heartbeat.period"),
    (MACHINE, "spec.heartbeat.timeout", "11m", "spec.heartbeat.timeout"),
    (MACHINE, "spec.allowWithoutWatchdog", "yes", "spec.allowWithoutWatchdog"),
    (RECIPE, "spec.steps", [], "spec.steps"),
    (RECIPE, "spec.steps", [REST] * 201, "spec.steps"),
    (RECIPE, "spec.cleanup", [REST] * 51, "spec.cleanup"),
    (RECIPE, "spec.description", "x" * 301, "spec.description"),
    (RECIPE, "spec.inputs.0.type", "text", "spec.inputs[0].type"),
    (RECIPE, "spec.inputs.0.default", [1], "spec.inputs[0].default"),
    (RECIPE, "spec.inputs.0.minimum", {"a": 1}, "spec.inputs[0].minimum"),
    (RECIPE, "spec.inputs.0.maximum", "x" * 33, "spec.inputs[0].maximum"),
    (RECIPE, "spec.inputs.1", {"name": "cycles", "type": "number"}, "spec.inputs[1]: Duplicate"),
    (RECIPE, "spec.steps.0", {"name": "a"}, "spec.steps[0]"),
    (RECIPE, "spec.steps.0", REST | {"valve": {"valve": "tma", "open": "1s"}}, "spec.steps[0]"),
    (RECIPE, "spec.steps.0.name", "Carrier gas", "spec.steps[0].name"),
    (RECIPE, "spec.steps.0.set.value", "20", "spec.steps[0].set.value"),
    (RECIPE, "spec.steps.0.set.value", [20], "spec.steps[0].set.value"),
    (RECIPE, "spec.steps.0.set.value", {"v": 20}, "spec.steps[0].set.value"),
    (RECIPE, "spec.steps.0.set.value", None, "spec.steps[0].set"),
    (RECIPE, "spec.steps.0.set.valueFrom", "cycles", "spec.steps[0].set"),
    (RECIPE, "spec.steps.0.set.parameter", "a.b", "spec.steps[0].set"),
    (RECIPE, "spec.steps.3.purge.flow", -1, "spec.steps[3].purge.flow"),
    (RECIPE, "spec.steps.3.purge.duration", "5", "spec.steps[3].purge.duration"),
    (RECIPE, "spec.steps.3.purge.durationFrom", "x", "spec.steps[3].purge"),
    (RECIPE, "spec.steps.4.loop.count", 3, "spec.steps[4].loop"),
    (RECIPE, "spec.steps.4.loop.countFrom", ..., "spec.steps[4].loop"),
    (RECIPE, "spec.steps.4.loop.steps", [], "spec.steps[4].loop.steps"),
    (
        RECIPE,
        "spec.steps.4.loop.steps.0.valve.open",
        "-1s",
        "spec.steps[4].loop.steps[0].valve.open",
    ),
    (
        RECIPE,
        "spec.steps.0",
        nested({"name": "a", "ramp": {"gas": "N2", "to": 1, "rate": "x"}}, 4),
        "spec.steps[0].loop.steps[0].loop.steps[0].loop.steps[0].loop.steps[0].ramp.rate",
    ),
    (RECIPE, "spec.steps.0", nested(REST, 5), "loop.steps[0].loop.steps[0].loop"),
    (
        RECIPE,
        "spec.steps.0",
        {"name": "a", "loop": {"count": 0, "steps": [REST]}},
        "spec.steps[0].loop.count",
    ),
    (
        RECIPE,
        "spec.steps.0",
        {"name": "a", "loop": {"count": 1.5, "steps": [REST]}},
        "spec.steps[0].loop.count",
    ),
    (
        RECIPE,
        "spec.steps.0",
        {"name": "a", "waitFor": {"condition": "true"}},
        "spec.steps[0].waitFor.timeout: Required value",
    ),
    (RUN, "spec.recipeRef", ..., "spec.recipeRef: Required value"),
    (RUN, "spec.machineRef.name", "Reactor", "spec.machineRef.name"),
    (RUN, "spec.inputs.cycles", [1], "spec.inputs.cycles"),
    (RUN, "spec.inputs.cycles", {"a": 1}, "spec.inputs.cycles"),
    (RUN, "spec.dryRun", "yes", "spec.dryRun"),
    (RUN, "spec.action", "Restart", "spec.action"),
    (RUN, "spec.onGatewayRestart", "Retry", "spec.onGatewayRestart"),
    (RUN, "spec.startAt", {"step": "deposit"}, "spec.startAt.cycle: Required value"),
    (RUN, "spec.startAt", {"cycle": 38}, "spec.startAt.step: Required value"),
    (RUN, "spec.startAt", {"step": "Deposit 1", "cycle": 38}, "spec.startAt.step"),
    (RUN, "spec.startAt", {"step": "a/b/c/d/e", "cycle": 38}, "spec.startAt.step"),
    (RUN, "spec.startAt", {"step": "deposit", "cycle": 0}, "spec.startAt.cycle"),
    (RUN, "spec.startAt", {"step": "deposit", "cycle": 1_000_001}, "spec.startAt.cycle"),
    (RUN, "spec.startAt", {"step": "deposit", "cycle": "38"}, "spec.startAt.cycle"),
    (
        RUN,
        "spec.startAt",
        {"step": "a/b", "cycle": 1, "outerCycles": [0]},
        "spec.startAt.outerCycles[0]",
    ),
    (
        RUN,
        "spec.startAt",
        {"step": "a/b", "cycle": 1, "outerCycles": [1, 1, 1, 1]},
        "spec.startAt.outerCycles",
    ),
    (ACTION, "spec.verb", "Reset", "spec.verb"),
    (ACTION, "spec.machineRef", ..., "spec.machineRef: Required value"),
    (ACTION, "spec.comment", "x" * 301, "spec.comment"),
]


@pytest.mark.requirement("REC-01")
@pytest.mark.parametrize(
    ("path", "where", "value", "message"), BAD, ids=[f"{b[1]}={str(b[2])[:30]}" for b in BAD]
)
def test_a_bad_value_is_refused_with_its_path(resources, path, where, value, message):
    code, said = resources.create(changed(path, where, value))
    assert code != 0
    assert message in said


@pytest.mark.parametrize(
    ("path", "where"),
    [
        (MACHINE, "spec.plc.prot"),
        (MACHINE, "spec.parameters.0.colour"),
        (RECIPE, "spec.steps.4.loop.steps.0.valve.width"),
        (RUN, "spec.priority"),
        (ACTION, "spec.until"),
    ],
)
def test_an_unknown_field_is_refused_by_name(resources, path, where):
    code, said = resources.create(changed(path, where, "1s"))
    assert code != 0
    assert "unknown field" in said
    assert where.rpartition(".")[2] in said


@pytest.mark.parametrize("action", [{}, {"action": "Abort"}], ids=["alone", "with the action"])
@pytest.mark.parametrize(
    "start",
    [None, {"cycle": 39}, {"step": "other"}, {"outerCycles": [1]}, {"outerCycles": None}],
    ids=str,
)
def test_where_a_run_starts_cannot_be_changed(resources, start, action):
    begun = {"step": "pair/first", "cycle": 38, "outerCycles": [3]}
    assert resources.create(changed(RUN, "spec.startAt", begun))[0] == 0
    code, said = resources.merge("run", "al2o3-demo-0001", {"spec": {"startAt": start} | action})
    assert code != 0
    assert "a run cannot be changed but for its action" in said
    assert resources.merge("run", "al2o3-demo-0001", {"spec": {"action": "Abort"}})[0] == 0
    assert resources.read("run", "al2o3-demo-0001")["spec"]["startAt"] == begun
