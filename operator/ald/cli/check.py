"""`ald recipe check`: what a recipe would do on a machine, and what is proven of it, without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from ald.api.parse import parse_recipe
from ald.cli.documents import documents_in, plant_of
from ald.cli.examples import examples
from ald.cli.render import Output, show, show_json
from ald.cli.render_check import Checked, checked_page
from ald.errors import InvalidInputError, Violation
from ald.plant.model import Plant, digest
from ald.program.compile.inputs import Value
from ald.program.compile.recipe import RecipeSource, compile_recipe
from ald.program.model import Program
from ald.program.proof_table import proof_table
from ald.program.start_at import start_at
from ald.program.start_place import Start
from ald.program.table import duration_text, step_table

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    epilog=examples(
        "ald recipe check examples/recipes/al2o3-demo.yaml --machine examples/machines/demo-reactor.yaml",
        "ald recipe check examples/recipes/al2o3-demo.yaml --machine examples/machines/demo-reactor.yaml --input cycles=500",
        "ald recipe check examples/recipes/al2o3-demo.yaml --machine examples/machines/demo-reactor.yaml --start-at deposit=38",
    )
)
def check(
    recipe: Annotated[Path, typer.Argument(help="File with one Recipe.")],
    machine: Annotated[Path, typer.Option(help="File with one Machine.")],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="NAME=VALUE, as a run would give it.")
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            "--start-at", help="LOOP=CYCLE, as a run's startAt: deposit=38, or pair/first=3/8."
        ),
    ] = "",
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print.")] = Output.TABLE,
) -> None:
    """Compile a recipe against a machine as the operator does: its steps, its duration, and what is proven of its valves.

    Needs no cluster and moves nothing. Exit code 1 where the operator would refuse it, with every broken rule and its path.
    """
    plant = plant_of(_document(machine, "Machine"))
    program = _program(recipe, plant, dict(_given(each) for each in inputs or []))
    if start:
        program = start_at(program, _start(start), plant)
    found = Checked(
        recipe=program.recipe,
        machine=plant.identity.name,
        leaves=program.estimate.leaves,
        duration=duration_text(program.estimate.minimum_ns, program.estimate.maximum_ns),
        inputs=program.inputs,
        steps=step_table(program, plant),
        proof=proof_table(program, plant),
        openings=program.estimate.openings,
    )
    if output is Output.JSON:
        show_json(found)
    else:
        show(*checked_page(found))


def _program(file: Path, plant: Plant, inputs: dict[str, Value]) -> Program:
    parsed = parse_recipe(_document(file, "Recipe"))
    source = RecipeSource(name=parsed.metadata.name, uid="none", generation=0)
    return compile_recipe(parsed.spec, source, plant, digest(plant), inputs)


def _document(file: Path, kind: str) -> dict[str, Any]:
    """Return the one document of this kind in a file. Raises InvalidInputError, NotFoundError."""
    found = [document for document in documents_in(file) if isinstance(document, dict)]
    ours = [document for document in found if document.get("kind") == kind]
    if len(ours) != 1:
        kinds = ", ".join(str(document.get("kind")) for document in found) or "nothing"
        rule, hint = f"one {kind} is expected in the file", f"name a file with one {kind}"
        wrong = Violation(path=str(file), value=kinds, rule=rule, hint=hint)
        raise InvalidInputError([wrong])
    return ours[0]


def _start(text: str) -> Start:
    """Return the place that `pair/first=3/8` means: cycle 8 of that loop, in cycle 3 of the one around it."""
    name, _, written = text.partition("=")
    cycles = written.split("/")
    if not (name and all(each.isdecimal() for each in cycles)):
        wrong = f"write LOOP=CYCLE, deposit=38 or pair/first=3/8, not {text}"
        raise typer.BadParameter(wrong, param_hint="--start-at")
    *outer, cycle = (int(each) for each in cycles)
    return Start(step=name, cycle=cycle, outer_cycles=tuple(outer))


def _given(text: str) -> tuple[str, Value]:
    name, equals, written = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"write NAME=VALUE, not {text}", param_hint="--input")
    try:
        value = yaml.safe_load(written)
    except yaml.YAMLError:
        value = written
    return name, value if isinstance(value, bool | int | float | str) else written
