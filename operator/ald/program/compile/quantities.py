"""What a step says as a literal or takes from an input: `open: 40ms` or `openFrom: dose`."""

from collections.abc import Mapping, Sequence

import msgspec

from ald.api.recipe import Input
from ald.program.compile.findings import Findings
from ald.program.compile.inputs import NUMBER_MAX, Value


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """A resolved number with the path it was written at; `is_bool` where it was true or false."""

    value: float
    path: str
    is_bool: bool = False


class Quantities:
    """Resolves quantities by the inputs' declarations and values.

    Where an input has no value (it is required, and nobody has run the recipe yet) only its type is checked, and the result is
    None as it is after a violation.
    """

    def __init__(
        self, declared: Sequence[Input], values: Mapping[str, Value], findings: Findings
    ) -> None:
        self._declared = {each.name: each for each in declared}
        self._values = values
        self._findings = findings

    def duration_ns(self, literal: str | None, name: str | None, path: str) -> int | None:
        """Return a duration above 0 in nanoseconds."""
        if literal is None:
            assert name is not None, "the model has one of literal and input"
            path = f"{path}From"
            found = self._input(name, ("duration",), path)
            literal = found if isinstance(found, str) else None
        if literal is None:
            return None
        duration_ns = self._findings.duration_ns(literal, path)
        if duration_ns == 0:
            self._findings.add(path, "takes longer than 0s", "write a longer time", value=literal)
            return None
        return duration_ns

    def count(self, literal: int | None, name: str | None, path: str, maximum: int) -> int | None:
        """Return a count of 1 to `maximum`."""
        found: Value | None = literal
        if literal is None:
            assert name is not None, "the model has one of literal and input"
            path = f"{path}From"
            found = self._input(name, ("integer",), path)
        if found is None:
            return None
        count = int(found)
        if not 1 <= count <= maximum:
            self._findings.add(
                path,
                f"a loop runs 1 to {maximum} times",
                "choose a count in that range",
                value=count,
            )
            return None
        return count

    def number(
        self, literal: float | None, name: str | None, path: str, unit: str | None
    ) -> Number | None:
        """Return a number or boolean; `unit` is what the step says about it, and must not contradict the input's."""
        found: Value | None = literal
        if literal is None:
            assert name is not None, "the model has one of literal and input"
            path = f"{path}From"
            found = self._input(name, ("number", "integer", "boolean"), path)
            self._check_unit(name, unit, path)
        if found is None or isinstance(found, str):
            return None
        if abs(found) > NUMBER_MAX:
            self._findings.add(path, "the number is too large", "write a smaller one")
            return None
        return Number(value=float(found), path=path, is_bool=isinstance(found, bool))

    def unit_of(self, name: str | None) -> str:
        """Return the unit that an input declares, empty where it declares none."""
        declared = self._declared.get(name or "")
        return declared.unit if declared is not None else ""

    def _check_unit(self, name: str, unit: str | None, path: str) -> None:
        declared = self.unit_of(name)
        if unit is not None and declared and declared != unit:
            self._findings.add(
                path,
                f"the step says {unit or 'no unit'}, its input {declared}",
                "make the two equal",
                value=name,
            )

    def _input(self, name: str, types: tuple[str, ...], path: str) -> Value | None:
        declared = self._declared.get(name)
        if declared is None:
            known = ", ".join(self._declared)
            hint = f"the inputs are {known}" if known else "declare it under spec.inputs"
            self._findings.add(path, "the recipe has no input of this name", hint, value=name)
            return None
        if declared.type not in types:
            self._findings.add(
                path,
                f"needs an input of type {' or '.join(types)}, and {name} is a {declared.type}",
                "name another input, or change its type",
                value=name,
            )
            return None
        return self._values.get(name)
