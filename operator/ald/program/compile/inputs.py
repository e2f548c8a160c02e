"""The inputs of a recipe: declared by the recipe, given by a run."""

import math
from collections.abc import Mapping, Sequence

from ald.api.recipe import Input
from ald.program.compile.findings import Findings, shown
from ald.units import parse_duration_ns

Value = bool | int | float | str
"""As written: durations in their text form."""

NUMBER_MAX = 1e300
"""No number of a plant comes near; beyond it an integer cannot become a float."""

WHOLE_MAX = 2**63
"""No whole number is larger: on the way to the driver integers have 64 bits."""

_WANTED = {
    "number": ("a number", "write it without quotation marks"),
    "integer": (
        "a whole number up to 2^63",
        "write it without quotation marks and decimals",
    ),
    "duration": ("a duration", "write for example 40ms"),
    "boolean": ("true or false", "write it without quotation marks"),
}


def resolve_inputs(declared: Sequence[Input], given: Mapping[str, Value]) -> dict[str, Value]:
    """Return a value for each declared input: what the run gives, else the default.

    Raises:
        InvalidInputError: with every unknown, missing, wrongly typed or out-of-range value; paths are the run's,
            `spec.inputs.cycles`.
    """
    findings = Findings()
    values: dict[str, Value] = {}
    known = [each.name for each in declared]
    for name, value in given.items():
        if name not in known:
            findings.add(
                f"spec.inputs.{name}",
                "the recipe has no input of this name",
                f"its inputs are {', '.join(known)}" if known else "it has no inputs: leave it out",
                value=value,
            )
    for each in declared:
        path = f"spec.inputs.{each.name}"
        if each.name not in given:
            if each.default is None:
                findings.add(path, f"the recipe needs this {each.type}", _ask(each))
            else:
                values[each.name] = _typed(each, each.default)
        elif _fits(each, given[each.name], path, findings):
            values[each.name] = _typed(each, given[each.name])
    findings.finish()
    return values


def required_inputs(declared: Sequence[Input]) -> tuple[str, ...]:
    """Return the names of the inputs that every run has to give."""
    return tuple(each.name for each in declared if each.default is None)


def check_inputs(declared: Sequence[Input], findings: Findings) -> dict[str, Value]:
    """Note what is wrong with the declarations, and return the defaults that are right; paths are the recipe's."""
    defaults: dict[str, Value] = {}
    seen: set[str] = set()
    for index, each in enumerate(declared):
        path = f"spec.inputs[{index}]"
        if each.name in seen:
            findings.add(
                f"{path}.name",
                "two inputs have this name",
                "give each input a name of its own",
                value=each.name,
            )
        seen.add(each.name)
        if _check_declaration(each, path, findings) and each.default is not None:
            defaults[each.name] = _typed(each, each.default)
    return defaults


def _ask(each: Input) -> str:
    return "give it in the run" + (f": {each.description}" if each.description else "")


def _check_declaration(each: Input, path: str, findings: Findings) -> bool:
    """Return whether limits and default of one input make sense together."""
    before = len(findings)
    if each.unit and each.type not in ("number", "integer"):
        findings.add(f"{path}.unit", f"a {each.type} has no unit", "leave it out", value=each.unit)
    for field, bound in (("minimum", each.minimum), ("maximum", each.maximum)):
        if bound is None:
            continue
        if each.type == "boolean":
            findings.add(f"{path}.{field}", "a boolean has no limits", "leave it out", value=bound)
        else:
            _check_type(each, bound, f"{path}.{field}", findings)
    if len(findings) > before:
        return False
    low, high = _size(each.minimum, -math.inf), _size(each.maximum, math.inf)
    if low > high:
        findings.add(
            f"{path}.minimum",
            f"the minimum is above the maximum {each.maximum}",
            "exchange the two",
            value=each.minimum,
        )
        return False
    return each.default is None or _fits(each, each.default, f"{path}.default", findings)


def _fits(each: Input, value: Value, path: str, findings: Findings) -> bool:
    """Return whether a value has the input's type and lies within its limits; note it where not."""
    if not _check_type(each, value, path, findings):
        return False
    low, high = _size(each.minimum, -math.inf), _size(each.maximum, math.inf)
    if low <= _size(value, 0) <= high:
        return True
    limits = (("at least", each.minimum), ("at most", each.maximum))
    words = " and ".join(f"{word} {shown(limit)}" for word, limit in limits if limit is not None)
    findings.add(
        path,
        f"input {each.name} is {words} {each.unit}".rstrip(),
        "choose a value within the limits",
        value=value,
    )
    return False


def _check_type(each: Input, value: Value, path: str, findings: Findings) -> bool:
    is_number = (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= NUMBER_MAX
    )
    right = {
        "number": is_number,
        "integer": is_number
        and float(value).is_integer()
        and -WHOLE_MAX < float(value) <= WHOLE_MAX,
        "duration": isinstance(value, str),
        "boolean": isinstance(value, bool),
    }[each.type]
    if not right:
        what, hint = _WANTED[each.type]
        findings.add(path, f"input {each.name} is {what}", hint, value=value)
        return False
    return not isinstance(value, str) or findings.duration_ns(value, path) is not None


def _typed(each: Input, value: Value) -> Value:
    """Return an integer input as `int` where a reader of YAML made `100.0` of it, and a number of too many digits as `float`."""
    if each.type == "integer":
        return int(value)
    return float(value) if isinstance(value, int) and abs(value) > WHOLE_MAX else value


def _size(value: Value | None, missing: float) -> float:
    """Return what limits compare: nanoseconds of a duration, else the number; `missing` where there is none."""
    if value is None:
        return missing
    return parse_duration_ns(value, "") if isinstance(value, str) else value
