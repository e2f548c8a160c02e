"""Conditions of recipes and machines against the parameters that they name."""

from collections.abc import Container, Mapping

from ald.errors import InvalidInputError
from ald.plant.model import Parameter
from ald.program.compile.findings import Findings
from ald.program.condition import Condition


def compile_condition(text: str, path: str, findings: Findings) -> Condition | None:
    """Return the condition, or None with what is wrong with it noted."""
    try:
        return Condition(text, path)
    except InvalidInputError as error:
        findings.extend(error.violations)
        return None


def check_condition(
    condition: Condition,
    path: str,
    parameters: Mapping[str, Parameter],
    owned: Container[str],
    findings: Findings,
) -> bool:
    """Return whether every parameter exists, and can be commanded where its set point is asked for; note what is wrong.

    `owned` are the parameters that gases write.
    """
    before = len(findings)
    for name in condition.reads:
        if name not in parameters:
            findings.unknown(path, "parameter", name, parameters.keys())
        elif name in condition.setpoints and not (parameters[name].writable or name in owned):
            findings.add(
                path,
                f"{name} is never written and has no set point",
                "use value() instead",
                value=name,
            )
    return len(findings) == before
