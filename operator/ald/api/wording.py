"""Pydantic's errors in plain language: where, what rule, and what to do."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from ald.api.fields import (
    GAS_PATTERN,
    INPUT_PATTERN,
    NAME_PATTERN,
    PARAMETER_PATTERN,
)
from ald.errors import Violation
from ald.units import DURATION_PATTERN

Loc = Sequence[int | str]
_Context = Mapping[str, object]

_PATTERNS = {
    DURATION_PATTERN: (
        "a duration is numbers with units ms, s, m or h",
        "write for example 40ms, 1.5s or 1h30m",
    ),
    NAME_PATTERN: (
        "a name is lower case letters, digits and hyphens",
        "write for example purge-tma",
    ),
    PARAMETER_PATTERN: (
        "a parameter is named component.parameter in lower kebab case",
        "write for example chamber-heater.temperature-read",
    ),
    INPUT_PATTERN: (
        "the name of an input is letters, digits and hyphens, beginning with a letter",
        "write for example cycles",
    ),
    GAS_PATTERN: ("a gas is named by letters, digits and hyphens", "write for example N2"),
}

_RULES: dict[str, Callable[[_Context], tuple[str, str]]] = {
    "missing": lambda _: ("is required", "add it"),
    "exactly_one": lambda c: (
        f"needs exactly one of {c['names']}, and has {c['found']}",
        "write one of them",
    ),
    "duration": lambda c: (f"{c['rule']}", "write a shorter duration"),
    "duration_range": lambda c: (
        f"must be from {c['minimum']} to {c['maximum']}",
        "choose a duration in that range",
    ),
    "scalar": lambda c: (f"must be {c['kinds']}", "write it without quotation marks"),
    "string_type": lambda _: (
        "must be a text",
        "put it in quotation marks, or give a duration its unit, such as 40ms",
    ),
    "string_too_long": lambda c: (f"is longer than {c['max_length']} characters", "shorten it"),
    "string_too_short": lambda _: ("must not be empty", "write it"),
    "int_type": lambda _: ("must be a whole number", "write it without a point or quotation marks"),
    "float_type": lambda _: ("must be a number", "write it without quotation marks"),
    "finite_number": lambda _: ("must be a finite number", "write a number"),
    "bool_type": lambda _: ("must be true or false", "write it without quotation marks"),
    "literal_error": lambda c: (f"must be {c['expected']}", "choose one of them"),
    "greater_than_equal": lambda c: (f"must be at least {c['ge']}", "choose a larger value"),
    "less_than_equal": lambda c: (f"must be at most {c['le']}", "choose a smaller value"),
    "too_long": lambda c: (
        f"has more than {c['max_length']} entries",
        "remove some, or split it in two",
    ),
    "too_short": lambda _: ("must not be empty", "write at least one entry"),
    "tuple_type": lambda _: ("must be a list", "write entries that begin with a hyphen"),
    "model_type": lambda _: ("must be an object with fields", "write fields below it"),
    "dict_type": lambda _: ("must be an object with fields", "write fields below it"),
}


def violation(model: type[BaseModel], details: ErrorDetails) -> Violation:
    """Return one of pydantic's errors, found while reading `model`, in our words."""
    value = "" if details["type"] in ("missing", "exactly_one") else shown(details["input"])
    rule, hint = _rule(model, details)
    return Violation(path=path(details["loc"]), value=value, rule=rule, hint=hint)


def path(loc: Loc) -> str:
    """Return `spec.steps[3].loop` for ("spec", "steps", 3, "loop")."""
    return "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc if part != "[key]"
    ).lstrip(".")


def shown(value: object) -> str:
    """Return a value as written, at most 100 characters; objects and lists only by their kind."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return json.dumps(value, ensure_ascii=False, default=str)[:100]


def _rule(model: type[BaseModel], details: ErrorDetails) -> tuple[str, str]:
    context: _Context = details.get("ctx", {})
    if details["type"] == "extra_forbidden":
        return "there is no such field", _suggestion(model, details["loc"])
    if details["type"] == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        return _PATTERNS.get(pattern, (f"must match {pattern}", "correct it"))
    words = _RULES.get(details["type"])
    return words(context) if words else (details["msg"], "correct it")


def _suggestion(model: type[BaseModel], loc: Loc) -> str:
    here = _model_at(model, loc[:-1])
    fields = [field.alias or name for name, field in here.model_fields.items()]
    near = difflib.get_close_matches(str(loc[-1]), fields, n=1)
    return f"did you mean {near[0]}?" if near else f"fields here are {', '.join(fields)}"


def _model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel]:
    for part in loc:
        for name, field in model.model_fields.items():
            if part == (field.alias or name):
                model = _model_in(field.annotation) or model
    return model


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in get_args(annotation))
    return next((each for each in found if each is not None), None)
