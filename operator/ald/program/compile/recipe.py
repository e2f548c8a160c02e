"""From a Recipe, a Plant and a run's inputs to a Program, or to every rule that the recipe breaks."""

from collections.abc import Iterator, Mapping

import msgspec

from ald.api import recipe as api
from ald.api.recipe import RecipeSpec
from ald.errors import Violation
from ald.plant.model import Plant
from ald.program import pulse_limit
from ald.program.compile.findings import Findings
from ald.program.compile.inputs import Value, check_inputs, resolve_inputs
from ald.program.compile.quantities import Quantities
from ald.program.compile.steps import Names, Steps
from ald.program.estimate import estimate, size_violations
from ald.program.model import Instruction, Program, Timing
from ald.program.verify import verify
from ald.units import format_duration, parse_duration_ns


class RecipeSource(msgspec.Struct, frozen=True, kw_only=True):
    """Which version of which recipe a program is made from."""

    name: str
    uid: str
    generation: int


def check_recipe(spec: RecipeSpec) -> None:
    """Check what needs no machine: inputs, names, quantities, conditions.

    Raises:
        InvalidInputError: with every broken rule, each with its path in the recipe.
    """
    findings = Findings()
    defaults = check_inputs(spec.inputs, findings)
    steps = Steps(None, Quantities(spec.inputs, defaults, findings), findings)
    steps.add(spec.steps, "spec.steps")
    steps.add(spec.cleanup, "spec.cleanup")
    findings.finish()


def compile_recipe(
    spec: RecipeSpec,
    source: RecipeSource,
    plant: Plant,
    plant_digest: str,
    inputs: Mapping[str, Value],
) -> Program:
    """Return the program of a recipe on `plant`, proven and estimated.

    Args:
        spec: what `ald.api` has accepted; what `check_recipe` would say is said here as well.
        source: goes into the program as it is.
        plant: the machine.
        plant_digest: `ald.plant.model.digest(plant)`, which the caller usually has.
        inputs: by name, as a run gives them.

    Raises:
        InvalidInputError: with every broken rule. Where the inputs themselves are wrong, only those are named, with their
            paths in the run; all other paths are the recipe's.
    """
    findings = Findings()
    check_inputs(spec.inputs, findings)
    findings.finish()
    values = resolve_inputs(spec.inputs, inputs)
    steps = Steps(Names(plant), Quantities(spec.inputs, values, findings), findings)
    steps.add(spec.steps, "spec.steps")
    cleanup = len(steps.instructions)
    steps.add(spec.cleanup, "spec.cleanup")
    instructions = tuple(steps.instructions)
    found = estimate(instructions, plant)
    findings.extend(size_violations(instructions, found))
    proof = verify(instructions, cleanup, plant)
    timing = timing_of(spec.timing)
    findings.extend(_short_pulses(instructions, plant, timing))
    if steps.provable:
        findings.extend(proof.violations)
    findings.finish()
    return Program(
        recipe=source.name,
        recipe_uid=source.uid,
        recipe_generation=source.generation,
        plant_digest=plant_digest,
        inputs=values,
        instructions=instructions,
        cleanup=cleanup,
        estimate=found,
        separations=proof.separations,
        timing=timing,
    )


def timing_of(wanted: api.Timing) -> Timing:
    """Return how exact the pulses have to be."""
    return Timing(
        max_error_ns=parse_duration_ns(wanted.max_error, "spec.timing.maxError")
        if wanted.max_error is not None
        else None,
        max_relative_error=wanted.max_relative_error,
        allow_short=wanted.short_pulses == "Allow",
    )


def _short_pulses(
    instructions: tuple[Instruction, ...], plant: Plant, timing: Timing
) -> Iterator[Violation]:
    """Yield the pulses that no link could time well enough: the cycle of the PLC alone is too long for them."""
    limit_ns = pulse_limit.minimum_ns(plant.link.cycle_ns, 0, timing)
    made_of = f"plc.cycle {format_duration(plant.link.cycle_ns)}"
    for pulse in (
        pulse_limit.too_short(instructions, plant, limit_ns) if not timing.allow_short else ()
    ):
        yield Violation(
            path=pulse.path,
            value=format_duration(pulse.open_ns),
            rule=pulse_limit.reason(pulse, limit_ns, made_of, timing),
            hint=pulse_limit.ADVICE,
        )
