"""Documents as they come from the API server, and what the parser says of broken ones."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from ald.api.parse import parse_action, parse_machine, parse_recipe, parse_run
from ald.errors import InvalidInputError, Violation

EXAMPLES = Path(__file__).parents[3] / "examples"
PARSERS = {
    "Machine": parse_machine,
    "Recipe": parse_recipe,
    "RecipeRun": parse_run,
    "MachineAction": parse_action,
}
SPECS: dict[str, dict[str, object]] = {
    "Machine": {"plc": {"host": "plc"}, "safeState": {}},
    "Recipe": {"steps": [{"name": "rest", "wait": {"duration": "1s"}}]},
    "RecipeRun": {"recipeRef": {"name": "a"}, "machineRef": {"name": "b"}},
    "MachineAction": {"machineRef": {"name": "b"}, "verb": "Clear"},
}


def document(kind: str, **spec: object) -> dict[str, object]:
    return {
        "apiVersion": "ald.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "x", "labels": {"a": "b"}},
        "spec": SPECS[kind] | spec,
    }


def recipe(*steps: object) -> dict[str, object]:
    return document("Recipe", steps=list(steps))


def parsed(doc: Mapping[str, object]):
    return PARSERS[str(doc["kind"])](doc)


def violations(doc: Mapping[str, object]) -> tuple[Violation, ...]:
    with pytest.raises(InvalidInputError) as caught:
        parsed(doc)
    return caught.value.violations


def violation(doc: Mapping[str, object]) -> Violation:
    (only,) = violations(doc)
    return only


def example(path: str) -> dict[str, object]:
    loaded: dict[str, object] = yaml.safe_load((EXAMPLES / path).read_text())
    return loaded
