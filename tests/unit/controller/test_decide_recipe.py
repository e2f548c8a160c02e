from typing import get_args

import pytest

from ald.api.recipe import RecipeReason, RecipeStatus, VerdictReason
from ald.controller.compiler import judge
from ald.controller.decide_recipe import (
    RECIPE_BYTES_MAX,
    Judged,
    Verdict,
    decide_recipe,
    recipe_bytes,
    too_large,
)
from ald.errors import Violation
from unit.controller import situations as s

WRONG = Violation(path="spec.steps[0]", value="", rule="no", hint="do")


def decide(judged):
    status = decide_recipe(s.RECIPE, judged, now=s.NOW)
    RecipeStatus.model_validate(status)
    assert status["conditions"][0]["reason"] in get_args(RecipeReason)
    assert all(m["reason"] in get_args(VerdictReason) for m in status.get("machines", []))
    return status


def test_a_good_recipe_says_where_it_runs():
    status = decide(judge(s.RECIPE, [("demo-reactor", 3, s.PLANT)]))
    assert status["observedGeneration"] == 1
    assert status["conditions"][0]["status"] == "True"
    assert "demo-reactor" in status["conditions"][0]["message"]
    (machine,) = status["machines"]
    assert machine["valid"]
    assert machine["steps"] == 406
    assert machine["duration"]
    assert machine["machineGeneration"] == 3


def test_without_a_machine_a_recipe_is_valid_in_itself():
    status = decide(judge(s.RECIPE, []))
    assert status["conditions"][0]["status"] == "True"
    assert "machines" not in status


@pytest.mark.parametrize("reason", ["InvalidSpec", "TooLarge"])
def test_a_bad_recipe_says_what_is_wrong(reason):
    status = decide(Judged(reason=reason, violations=(WRONG,)))
    assert status["conditions"][0]["status"] == "False"
    assert "spec.steps[0]" in status["conditions"][0]["message"]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ({"reason": "InvalidMachine", "violations": (WRONG,)}, "Machine is not valid"),
        ({"reason": "InvalidRecipe", "violations": (WRONG,)}, "spec.steps[0]"),
        ({"reason": "InputRequired", "inputs": ("cycles", "dose")}, "cycles, dose"),
    ],
)
def test_a_machine_that_it_cannot_run_on_is_told_with_the_reason(verdict, words):
    each = Verdict(machine="demo-reactor", generation=1, **verdict)
    status = decide(Judged(reason="Accepted", verdicts=(each,)))
    (machine,) = status["machines"]
    assert not machine["valid"]
    assert words in machine["message"]
    told = status["conditions"][0]["message"]
    assert "no machine" in told
    assert words in told


def test_the_limit_counts_the_spec_as_json():
    small = s.edited(s.RECIPE, "spec.description", "")
    exact = s.edited(s.RECIPE, "spec.description", "x" * (RECIPE_BYTES_MAX - recipe_bytes(small)))
    assert not too_large(exact)
    assert too_large(s.edited(exact, "spec.description", exact["spec"]["description"] + "x"))
