"""Conditions of recipes and of machines are read by one rule: each row is refused by both with the same words."""

import pytest

from ald.errors import InvalidInputError
from unit.program.compile.test_interlocks import GOOD, refused
from unit.program.reactors import PLANT, program_of, recipe

TEXTS = (
    "value('chamber.temprature') < 320.0",
    "value('chamber.temperature')",
    "value(",
    "setpoint('chamber.temperature') < 320.0",
)


def refused_recipe(condition):
    step = {"condition": condition, "stableFor": "1s", "timeout": "1m"}
    with pytest.raises(InvalidInputError) as caught:
        program_of(recipe([{"name": "settle", "waitFor": step}]))
    (found,) = caught.value.violations
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_a_recipe_and_a_machine_refuse_the_same_conditions_with_the_same_words(text):
    of_machine = refused({**GOOD, "permissive": text})["spec.interlocks[0].permissive"]
    of_recipe = refused_recipe(text)
    assert (of_machine.rule, of_machine.hint) == (of_recipe.rule, of_recipe.hint)
    assert of_recipe.path.endswith(".waitFor.condition")
    assert PLANT.interlocks == ()
