"""The interlocks of a machine, and what it needs before a run."""

from collections.abc import Container, Mapping, Sequence

from ald.api import interlock as api
from ald.plant.model import Interlock, InterlockAction, Parameter, Readiness
from ald.program.compile.conditions import check_condition, compile_condition
from ald.program.compile.findings import Findings
from ald.units import parse_duration_ns


def compile_interlocks(
    declared: Sequence[api.Interlock],
    parameters: Mapping[str, Parameter],
    owned: Container[str],
    findings: Findings,
) -> tuple[Interlock, ...]:
    """Return the interlocks; each has a name of its own and a permissive over parameters that exist."""
    found = []
    for index, each in enumerate(declared):
        path = f"spec.interlocks[{index}]"
        _check_name(each.name, [other.name for other in declared[:index]], path, findings)
        _check(each.permissive, f"{path}.permissive", (parameters, owned), findings)
        found.append(
            Interlock(
                name=each.name,
                permissive=each.permissive,
                for_ns=parse_duration_ns(each.for_, f"{path}.for"),
                action=InterlockAction(each.action),
            )
        )
    return tuple(found)


def compile_readiness(
    declared: Sequence[api.Readiness],
    parameters: Mapping[str, Parameter],
    owned: Container[str],
    findings: Findings,
) -> tuple[Readiness, ...]:
    """Return what a run waits for; each has a name of its own and a condition over parameters that exist."""
    for index, each in enumerate(declared):
        path = f"spec.readiness[{index}]"
        _check_name(each.name, [other.name for other in declared[:index]], path, findings)
        _check(each.condition, f"{path}.condition", (parameters, owned), findings)
    return tuple(Readiness(name=each.name, condition=each.condition) for each in declared)


def _check_name(name: str, before: Sequence[str], path: str, findings: Findings) -> None:
    if name in before:
        findings.add(f"{path}.name", "is there twice", "give each entry one of its own", value=name)


def _check(
    text: str,
    path: str,
    known: tuple[Mapping[str, Parameter], Container[str]],
    findings: Findings,
) -> None:
    condition = compile_condition(text, path, findings)
    if condition is not None:
        check_condition(condition, path, *known, findings)
