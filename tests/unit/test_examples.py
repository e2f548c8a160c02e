"""The examples do what they say."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ald.api.parse import parse_machine, parse_recipe, parse_run
from ald.errors import InvalidInputError
from ald.plant.model import Identity, Plant, digest
from ald.program.compile.begin import begin
from ald.program.compile.inputs import Value
from ald.program.compile.machine import compile_machine
from ald.program.compile.recipe import RecipeSource, compile_recipe
from ald.program.model import EndLoop, Program
from ald.units import parse_duration_ns

EXAMPLES = Path(__file__).parents[2] / "examples"
RUNS = sorted(path.stem for path in (EXAMPLES / "runs").glob("*.yaml"))
RECIPES = sorted(path.stem for path in (EXAMPLES / "recipes").glob("*.yaml"))
MACHINES = ("demo-reactor", "reactor-1")


def load(path: str) -> Any:
    return yaml.safe_load((EXAMPLES / path).read_text())


def plant(name: str) -> Plant:
    identity = Identity(installation="i", namespace="n", name=name, uid="u")
    return compile_machine(parse_machine(load(f"machines/{name}.yaml")).spec, identity, 1)


def program(recipe: str, machine: str, inputs: dict[str, Value] | None = None) -> Program:
    on = plant(machine)
    source = RecipeSource(name=recipe, uid="u", generation=1)
    spec = parse_recipe(load(f"recipes/{recipe}.yaml")).spec
    return compile_recipe(spec, source, on, digest(on), inputs or {})


def run_of(name: str) -> Program:
    spec = parse_run(load(f"runs/{name}.yaml")).spec
    found = program(spec.recipe_ref.name, spec.machine_ref.name, spec.inputs)
    return begin(found, spec.start_at, plant(spec.machine_ref.name))


@pytest.mark.parametrize("name", RUNS)
def test_every_run_can_run_where_it_says(name):
    assert run_of(name).estimate.leaves > 0


def test_a_run_that_takes_up_another_does_what_is_left_of_it():
    found = run_of("al2o3-restart")
    assert found.estimate.openings["tma"] == run_of("al2o3").estimate.openings["tma"] - 37
    first = [each.name for each in found.instructions if not isinstance(each, EndLoop)]
    assert first[: first.index("deposit")] == [
        "restore: carrier",
        "restore: heater-on",
        "restore: heat",
        "restore: settle",
        "restore: deposit/purge-water",
    ]
    assert run_of("laminate-restart").estimate.openings == {"tma": 0, "water": 1, "spare": 2}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("recipe", [name for name in RECIPES if name != "al2o3-demo"])
def test_every_recipe_but_the_hurried_one_is_valid_on_both_machines(recipe, machine):
    assert program(recipe, machine).estimate.leaves > 0


def test_the_hurried_recipe_purges_too_little_for_the_real_reactor():
    with pytest.raises(InvalidInputError, match="needs 1s of purge before this opening"):
        program("al2o3-demo", "reactor-1")


@pytest.mark.requirement("REC-02")
@pytest.mark.parametrize("machine", MACHINES)
def test_the_reference_recipe_has_48_steps(machine):
    assert program("reference", machine).estimate.leaves == 48


def test_the_demo_takes_about_seventy_seconds_and_opens_each_valve_a_hundred_times():
    found = program("al2o3-demo", "demo-reactor").estimate
    assert found.minimum_ns == found.maximum_ns
    assert parse_duration_ns("60s", "") < found.maximum_ns < parse_duration_ns("75s", "")
    assert found.openings == {"tma": 100, "water": 100, "spare": 0}


def test_the_real_reactor_only_watches_until_a_person_says_otherwise():
    assert load("machines/reactor-1.yaml")["spec"]["mode"] == "Observe"


def test_the_readme_names_every_recipe_and_machine():
    text = (EXAMPLES / "README.md").read_text()
    assert [name for name in (*RECIPES, *MACHINES) if name not in text] == []
