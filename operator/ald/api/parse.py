"""From a document to a model, or to every broken rule with its path in the user's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ald.api import wording
from ald.api.action import MachineAction
from ald.api.machine import Machine
from ald.api.meta import API_VERSION
from ald.api.recipe import LOOP_DEPTH_MAX, Recipe, Step, TogetherStep
from ald.api.run import RecipeRun
from ald.errors import InvalidInputError, Violation

VIOLATIONS_MAX = 20
"""Violations reported of one document; more do not help anybody."""

_Resource = TypeVar("_Resource", Machine, Recipe, RecipeRun, MachineAction)
_NOT_PARSED = ("apiVersion", "kind", "status")


def parse_machine(document: Mapping[str, object]) -> Machine:
    """Return the Machine in a document as read from YAML or from the API server; its status is left alone.

    Raises:
        InvalidInputError: with every broken rule, in the order of the document.
    """
    return _parse(Machine, document)


def parse_recipe(document: Mapping[str, object]) -> Recipe:
    """Return the Recipe in a document; step names are unique in their lists and loops nest at most four deep.

    Raises:
        InvalidInputError: with every broken rule, in the order of the document.
    """
    recipe = _parse(Recipe, document)
    found = [
        *_step_violations(recipe.spec.steps, "spec.steps", 0),
        *_step_violations(recipe.spec.cleanup, "spec.cleanup", 0),
    ]
    if found:
        raise InvalidInputError(found[:VIOLATIONS_MAX])
    return recipe


def parse_run(document: Mapping[str, object]) -> RecipeRun:
    """Return the RecipeRun in a document.

    Raises:
        InvalidInputError: with every broken rule, in the order of the document.
    """
    return _parse(RecipeRun, document)


def parse_action(document: Mapping[str, object]) -> MachineAction:
    """Return the MachineAction in a document.

    Raises:
        InvalidInputError: with every broken rule, in the order of the document.
    """
    return _parse(MachineAction, document)


def _parse(model: type[_Resource], document: Mapping[str, object]) -> _Resource:
    kind = model.__name__
    for key, wanted in (("apiVersion", API_VERSION), ("kind", kind)):
        if document.get(key) != wanted:
            raise InvalidInputError(
                [
                    Violation(
                        path=key,
                        value=wording.shown(document.get(key, "")),
                        rule=f"this is no {kind} of {API_VERSION}",
                        hint=f"write {key}: {wanted}",
                    )
                ]
            )
    body = {key: value for key, value in document.items() if key not in _NOT_PARSED}
    try:
        return model.model_validate(body)
    except ValidationError as error:
        causes = _causes(error.errors(include_url=False))[:VIOLATIONS_MAX]
        raise InvalidInputError([wording.violation(model, each) for each in causes]) from None


def _causes(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out that a list is too short where that is only so because its entries are wrong."""
    return [
        each
        for each in errors
        if each["type"] != "too_short"
        or not any(
            len(other["loc"]) > len(each["loc"]) and other["loc"][: len(each["loc"])] == each["loc"]
            for other in errors
        )
    ]


def _step_violations(steps: Sequence[Step], path: str, depth: int) -> Iterator[Violation]:
    """What the schema says by its shape (depth) or cannot say (unique names in order)."""
    yield from _name_violations([each.name for each in steps], path, "steps")
    for index, step in enumerate(steps):
        here = f"{path}[{index}]"
        if step.together is not None:
            yield from _branch_violations(step.together, f"{here}.together.branches")
        if step.loop is None:
            continue
        if depth == LOOP_DEPTH_MAX:
            yield Violation(
                path=f"{here}.loop",
                value="",
                rule=f"loops nest at most {LOOP_DEPTH_MAX} deep",
                hint="flatten the innermost loops",
            )
        else:
            yield from _step_violations(step.loop.steps, f"{here}.loop.steps", depth + 1)


def _branch_violations(together: TogetherStep, path: str) -> Iterator[Violation]:
    yield from _name_violations([each.name for each in together.branches], path, "branches")
    for index, branch in enumerate(together.branches):
        here = f"{path}[{index}].steps"
        yield from _name_violations([each.name for each in branch.steps], here, "steps")


def _name_violations(names: Sequence[str], path: str, what: str) -> Iterator[Violation]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Violation(
                path=f"{path}[{index}].name",
                value=name,
                rule=f"two {what} of one list have this name",
                hint=f"give each of the {what} a name of its own",
            )
