"""The interlocks of a machine."""

from collections.abc import Container, Mapping, Sequence

from ald.api import interlock as api
from ald.plant.model import Interlock, InterlockAction, Parameter
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
        if each.name in (other.name for other in declared[:index]):
            findings.add(
                f"{path}.name", "is there twice", "give each entry one of its own", value=each.name
            )
        condition = compile_condition(each.permissive, f"{path}.permissive", findings)
        if condition is not None:
            check_condition(condition, f"{path}.permissive", parameters, owned, findings)
        found.append(
            Interlock(
                name=each.name,
                permissive=each.permissive,
                for_ns=parse_duration_ns(each.for_, f"{path}.for"),
                action=InterlockAction(each.action),
            )
        )
    return tuple(found)
