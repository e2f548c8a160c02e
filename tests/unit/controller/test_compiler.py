import pytest

from ald.controller.compiler import (
    Compiler,
    compile_plant,
    compile_program,
    compile_rest,
    judge,
)
from ald.controller.names import Key
from ald.controller.run_decision import Compiled, Rejected
from ald.program.model import digest as program_digest
from ald.wire import Reached
from unit.controller import situations as s


def test_a_machine_becomes_a_plant_with_identity_generation_and_digest():
    plant = s.PLANT.plant
    assert plant is not None
    assert (plant.identity.installation, plant.identity.name) == ("ald", "demo-reactor")
    assert plant.generation == 1
    assert len(s.PLANT.digest) == 64


def test_an_invalid_machine_gives_every_violation():
    found = compile_plant(s.edited(s.MACHINE, "spec.valves", []), "ald")
    assert found.plant is None
    assert found.violations


@pytest.mark.parametrize(
    ("run", "recipe", "reason"),
    [
        (s.edited(s.RUN, "spec.inputs", {"cycles": 0}), s.RECIPE, "InvalidInput"),
        (s.edited(s.RUN, "spec.inputs", {"nothing": 1}), s.RECIPE, "InvalidInput"),
        (s.edited(s.RUN, "spec.unknown", 1), s.RECIPE, "InvalidInput"),
        (
            s.edited(s.RUN, "spec.startAt", {"step": "deposit", "cycle": 0}),
            s.RECIPE,
            "InvalidInput",
        ),
        (
            s.edited(s.RUN, "spec.startAt", {"step": "deposit", "cycle": 101}),
            s.RECIPE,
            "InvalidInput",
        ),
        (
            s.edited(s.RUN, "spec.startAt", {"step": "carrier", "cycle": 1}),
            s.RECIPE,
            "InvalidInput",
        ),
        (
            s.edited(s.RUN, "spec.startAt", {"step": "deposit", "cycle": 1, "outerCycles": [1]}),
            s.RECIPE,
            "InvalidInput",
        ),
        (s.RUN, s.edited(s.RECIPE, "spec.steps", []), "InvalidRecipe"),
        (s.RUN, s.edited(s.RECIPE, "spec.steps.4.loop.steps.0.valve.valve", "x"), "InvalidRecipe"),
        (s.RUN, s.edited(s.RECIPE, "spec.description", "x" * 200_001), "InvalidRecipe"),
    ],
)
def test_it_is_told_whether_the_run_or_the_recipe_is_at_fault(run, recipe, reason):
    assert s.PLANT.plant is not None
    found = compile_program(recipe, run, s.PLANT.plant)
    assert isinstance(found, Rejected)
    assert found.reason == reason


def test_a_program_carries_the_digest_of_the_plant_it_was_compiled_against():
    assert s.PLANT.plant is not None
    found = compile_program(s.RECIPE, s.RUN, s.PLANT.plant)
    assert isinstance(found, Compiled)
    assert found.program.plant_digest == s.PLANT.digest


def test_a_run_that_starts_at_a_cycle_gets_the_program_from_there_on():
    found = s.compiled(s.edited(s.RUN, "spec.startAt", {"step": "deposit", "cycle": 38}))
    assert found.program.estimate.openings["tma"] == 63
    assert found.digest == program_digest(found.program) != s.compiled().digest


@pytest.mark.requirement("REC-01")
def test_a_cycle_that_is_not_there_is_told_with_path_value_rule_and_what_to_do():
    run = s.edited(s.RUN, "spec.startAt", {"step": "deposit", "cycle": 101})
    assert s.PLANT.plant is not None
    found = compile_program(s.RECIPE, run, s.PLANT.plant)
    assert isinstance(found, Rejected)
    assert [str(each) for each in found.violations] == [
        (
            "spec.startAt.cycle (is 101): loop deposit has the cycles 1 to 100 in this run; choose one of them, or correct the"
            " inputs that say how many there are"
        )
    ]


@pytest.mark.parametrize(
    ("recipe", "plant", "reason"),
    [
        (s.RECIPE, s.PLANT, "Accepted"),
        (s.RECIPE, compile_plant(s.edited(s.MACHINE, "spec.valves", []), "ald"), "InvalidMachine"),
        (s.edited(s.RECIPE, "spec.inputs.0.default", ...), s.PLANT, "InputRequired"),
        (
            s.edited(s.RECIPE, "spec.steps.4.loop.steps.0.valve.valve", "x"),
            s.PLANT,
            "InvalidRecipe",
        ),
    ],
)
def test_a_recipe_is_judged_on_each_machine(recipe, plant, reason):
    judged = judge(recipe, [("demo-reactor", 1, plant)])
    assert judged.reason == "Accepted"
    assert [each.reason for each in judged.verdicts] == [reason]


async def test_a_plant_is_compiled_once_for_each_version_of_its_machine():
    compiler = Compiler("ald")
    first = await compiler.plant(s.MACHINE)
    assert await compiler.plant(s.edited(s.MACHINE, "status.state", "Idle")) is first
    second = await compiler.plant(s.edited(s.MACHINE, "metadata.generation", 2))
    assert second.digest != first.digest
    compiler.forget(Key(s.SPACE, "demo-reactor"))
    assert await compiler.plant(s.edited(s.MACHINE, "metadata.generation", 2)) is not second


def interrupted(step="", iterations=(), **changes):
    reached = Reached(step=step, iterations=iterations)
    program_digest = s.compiled().digest
    return s.progress_of(reached=reached, **{"program_digest": program_digest, **changes})


def rest_of(progress, run=s.RUN, recipe=s.RECIPE):
    assert s.PLANT.plant is not None
    return compile_rest(recipe, run, s.PLANT.plant, progress)


def test_of_an_interrupted_run_what_is_left_is_compiled_and_counted_as_the_next_attempt():
    found = rest_of(interrupted("deposit/tma", ((37, 100),), attempt=2))
    assert isinstance(found, Compiled)
    assert found.attempt == 3
    assert found.program.estimate.openings["tma"] == 63
    assert found.digest == program_digest(found.program)


def test_a_run_of_which_nothing_had_begun_begins_as_it_was():
    found = rest_of(interrupted())
    assert isinstance(found, Compiled)
    assert (found.digest, found.attempt) == (s.compiled().digest, 2)


def test_a_run_that_began_in_the_middle_goes_on_behind_what_it_reached_in_the_whole():
    run = s.edited(s.RUN, "spec.startAt", {"step": "deposit", "cycle": 20})
    progress = interrupted("deposit/tma", ((37, 100),), program_digest=s.compiled(run).digest)
    found = rest_of(progress, run)
    assert isinstance(found, Compiled)
    assert found.program.estimate.openings["tma"] == 63


def test_a_recipe_that_was_changed_meanwhile_is_not_gone_on_with():
    recipe = s.edited(s.RECIPE, "metadata.generation", 7)
    found = rest_of(interrupted("deposit/tma", ((37, 100),)), recipe=recipe)
    assert isinstance(found, Rejected)
    assert "changed since the run began" in found.violations[0].rule


def test_what_was_digested_first_is_what_the_status_says():
    run = s.edited(s.RUN, "status.programDigest", s.compiled().digest)
    found = rest_of(
        interrupted("deposit/tma", ((37, 100),), attempt=2, program_digest="e" * 64), run
    )
    assert isinstance(found, Compiled)
