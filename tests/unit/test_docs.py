"""Every YAML example in the pages for readers is what the page says it is: accepted, or refused at the path in its first line."""

import re
from pathlib import Path

import pytest
import yaml

from ald.api.parse import parse_action, parse_machine, parse_recipe, parse_run
from ald.errors import InvalidInputError
from ald.plant.model import Identity, digest
from ald.program.compile.inputs import resolve_inputs
from ald.program.compile.machine import compile_machine
from ald.program.compile.recipe import RecipeSource, compile_recipe

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^( *)```yaml\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
EXAMPLES = [
    pytest.param(match[2], id=f"{page.stem}-{number}")
    for page in PAGES
    for number, match in enumerate(BLOCK.finditer(page.read_text()))
    if "kind:" in match[2] and "apiVersion: v1\n" not in match[2]
]
IDENTITY = Identity(installation="i", namespace="n", name="demo-reactor", uid="u")


def accept(document: dict[str, object]) -> None:
    """Parse the document, and compile it when it is a recipe."""
    match document["kind"]:
        case "Machine":
            compile_machine(parse_machine(document).spec, IDENTITY, 1)
        case "Recipe":
            machine = yaml.safe_load((ROOT / "examples/machines/demo-reactor.yaml").read_text())
            plant = compile_machine(parse_machine(machine).spec, IDENTITY, 1)
            spec = parse_recipe(document).spec
            source = RecipeSource(name="r", uid="u", generation=1)
            compile_recipe(spec, source, plant, digest(plant), resolve_inputs(spec.inputs, {}))
        case "RecipeRun":
            parse_run(document)
        case "MachineAction":
            parse_action(document)
        case kind:
            pytest.fail(f"no example of a {kind} is expected")


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_accepted_or_refused_as_the_page_says(text: str) -> None:
    refused = re.match(r"# refused: (\S+)\n", text)
    for document in yaml.safe_load_all(text):
        if refused is None:
            accept(document)
            continue
        with pytest.raises(InvalidInputError) as caught:
            accept(document)
        assert refused[1] in str(caught.value)


def test_the_pages_hold_examples() -> None:
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
