"""The parameters of a machine: what each declares has to fit together before anything else is judged."""

from collections.abc import Iterable

from ald.api import machine as api
from ald.plant.limits import limit_violation
from ald.plant.model import DataType, Order, Parameter, Point, Table
from ald.program.compile.findings import Findings

VALVE_COMPONENT = "valve"
"""The component of the valves' own signals, `valve.NAME`; no parameter may take it."""


def compile_parameters(
    declared: Iterable[api.Parameter], findings: Findings
) -> dict[str, Parameter]:
    """Return the parameters by name, in the order of the document, and note what is wrong with each."""
    by_name: dict[str, Parameter] = {}
    for index, each in enumerate(declared):
        path = f"spec.parameters[{index}]"
        if each.name in by_name:
            findings.add(
                f"{path}.name",
                "two parameters have this name",
                "give each parameter a name of its own",
                value=each.name,
            )
            continue
        before = len(findings)
        _check_type(each, path, findings)
        _check_range(each, path, findings)
        by_name[each.name] = _parameter(each)
        if len(findings) == before:
            _check_range_fits(by_name[each.name], path, findings)
    return by_name


def _parameter(each: api.Parameter) -> Parameter:
    return Parameter(
        name=each.name,
        component=_component(each.name),
        point=Point(
            table=Table(each.table),
            address=each.address,
            type=DataType(each.type),
            order=Order(each.order),
            bit=each.bit,
        ),
        unit=each.unit,
        scale=each.scale,
        offset=each.offset,
        minimum=each.minimum,
        maximum=each.maximum,
        writable=each.writable,
        description=each.description,
    )


def _component(name: str) -> str:
    return name.partition(".")[0]


def _check_type(each: api.Parameter, path: str, findings: Findings) -> None:
    table, is_bool = Table(each.table), each.type == "bool"
    if _component(each.name) == VALVE_COMPONENT:
        findings.add(
            f"{path}.name",
            f"the component {VALVE_COMPONENT} is kept for the valves themselves",
            "choose another component; the valve's coil is recorded without a parameter",
            value=each.name,
        )
    if each.bit is not None and (table.is_bits or not is_bool):
        findings.add(
            f"{path}.bit",
            f"{each.name} is a {each.type} in table {each.table}: only a bool in an input or holding register has a bit",
            "leave bit out, or correct the type or the table",
            value=each.bit,
        )
    elif is_bool != (table.is_bits or each.bit is not None):
        findings.add(
            f"{path}.type",
            f"{each.name} lies in table {each.table}: coil and discrete hold bool, input and holding the other types,"
            " or one bit of a register",
            "correct the type or the table, or say which bit",
            value=each.type,
        )
    if each.scale == 0:
        findings.add(f"{path}.scale", "a scale is not 0", "leave it out for 1", value=each.scale)
    if is_bool and (each.scale != 1 or each.offset != 0):
        findings.add(f"{path}.scale", "a bool has no scale and no offset", "leave both out")
    if is_bool and each.order != "ABCD":
        findings.add(f"{path}.order", "a bool has no order", "leave it out", value=each.order)


def _check_range(each: api.Parameter, path: str, findings: Findings) -> None:
    if each.minimum is not None and each.maximum is not None and each.minimum > each.maximum:
        findings.add(
            f"{path}.minimum",
            f"the minimum of {each.name} is above its maximum {each.maximum:g}",
            "exchange the two",
            value=each.minimum,
        )
    if not each.writable:
        return
    if each.bit is not None:
        findings.add(
            f"{path}.writable",
            f"{each.name} is one bit of a register, and only whole registers are written",
            "leave writable out, or declare the whole register",
            value=True,
        )
    if each.table not in ("coil", "holding"):
        findings.add(
            f"{path}.writable",
            f"table {each.table} cannot be written",
            "leave writable out, or correct the table",
            value=True,
        )
    if each.type != "bool" and (each.minimum is None or each.maximum is None):
        findings.add(
            f"{path}.writable",
            f"{each.name} is writable and has no minimum and maximum",
            "add the range that may be written",
            value=True,
        )


def _check_range_fits(parameter: Parameter, path: str, findings: Findings) -> None:
    """A writable range that the registers cannot hold would only fail when somebody writes its end."""
    if not parameter.writable:
        return
    for field, bound in (("minimum", parameter.minimum), ("maximum", parameter.maximum)):
        if bound is None:
            continue
        found = limit_violation(parameter, bound, f"{path}.{field}")
        if found is not None:
            findings.extend([found])
