"""What the status of a Recipe says. Pure."""

from __future__ import annotations

import msgspec

from ald.controller.apply import Document
from ald.controller.conditions import Fact, bounded, conditions, listed
from ald.controller.world import generation
from ald.errors import Violation

RECIPE_BYTES_MAX = 200_000
"""A larger recipe is not read: it would be slow to check, and loops say the same in less."""

MACHINES_MAX = 16
"""Machines that a recipe is judged on; the schema of the status takes as many."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a recipe is on one machine; `reason` is of the closed list of the status."""

    machine: str
    generation: int
    reason: str
    violations: tuple[Violation, ...] = ()
    inputs: tuple[str, ...] = ()
    steps: int | None = None
    duration: str = ""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What a recipe is in itself: Accepted, InvalidSpec or TooLarge; and on each machine."""

    reason: str
    violations: tuple[Violation, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


def recipe_bytes(recipe: Document) -> int:
    """Return the size of a recipe's spec as JSON."""
    return len(msgspec.json.encode(recipe.get("spec")))


def too_large(recipe: Document) -> bool:
    """Return whether a recipe is over `RECIPE_BYTES_MAX`."""
    return recipe_bytes(recipe) > RECIPE_BYTES_MAX


def decide_recipe(recipe: Document, judged: Judged, *, now: str) -> Document:
    """Return the status of a recipe; `now` is an RFC 3339 time."""
    valid = judged.reason == "Accepted"
    if valid:
        message = f"Valid. {_where(judged.verdicts)}".rstrip()
    else:
        message = listed(judged.violations, 10)
    fact = Fact(
        type="Valid",
        status="True" if valid else "False",
        reason=judged.reason,
        message=bounded(message),
    )
    old = recipe.get("status", {}).get("conditions", [])
    status: Document = {
        "observedGeneration": generation(recipe),
        "conditions": conditions([fact], old, now=now, generation=generation(recipe)),
    }
    if judged.verdicts:
        status["machines"] = [_machine(each) for each in judged.verdicts]
    return status


def _where(verdicts: tuple[Verdict, ...]) -> str:
    """Return where a recipe runs; where it runs nowhere, why not on the first machine."""
    good = [each.machine for each in verdicts if each.reason == "Accepted"]
    if good:
        return f"Runs on {', '.join(good)}."
    if not verdicts:
        return ""
    first = verdicts[0]
    more = " See status.machines for the others." if len(verdicts) > 1 else ""
    why = _message(first).rstrip(".")
    return f"Runs on no machine of its namespace yet; on {first.machine}: {why}.{more}"


def _machine(verdict: Verdict) -> Document:
    result: Document = {
        "name": verdict.machine,
        "valid": verdict.reason == "Accepted",
        "reason": verdict.reason,
        "message": bounded(_message(verdict)),
        "machineGeneration": verdict.generation,
    }
    if verdict.steps is not None:
        result |= {"steps": verdict.steps, "duration": verdict.duration}
    return result


def _message(verdict: Verdict) -> str:
    match verdict.reason:
        case "Accepted":
            return ""
        case "InputRequired":
            names = ", ".join(verdict.inputs)
            return f"Judged when a run gives {names}, which have no default."
        case "InvalidMachine":
            return f"The Machine is not valid: {listed(verdict.violations)}"
        case _:
            return listed(verdict.violations)
