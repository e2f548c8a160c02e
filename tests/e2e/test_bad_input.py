"""Bad input gets a clear word, and nothing moves."""

import json

import pytest

from fixtures.system import System, run_document

pytestmark = pytest.mark.e2e

RECIPE = {"apiVersion": "ald.dev/v1alpha1", "kind": "Recipe"}


def steps(*each: object) -> dict[str, object]:
    return {"steps": list(each)}


@pytest.mark.requirement("REC-01")
@pytest.mark.parametrize(
    ("name", "spec", "path"),
    [
        (
            "unknown-valve",
            steps({"name": "a", "valve": {"valve": "phosgene", "open": "40ms"}}),
            "spec.steps[0].valve.valve",
        ),
        (
            "loop-of-zero",
            steps(
                {
                    "name": "a",
                    "loop": {"count": 0, "steps": [{"name": "b", "wait": {"duration": "1s"}}]},
                }
            ),
            "spec.steps[0].loop.count",
        ),
        (
            "no-purge",
            steps({"name": "a", "valve": {"valve": "tma", "open": "40ms"}}),
            "add a purge",
        ),
    ],
)
def test_a_run_of_a_recipe_that_breaks_a_rule_is_refused_with_the_path(
    idle: System, name: str, spec: dict[str, object], path: str
) -> None:
    before = len(idle.edges())
    refused = idle.kubectl(
        "apply", "-f", "-", check=False,
        stdin=json.dumps({**RECIPE, "metadata": {"name": name}, "spec": spec}),
    )  # fmt: skip
    if refused.returncode:
        assert path in refused.stderr
        return
    idle.apply(run_document(f"run-{name}", name))
    condition = idle.ended(f"run-{name}", within_s=20)
    assert (condition["status"], condition["reason"]) == ("False", "InvalidRecipe")
    assert path in condition["message"]
    assert len(idle.edges()) == before, "nothing moved"
    idle.delete("run", f"run-{name}")
    idle.delete("recipe", name)


def test_a_negative_time_is_refused_by_the_api_server(idle: System) -> None:
    spec = steps({"name": "a", "wait": {"duration": "-5s"}})
    document = {**RECIPE, "metadata": {"name": "negative"}, "spec": spec}
    refused = idle.kubectl("apply", "-f", "-", check=False, stdin=json.dumps(document))
    assert refused.returncode != 0
    assert "spec.steps[0].wait.duration" in refused.stderr


def test_a_recipe_of_300_kb_is_told_to_be_too_large_and_nothing_loops(idle: System) -> None:
    long = [
        {"name": f"s{n}", "loop": {"count": 1, "steps": [
            {"name": f"w{k}-" + "x" * 55, "wait": {"duration": "1s"}} for k in range(180)]}}
        for n in range(20)
    ]  # fmt: skip
    document = json.dumps({**RECIPE, "metadata": {"name": "huge"}, "spec": {"steps": long}})
    assert len(document) > 300_000
    plain = idle.kubectl("apply", "-f", "-", check=False, stdin=document)
    assert plain.returncode != 0
    assert "Too long" in plain.stderr
    idle.kubectl("apply", "--server-side", "-f", "-", stdin=document)
    idle.wait_for(
        "recipe", "huge", lambda o: o["status"]["conditions"][0]["reason"] == "TooLarge",
        within_s=20,
    )  # fmt: skip
    version = idle.get("recipe", "huge")["metadata"]["resourceVersion"]
    idle.apply(run_document("run-huge", "huge"))
    assert idle.ended("run-huge", within_s=20)["reason"] == "InvalidRecipe"
    assert idle.get("recipe", "huge")["metadata"]["resourceVersion"] == version, "nothing loops"
    idle.delete("run", "run-huge")
    idle.delete("recipe", "huge")


def test_two_parameters_on_one_address_leave_the_machine_unconfigured(idle: System) -> None:
    machine = idle.get("machine", "demo-reactor")
    machine["metadata"] = {"name": "twice"}
    machine.pop("status", None)
    first = machine["spec"]["parameters"][0]
    machine["spec"]["parameters"].append({**first, "name": "second.read"})
    idle.apply(machine)
    found = idle.wait_for(
        "machine", "twice",
        lambda o: next(c for c in o["status"]["conditions"] if c["type"] == "Configured")["status"] == "False",
        within_s=30,
    )  # fmt: skip
    message = next(c for c in found["status"]["conditions"] if c["type"] == "Configured")["message"]
    assert first["name"] in message
    assert "second.read" in message
    idle.delete("machine", "twice")


@pytest.mark.requirement("REC-05")
@pytest.mark.timeout(240)
def test_a_run_that_names_nothing_that_exists_ends_after_two_minutes(idle: System) -> None:
    idle.apply(run_document("nothing", "no-such-recipe"))
    waiting = idle.wait_for("run", "nothing", lambda o: o["status"]["message"], within_s=10)
    assert "no-such-recipe" in waiting["status"]["message"]
    condition = idle.ended("nothing", within_s=150)
    assert (condition["status"], condition["reason"]) == ("False", "RecipeNotFound")
    idle.delete("run", "nothing")


def test_a_machine_whose_plc_cannot_be_reached_says_so(idle: System) -> None:
    machine = idle.get("machine", "demo-reactor")
    machine["metadata"] = {"name": "unreachable"}
    machine.pop("status", None)
    machine["spec"]["plc"]["host"] = "no-such-host"
    idle.apply(machine)
    found = idle.wait_for(
        "machine",
        "unreachable",
        lambda o: (
            next(c for c in o["status"]["conditions"] if c["type"] == "Connected")["status"]
            == "False"
        ),
        within_s=120,
    )
    connected = next(c for c in found["status"]["conditions"] if c["type"] == "Connected")
    assert "no-such-host" in connected["message"]
    idle.delete("machine", "unreachable", "--timeout=100s")
