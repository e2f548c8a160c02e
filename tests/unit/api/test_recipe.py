"""The steps of a recipe."""

import pytest

from ald.api.parse import parse_recipe
from ald.errors import InvalidInputError
from unit.api.documents import recipe

BODIES: dict[str, object] = {
    "set": {"gas": "N2", "value": True},
    "ramp": {"parameter": "a.b", "to": 5, "rate": "1 °C/min"},
    "waitFor": {"condition": "true", "timeout": "1s"},
    "purge": {"gas": "N2", "flow": 20, "duration": "1s"},
    "wait": {"durationFrom": "pause"},
    "valve": {"valve": "tma", "open": "40ms"},
    "prompt": {"message": "crucible in place?"},
    "together": {
        "branches": [
            {"name": "a", "steps": [{"name": "rest", "wait": {"duration": "1s"}}]},
            {"name": "b", "steps": [{"name": "rest", "wait": {"duration": "2s"}}]},
        ]
    },
    "loop": {"countFrom": "cycles", "steps": [{"name": "rest", "wait": {"duration": "1s"}}]},
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_step_knows_its_kind(kind):
    (step,) = parse_recipe(recipe({"name": "a", kind: BODIES[kind]})).spec.steps
    assert step.kind == kind


def test_a_wait_is_stable_at_once_unless_it_says_otherwise():
    (step,) = parse_recipe(recipe({"name": "a", "waitFor": BODIES["waitFor"]})).spec.steps
    assert step.wait_for is not None
    assert step.wait_for.stable_for == "0s"


def test_a_prompt_waits_an_hour_unless_it_says_otherwise():
    (step,) = parse_recipe(recipe({"name": "a", "prompt": BODIES["prompt"]})).spec.steps
    assert step.prompt is not None
    assert step.prompt.timeout == "1h"


def test_a_loop_holds_steps_of_the_same_kind():
    (step,) = parse_recipe(recipe({"name": "a", "loop": BODIES["loop"]})).spec.steps
    assert step.loop is not None
    assert step.loop.steps[0].kind == "wait"


def test_a_branch_holds_leaves_only():
    with pytest.raises(InvalidInputError) as error:
        parse_recipe(recipe({"name": "a", "together": beside("loop")}))
    assert error.value.violations[0].path.startswith("spec.steps[0].together.branches[0].steps[0]")


def test_names_are_unique_among_branches_and_in_each():
    doubled = beside("wait")
    doubled["branches"][1]["name"] = "a"
    doubled["branches"][0]["steps"] *= 2
    with pytest.raises(InvalidInputError) as error:
        parse_recipe(recipe({"name": "a", "together": doubled}))
    assert [(each.path, each.rule) for each in error.value.violations] == [
        ("spec.steps[0].together.branches[1].name", "two branches of one list have this name"),
        (
            "spec.steps[0].together.branches[0].steps[1].name",
            "two steps of one list have this name",
        ),
    ]


def beside(kind):
    leaf = {"name": "x", kind: BODIES[kind]}
    return {"branches": [{"name": "a", "steps": [leaf]}, {"name": "b", "steps": [leaf]}]}
