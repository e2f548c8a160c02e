"""The resource definitions on a real API server: accepted, checked, kept whole, and readable for people."""

from collections.abc import Iterator

import pytest
import yaml

from ald.api.action import MachineActionStatus
from ald.api.crd.kinds import KINDS
from ald.api.machine_status import MachineStatus
from ald.api.parse import parse_machine
from ald.api.recipe import RecipeStatus
from ald.api.run import RecipeRunStatus
from fixtures.resources import ROOT, changed, example

pytestmark = pytest.mark.integration

EXAMPLES = sorted(
    path for path in (ROOT / "examples").glob("*/*.yaml") if not path.match("*.mapping.yaml")
)
NOW = "2026-03-01T12:00:00Z"


def missing(wanted: object, found: object, path: str = "") -> Iterator[str]:
    """Yield each path of `wanted` whose value `found` does not have."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            yield from missing(value, found.get(key), f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from missing(one, other, f"{path}[{index}]")
    elif wanted != found or isinstance(wanted, bool) is not isinstance(found, bool):
        yield f"{path}: {wanted!r} became {found!r}"


@pytest.mark.parametrize("kind", [kind.definition_name for kind in KINDS])
def test_a_definition_is_structural_and_its_copy_for_apply_fits(apiserver, kind):
    path = str(ROOT / "crds" / f"{kind}.yaml")
    done = apiserver.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_field_of_the_examples_is_kept(resources, path):
    document = yaml.safe_load(path.read_text())
    code, said = resources.kubectl("apply", "--validate=strict", "-f", str(path))
    assert code == 0, said
    stored = resources.read(document["kind"].lower(), document["metadata"]["name"])
    assert list(missing(document, stored)) == []


def test_what_is_left_out_is_shown_with_its_default(resources):
    document = example("machines/demo-reactor.yaml")
    document["spec"] = {"plc": {"host": "plc"}, "safeState": {}}
    assert resources.create(document)[0] == 0
    spec = resources.read("machine", "demo-reactor")["spec"]
    assert spec == {
        "plc": {
            "host": "plc",
            "port": 502,
            "unit": 1,
            "timeout": "1s",
            "requestsInFlight": 1,
            "limits": {"maxRegisters": 125, "maxBits": 2000, "maxGap": 16},
            "sharedRegisters": False,
            "sharedBits": False,
            "cycle": "10ms",
            "writeSpread": "2ms",
            "pauses": {"afterConnect": "0ms", "betweenRequests": "0ms"},
        },
        "mode": "Observe",
        "scan": {"period": "1s"},
        "maxHold": "10m",
        "safeState": {},
        "allowWithoutWatchdog": False,
    }


MACHINE = "machines/demo-reactor.yaml"
RECIPE = "recipes/al2o3-demo.yaml"
RUN = "runs/al2o3-demo.yaml"
ACTION = "actions/clear.yaml"


@pytest.mark.parametrize(
    "value", [500, 20.5, True, "40ms"], ids=["integer", "number", "boolean", "duration"]
)
def test_inputs_are_kept_in_their_own_types(resources, value):
    assert resources.create(changed(RUN, "spec.inputs.cycles", value))[0] == 0
    found = resources.read("run", "al2o3-demo-0001")["spec"]["inputs"]["cycles"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("value", [1, 20.5, False], ids=["integer", "number", "boolean"])
def test_a_set_value_is_kept_in_its_own_type(resources, value):
    assert resources.create(changed(RECIPE, "spec.steps.0.set.value", value))[0] == 0
    found = resources.read("recipe", "al2o3-demo")["spec"]["steps"][0]["set"]["value"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "spec",
    [
        {"recipeRef": {"name": "other"}},
        {"machineRef": {"name": "other"}},
        {"inputs": {"cycles": 101}},
        {"inputs": {"more": 1}},
        {"inputs": {"cycles": None}},
        {"inputs": None},
        {"dryRun": True},
        {"onGatewayRestart": "Resume"},
        {"onGatewayRestart": "Resume", "action": "Abort"},
        {"startAt": {"step": "deposit", "cycle": 38}},
        {"startAt": {"step": "deposit", "cycle": 38}, "action": "Abort"},
        {"recipeRef": {"name": "other"}, "action": "Abort"},
        {"machineRef": {"name": "other"}, "action": "Abort"},
        {"dryRun": True, "action": "Abort"},
    ],
    ids=str,
)
def test_a_run_cannot_be_changed(resources, spec):
    assert resources.create(example(RUN))[0] == 0
    code, said = resources.merge("run", "al2o3-demo-0001", {"spec": spec})
    assert code != 0
    assert "a run cannot be changed but for its action" in said


def test_inputs_cannot_be_added_to_a_run_that_has_none(resources):
    assert resources.create(changed(RUN, "spec.inputs", ...))[0] == 0
    code, said = resources.merge("run", "al2o3-demo-0001", {"spec": {"inputs": {"cycles": 1}}})
    assert code != 0
    assert "a run cannot be changed" in said


def test_a_run_can_be_aborted_and_never_goes_on(resources):
    assert resources.create(example(RUN))[0] == 0
    assert resources.merge("run", "al2o3-demo-0001", {"spec": {"action": "Abort"}})[0] == 0
    for action in ("Run", "Pause", "Stop", None):
        code, said = resources.merge("run", "al2o3-demo-0001", {"spec": {"action": action}})
        assert code != 0
        assert "a stopped or aborted run cannot go on" in said


def test_a_run_can_be_paused_and_go_on_as_often_as_wanted(resources):
    assert resources.create(example(RUN))[0] == 0
    for action in ("Pause", "Run", "Pause", "Stop"):
        code, said = resources.merge("run", "al2o3-demo-0001", {"spec": {"action": action}})
        assert code == 0, said


def test_a_run_can_be_stopped_and_after_that_only_aborted(resources):
    assert resources.create(example(RUN))[0] == 0
    assert resources.merge("run", "al2o3-demo-0001", {"spec": {"action": "Stop"}})[0] == 0
    for action in ("Run", "Pause"):
        code, said = resources.merge("run", "al2o3-demo-0001", {"spec": {"action": action}})
        assert code != 0
        assert "a stopped or aborted run cannot go on" in said
    assert resources.merge("run", "al2o3-demo-0001", {"spec": {"action": "Abort"}})[0] == 0


@pytest.mark.parametrize(
    "spec",
    [{"comment": "other"}, {"comment": None}, {"machineRef": {"name": "other"}}],
    ids=str,
)
def test_an_action_cannot_be_changed(resources, spec):
    assert resources.create(example(ACTION))[0] == 0
    code, said = resources.merge("mact", "demo-reactor-clear", {"spec": spec})
    assert code != 0
    assert "an action cannot be changed" in said


def condition(kind: str, reason: str, status: str = "True") -> dict[str, object]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "All is well.",
        "lastTransitionTime": NOW,
        "observedGeneration": 1,
    }


STATUSES = {
    MACHINE: MachineStatus.model_validate(
        {
            "observedGeneration": 1,
            "state": "Execute",
            "message": "Depositing.",
            "currentRun": "al2o3-demo-0001",
            "gateway": {"session": "s1", "plantDigest": "d" * 64},
            "link": {"connected": True, "since": NOW},
            "lastScan": {"sequence": 77, "time": NOW, "late": 2},
            "conditions": [
                condition("Ready", "Ready"),
                condition("Configured", "Accepted"),
                condition("Connected", "Connected"),
                condition("PLCWatchdog", "HeartbeatConfigured"),
            ],
        }
    ),
    RECIPE: RecipeStatus.model_validate(
        {
            "observedGeneration": 1,
            "conditions": [condition("Valid", "Accepted")],
            "machines": [
                {
                    "name": "demo-reactor",
                    "valid": True,
                    "reason": "Accepted",
                    "message": "",
                    "steps": 406,
                    "duration": "1m9.5s",
                    "machineGeneration": 1,
                }
            ],
        }
    ),
    RUN: RecipeRunStatus.model_validate(
        {
            "observedGeneration": 1,
            "phase": "Running",
            "message": "Cycle 3 of 100.",
            "queuePosition": 1,
            "step": "deposit/tma",
            "iterations": "3/100",
            "stepsDone": 12,
            "stepsTotal": 406,
            "percent": 3,
            "progress": "3 %",
            "startedAt": NOW,
            "endedAt": NOW,
            "estimatedEnd": NOW,
            "programDigest": "d" * 64,
            "gatewaySession": "s1",
            "pulses": {"count": 6, "p50ErrorMs": 0.1, "p99ErrorMs": 0.2, "worstErrorMs": 0.21},
            "plan": {
                "duration": "1m9.5s",
                "steps": [
                    {"name": "deposit/tma", "kind": "valve", "detail": "tma", "repeats": 100}
                ],
                "omitted": 0,
                "openings": [{"valve": "tma", "count": 100}],
            },
            "conditions": [condition("Succeeded", "Running", "Unknown")],
        }
    ),
    ACTION: MachineActionStatus.model_validate(
        {
            "observedGeneration": 1,
            "message": "Done.",
            "conditions": [condition("Succeeded", "Done")],
        }
    ),
}


@pytest.mark.parametrize("path", STATUSES)
def test_a_whole_status_is_kept(resources, path):
    document = example(path)
    kind, name = document["kind"].lower(), document["metadata"]["name"]
    assert resources.create(document)[0] == 0
    status = STATUSES[path].model_dump(by_alias=True, exclude_none=True, mode="json")
    code, said = resources.merge(kind, name, {"status": status}, "--subresource=status")
    assert code == 0, said
    assert resources.read(kind, name)["status"] == status


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (MACHINE, {"state": "Fine"}, "status.state"),
        (MACHINE, {"conditions": [condition("Ready", "Whatever")]}, "status.conditions[0].reason"),
        (RUN, {"percent": 101}, "status.percent"),
        (RUN, {"startedAt": "yesterday"}, "status.startedAt"),
        (
            RECIPE,
            {
                "machines": [
                    {"name": f"m{n}", "valid": True, "reason": "Accepted"} for n in range(17)
                ]
            },
            "status.machines",
        ),
    ],
)
def test_a_status_outside_the_closed_lists_is_refused(resources, path, status, message):
    document = example(path)
    assert resources.create(document)[0] == 0
    code, said = resources.merge(
        document["kind"].lower(),
        document["metadata"]["name"],
        {"status": status},
        "--subresource=status",
    )
    assert code != 0
    assert message in said


def test_one_command_shows_everything_like_a_status_board(resources):
    for path, status in STATUSES.items():
        document = example(path)
        assert resources.create(document)[0] == 0
        patch = {"status": status.model_dump(by_alias=True, exclude_none=True, mode="json")}
        kind, name = document["kind"].lower(), document["metadata"]["name"]
        assert resources.merge(kind, name, patch, "--subresource=status")[0] == 0
    code, said = resources.kubectl("get", "ald")
    assert code == 0
    board = [" ".join(line.split()) for line in said.splitlines()]
    for heading, row in (
        (
            "NAME STATE READY CONNECTED RUN AGE MESSAGE",
            "machine.ald.dev/demo-reactor Execute True true al2o3-demo-0001",
        ),
        ("NAME VALID REASON AGE DESCRIPTION", "recipe.ald.dev/al2o3-demo True Accepted"),
        (
            "NAME MACHINE RECIPE STATUS STEP CYCLE PROGRESS ENDS AGE MESSAGE",
            f"reciperun.ald.dev/al2o3-demo-0001 demo-reactor al2o3-demo Running deposit/tma 3/100 3 % {NOW}",
        ),
        (
            "NAME MACHINE VERB STATUS AGE MESSAGE",
            "machineaction.ald.dev/demo-reactor-clear demo-reactor Clear Done",
        ),
    ):
        assert heading in board
        assert [line for line in board if line.startswith(row)], (row, board)


def test_a_recipe_is_listed_with_its_description(resources):
    assert resources.create(changed(RECIPE, "spec.description", "Alumina at 200 °C"))[0] == 0
    code, said = resources.kubectl("get", "recipes")
    assert code == 0
    assert "Alumina at 200 °C" in said


@pytest.mark.parametrize(("short", "kind"), [(k.short, k.name) for k in KINDS])
def test_short_names_work(resources, short, kind):
    code, said = resources.kubectl("get", short, "-o", "json")
    assert code == 0, said
    assert kind.lower() in resources.kubectl("api-resources", "--api-group=ald.dev")[1].lower()


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("recipe.spec.steps", ["{name: tma, valve: {valve: tma", "durations are", "Repeat steps"]),
        ("recipe.spec.steps.loop.steps.loop.steps.loop.steps.loop.steps.valve.open", ["40ms"]),
        ("machine.spec.exclusionGroups", ["never open together"]),
        ("machine.spec.parameters.order", ["CDAB is low word first"]),
        ("run.spec.action", ["only field that may change"]),
        ("mact.spec.verb", ["Clear takes a machine that is Aborted back to Stopped"]),
        ("machine.status.conditions.reason", ["closed list", "NoHeartbeat"]),
    ],
)
def test_explain_teaches(resources, field, words):
    code, said = resources.kubectl("explain", field)
    assert code == 0, said
    told = " ".join(said.split())
    assert [word for word in words if word not in told] == []


def test_a_machine_of_a_thousand_parameters_goes_in_by_server_side_apply(resources):
    document = example(MACHINE)
    document["spec"]["parameters"] += [
        {
            "name": f"component-{n}.value-with-a-name-as-long-as-such-names-are",
            "description": "Some words that say what the value means to the people who read it",
            "table": "holding",
            "address": 1000 + 2 * n,
            "type": "float32",
            "order": "CDAB",
            "unit": "°C",
            "minimum": 0,
            "maximum": 1000,
            "writable": True,
        }
        for n in range(1000 - len(document["spec"]["parameters"]))
    ]
    code, said = resources.kubectl("apply", "-f", "-", document=document)
    assert code != 0
    assert "Too long" in said
    code, said = resources.kubectl("apply", "--server-side", "-f", "-", document=document)
    assert code == 0, said
    assert len(parse_machine(resources.read("machine", "demo-reactor")).spec.parameters) == 1000


@pytest.mark.parametrize(
    ("verb", "target", "is_taken"),
    [("Confirm", "0f8fad5b-3", True), ("Confirm", None, False), ("Clear", "0f8fad5b-3", False)],
)
def test_a_target_is_for_confirm_only_and_needed_there(resources, verb, target, is_taken):
    document = changed(ACTION, "spec.verb", verb)
    if target is not None:
        document["spec"]["target"] = target
    code, said = resources.create(document)
    assert (code == 0) is is_taken
    assert is_taken or "target is for verb: Confirm" in said
