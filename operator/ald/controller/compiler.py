"""From documents to plants and programs: the operator's way into `ald.api` and `ald.program.compile`.

Compiling is pure but may take tens of milliseconds, so it is done in a thread, and in one only: others would only take turns
with the loop that has aborts to send. Plants are kept while their Machine is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec
from typing_extensions import TypeVarTuple, Unpack

from ald.api.parse import parse_machine, parse_recipe, parse_run
from ald.api.run import RecipeRun
from ald.controller.apply import Document, key_of
from ald.controller.decide_recipe import Judged, Verdict, recipe_bytes, too_large
from ald.controller.names import Key
from ald.controller.plan import duration
from ald.controller.run_decision import Compiled, Rejected
from ald.controller.world import generation, uid
from ald.errors import InvalidInputError, Violation
from ald.plant.model import Identity, Plant
from ald.plant.model import digest as plant_digest
from ald.program.compile.begin import begin
from ald.program.compile.inputs import required_inputs, resolve_inputs
from ald.program.compile.machine import compile_machine
from ald.program.compile.recipe import RecipeSource, check_recipe, compile_recipe
from ald.program.model import Program
from ald.program.model import digest as program_digest
from ald.program.resume import resumed
from ald.wire import RunProgress

Given = TypeVarTuple("Given")
Result = TypeVar("Result")


class PlantResult(msgspec.Struct, frozen=True, kw_only=True):
    """The plant of a Machine with its digest, or why there is none."""

    plant: Plant | None = None
    digest: str = ""
    violations: tuple[Violation, ...] = ()


class Compiler:
    """Compiles for one installation."""

    def __init__(self, installation: str) -> None:
        self._installation = installation
        self._plants: dict[Key, tuple[str, int, PlantResult]] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compile")

    async def plant(self, machine: Document) -> PlantResult:
        """Return the plant of a Machine as it is now."""
        key = key_of(machine)
        known = self._plants.get(key)
        if known is not None and known[:2] == (uid(machine), generation(machine)):
            return known[2]
        result = await self._run(compile_plant, machine, self._installation)
        self._plants[key] = (uid(machine), generation(machine), result)
        return result

    async def program(
        self, recipe: Document, run: Document, plant: Plant, interrupted: RunProgress | None
    ) -> Compiled | Rejected:
        """Return the program of a run on a plant, or of what is left of an interrupted one, or why there is none."""
        if interrupted is None:
            return await self._run(compile_program, recipe, run, plant)
        return await self._run(compile_rest, recipe, run, plant, interrupted)

    async def judge(self, recipe: Document, machines: Sequence[Document]) -> Judged:
        """Return what a recipe is in itself and on each of the machines."""
        plants = [
            (key_of(each).name, generation(each), await self.plant(each)) for each in machines
        ]
        return await self._run(judge, recipe, plants)

    async def _run(self, work: Callable[[Unpack[Given]], Result], *given: *Given) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *given)

    def forget(self, machine: Key) -> None:
        """Forget a Machine that is gone."""
        self._plants.pop(machine, None)


def compile_plant(machine: Document, installation: str) -> PlantResult:
    """Return the plant of a Machine, or every rule that it breaks."""
    key = key_of(machine)
    identity = Identity(
        installation=installation, namespace=key.namespace, name=key.name, uid=uid(machine)
    )
    try:
        parsed = parse_machine(machine)
        plant = compile_machine(parsed.spec, identity, generation(machine))
    except InvalidInputError as error:
        return PlantResult(violations=error.violations)
    return PlantResult(plant=plant, digest=plant_digest(plant))


def compile_program(recipe: Document, run: Document, plant: Plant) -> Compiled | Rejected:
    """Return the program of a run on a plant, or every rule that the run or the recipe breaks."""
    found = _whole(recipe, run, plant)
    return found if isinstance(found, Rejected) else _begun(*found, plant)


def compile_rest(
    recipe: Document, run: Document, plant: Plant, interrupted: RunProgress
) -> Compiled | Rejected:
    """Return the program of what is left of a run behind what it had reached, or why there is none."""
    found = _whole(recipe, run, plant)
    if isinstance(found, Rejected):
        return found
    begun = _begun(*found, plant)
    if isinstance(begun, Rejected):
        return begun
    if begun.digest != (run.get("status", {}).get("programDigest") or interrupted.program_digest):
        return Rejected(reason="InvalidRecipe", violations=(_other_program(begun.digest),))
    attempt, reached = interrupted.attempt + 1, interrupted.reached
    if not reached.step:
        # Nothing but what restores had begun, if anything.
        return msgspec.structs.replace(begun, attempt=attempt)
    try:
        program = resumed(found[0], reached.step, reached.iterations, plant)
    except InvalidInputError as error:
        return Rejected(reason="InvalidRecipe", violations=error.violations)
    return Compiled(program=program, digest=program_digest(program), attempt=attempt)


def _whole(recipe: Document, run: Document, plant: Plant) -> tuple[Program, RecipeRun] | Rejected:
    """Return the program from the recipe's first step on, with the run as it was parsed, or why there is none."""
    if too_large(recipe):
        return Rejected(reason="InvalidRecipe", violations=(_size_violation(recipe),))
    reason = "InvalidInput"
    try:
        wanted = parse_run(run)
        reason = "InvalidRecipe"
        spec = parse_recipe(recipe).spec
        reason = "InvalidInput"
        resolve_inputs(spec.inputs, wanted.spec.inputs)
        reason = "InvalidRecipe"
        program = compile_recipe(
            spec, _source(recipe), plant, plant_digest(plant), wanted.spec.inputs
        )
    except InvalidInputError as error:
        return Rejected(reason=reason, violations=error.violations)
    return program, wanted


def _begun(whole: Program, wanted: RecipeRun, plant: Plant) -> Compiled | Rejected:
    """Return the program as the run begins it, or why it cannot begin there."""
    try:
        program = begin(whole, wanted.spec.start_at, plant)
    except InvalidInputError as error:
        return Rejected(reason="InvalidInput", violations=error.violations)
    return Compiled(program=program, digest=program_digest(program))


def _other_program(digest: str) -> Violation:
    return Violation(
        path="spec.recipeRef",
        value=digest[:12],
        rule="the recipe or the machine has been changed since the run began, so this is another program",
        hint="apply a new run; its startAt says where to begin",
    )


def judge(recipe: Document, plants: Sequence[tuple[str, int, PlantResult]]) -> Judged:
    """Return what a recipe is in itself and, with its default inputs, on each machine (name, generation, plant)."""
    if too_large(recipe):
        return Judged(reason="TooLarge", violations=(_size_violation(recipe),))
    try:
        spec = parse_recipe(recipe).spec
        check_recipe(spec)
    except InvalidInputError as error:
        return Judged(reason="InvalidSpec", violations=error.violations)
    missing = required_inputs(spec.inputs)
    verdicts = []
    for name, of_generation, result in plants:
        verdict = Verdict(machine=name, generation=of_generation, reason="Accepted")
        if result.plant is None:
            verdict = msgspec.structs.replace(
                verdict, reason="InvalidMachine", violations=result.violations
            )
        elif missing:
            verdict = msgspec.structs.replace(verdict, reason="InputRequired", inputs=missing)
        else:
            try:
                program = compile_recipe(spec, _source(recipe), result.plant, result.digest, {})
            except InvalidInputError as error:
                verdict = msgspec.structs.replace(
                    verdict, reason="InvalidRecipe", violations=error.violations
                )
            else:
                verdict = msgspec.structs.replace(
                    verdict, steps=program.estimate.leaves, duration=duration(program.estimate)
                )
        verdicts.append(verdict)
    return Judged(reason="Accepted", verdicts=tuple(verdicts))


def _source(recipe: Document) -> RecipeSource:
    return RecipeSource(name=key_of(recipe).name, uid=uid(recipe), generation=generation(recipe))


def _size_violation(recipe: Document) -> Violation:
    return Violation(
        path="spec",
        value=f"{recipe_bytes(recipe)} bytes",
        rule="a recipe is at most 200 kB",
        hint="say repetition with loops, or split it into several recipes",
    )
