"""Valves, gases, exclusion groups and the safe state of a machine: what keeps it from harm."""

from collections.abc import Mapping, Sequence

from ald.api import machine as api
from ald.plant.limits import limit_violation
from ald.plant.model import (
    DataType,
    ExclusionGroup,
    Gas,
    Parameter,
    SafeAction,
    SafeOutput,
    SafeState,
    SafeValve,
    Table,
)
from ald.program.compile.findings import Findings
from ald.units import parse_duration_ns

Parameters = Mapping[str, Parameter]


def check_valves(spec: api.MachineSpec, findings: Findings) -> None:
    """Note valves with one name or number, and valves that are not exactly either grouped or unrestricted."""
    known = [v.name for v in spec.valves]
    _check_unique(known, "spec.valves", "name", findings)
    _check_unique([v.number for v in spec.valves], "spec.valves", "number", findings)
    _check_unique([g.name for g in spec.exclusion_groups], "spec.exclusionGroups", "name", findings)
    grouped = {name for group in spec.exclusion_groups for name in group.valves}
    for index, name in enumerate(spec.unrestricted_valves):
        path = f"spec.unrestrictedValves[{index}]"
        if name not in known:
            findings.unknown(path, "valve", name, known)
        elif name in grouped:
            findings.add(
                path,
                f"valve {name} is in an exclusion group and unrestricted",
                "leave it in one of the two",
                value=name,
            )
        elif name in spec.unrestricted_valves[:index]:
            findings.add(path, "the valve is listed twice", "leave it in once", value=name)
    for index, name in enumerate(known):
        if name not in grouped and name not in spec.unrestricted_valves:
            findings.add(
                f"spec.valves[{index}]",
                f"valve {name} is in no exclusion group",
                "add it to a group, or to unrestrictedValves where nothing it lets in can react",
                value=name,
            )


def compile_gases(
    spec: api.MachineSpec, parameters: Parameters, findings: Findings
) -> tuple[Gas, ...]:
    """Return the gases; each owns a set point of its own, and its feedback speaks of the same unit and is measured."""
    twins = {each.name: each.alias_of for each in spec.parameters}
    gases = tuple(
        Gas(name=each.name, setpoint=each.setpoint, feedback=each.feedback) for each in spec.gases
    )
    _check_unique([gas.name for gas in gases], "spec.gases", "name", findings)
    _check_unique([gas.setpoint for gas in gases], "spec.gases", "setpoint", findings)
    set_points = {gas.setpoint for gas in gases}
    for index, gas in enumerate(gases):
        path = f"spec.gases[{index}]"
        setpoint = parameters.get(gas.setpoint)
        if setpoint is None:
            findings.unknown(f"{path}.setpoint", "parameter", gas.setpoint, parameters)
        elif not setpoint.writable or setpoint.point.table is not Table.HOLDING:
            findings.add(
                f"{path}.setpoint",
                "the set point of a gas is a writable parameter of table holding",
                f"correct {gas.setpoint}, or name another parameter",
                value=gas.setpoint,
            )
        if gas.feedback is None:
            continue
        _check_feedback(gas.feedback, setpoint, f"{path}.feedback", parameters, findings)
        if set_points & {gas.feedback, twins.get(gas.feedback)}:
            findings.add(
                f"{path}.feedback",
                "a set point is no evidence of its own flow, nor of another's; neither is its twin",
                "name the parameter that reads the flow, or leave feedback out",
                value=gas.feedback,
            )
    return gases


def _check_feedback(
    name: str, setpoint: Parameter | None, path: str, parameters: Parameters, findings: Findings
) -> None:
    feedback = parameters.get(name)
    if feedback is None:
        findings.unknown(path, "parameter", name, parameters)
    elif feedback.point.type is DataType.BOOL:
        findings.add(
            path, "a flow is no bool", "name the parameter that reads the flow", value=name
        )
    elif setpoint is not None and feedback.unit != setpoint.unit:
        findings.add(
            path,
            f"feedback is in {feedback.unit or 'no unit'}, set point in {setpoint.unit or 'no unit'}",
            "declare both in one unit",
            value=name,
        )


def compile_groups(
    spec: api.MachineSpec, gases: Sequence[Gas], parameters: Parameters, findings: Findings
) -> tuple[ExclusionGroup, ...]:
    """Return the exclusion groups; each can be satisfied by every purge gas that it names."""
    valves = [v.name for v in spec.valves]
    setpoints = {gas.name: parameters.get(gas.setpoint) for gas in gases}
    groups = []
    for index, group in enumerate(spec.exclusion_groups):
        path = f"spec.exclusionGroups[{index}]"
        flow = group.minimum_purge.flow
        _check_unique(group.valves, f"{path}.valves", "", findings)
        for place, name in enumerate(group.valves):
            if name not in valves:
                findings.unknown(f"{path}.valves[{place}]", "valve", name, valves)
        for place, name in enumerate(group.purge_gases):
            if name not in setpoints:
                findings.unknown(f"{path}.purgeGases[{place}]", "gas", name, setpoints)
                continue
            setpoint = setpoints[name]
            if setpoint is not None and setpoint.maximum is not None and flow > setpoint.maximum:
                findings.add(
                    f"{path}.minimumPurge.flow",
                    f"gas {name} flows at most {setpoint.maximum:g} {setpoint.unit}".rstrip(),
                    "no purge could ever count: ask for a smaller flow",
                    value=flow,
                )
        units = {p.unit for name in group.purge_gases if (p := setpoints.get(name)) is not None}
        if len(units) > 1:
            findings.add(
                f"{path}.purgeGases",
                f"the gases of one group share one unit of flow, and these have {', '.join(sorted(units))}",
                "declare their set points in one unit",
            )
        groups.append(
            ExclusionGroup(
                name=group.name,
                valves=group.valves,
                purge_gases=group.purge_gases,
                minimum_purge_ns=parse_duration_ns(group.minimum_purge.duration, path),
                minimum_flow=flow,
            )
        )
    return tuple(groups)


def compile_safe_state(
    spec: api.MachineSpec, gases: Sequence[Gas], parameters: Parameters, findings: Findings
) -> SafeState:
    """Return the safe state: one entry for every valve, and outputs that their owners let be written."""
    known = [v.name for v in spec.valves]
    named = [entry.valve for entry in spec.safe_state.valves]
    _check_unique(named, "spec.safeState.valves", "valve", findings)
    for index, name in enumerate(named):
        if name not in known:
            findings.unknown(f"spec.safeState.valves[{index}].valve", "valve", name, known)
    for name in known:
        if name not in named:
            findings.add(
                "spec.safeState.valves",
                f"valve {name} has no safe state",
                f"add {{valve: {name}, state: Closed}}",
            )
    _check_open(spec, findings)
    owners = {gas.setpoint: gas.name for gas in gases}
    by_gas = {gas.name: parameters.get(gas.setpoint) for gas in gases}
    outputs = []
    written: set[str] = set()
    for index, entry in enumerate(spec.safe_state.outputs):
        path = f"spec.safeState.outputs[{index}]"
        parameter = _output(entry, path, by_gas, parameters, findings)
        if entry.parameter in owners:
            gas = owners[entry.parameter]
            findings.add(
                f"{path}.parameter",
                f"{entry.parameter} belongs to gas {gas}",
                f"write gas: {gas} instead",
                value=entry.parameter,
            )
        elif parameter is not None:
            _check_output(entry, parameter, path, findings)
            if parameter.name in written:
                findings.add(path, f"{parameter.name} has two entries", "leave one of them out")
            written.add(parameter.name)
        outputs.append(SafeOutput(value=entry.value, parameter=entry.parameter, gas=entry.gas))
    return SafeState(
        valves=tuple(
            SafeValve(valve=e.valve, action=SafeAction(e.state)) for e in spec.safe_state.valves
        ),
        outputs=tuple(outputs),
    )


def _check_open(spec: api.MachineSpec, findings: Findings) -> None:
    """Note valves that the safe state would open beside others of their group: it comes at any time, and purges nothing."""
    others = {
        name: (group.name, sorted(set(group.valves) - {name}))
        for group in spec.exclusion_groups
        for name in group.valves
        if set(group.valves) - {name}
    }
    for index, entry in enumerate(spec.safe_state.valves):
        if SafeAction(entry.state) is not SafeAction.OPEN or entry.valve not in others:
            continue
        group_name, rest = others[entry.valve]
        findings.add(
            f"spec.safeState.valves[{index}].state",
            f"exclusion group {group_name} would be broken: the safe state comes at any time and without a "
            f"purge, so {entry.valve} would open right after, or beside, {' or '.join(rest)}",
            "write Closed or Keep, or take the valve out of the group",
            value=entry.state,
        )


def _output(
    entry: api.SafeOutput,
    path: str,
    by_gas: Mapping[str, Parameter | None],
    parameters: Parameters,
    findings: Findings,
) -> Parameter | None:
    """Return the parameter that an entry writes; None, noted, where there is none."""
    if entry.gas is not None:
        if entry.gas not in by_gas:
            findings.unknown(f"{path}.gas", "gas", entry.gas, by_gas)
        return by_gas.get(entry.gas)
    assert entry.parameter is not None, "the model has one of gas and parameter"
    if entry.parameter not in parameters:
        findings.unknown(f"{path}.parameter", "parameter", entry.parameter, parameters)
    return parameters.get(entry.parameter)


def _check_output(
    entry: api.SafeOutput, parameter: Parameter, path: str, findings: Findings
) -> None:
    if not parameter.writable:
        findings.add(
            path,
            f"{parameter.name} is not writable",
            "make it writable with its range, or leave it out of the safe state",
            value=parameter.name,
        )
    elif entry.value is not None:
        found = limit_violation(parameter, entry.value, f"{path}.value")
        if found is not None:
            findings.extend([found])


def _check_unique(values: Sequence[object], path: str, field: str, findings: Findings) -> None:
    seen: set[object] = set()
    for index, value in enumerate(values):
        if value in seen:
            where = f"{path}[{index}].{field}" if field else f"{path}[{index}]"
            findings.add(where, "is there twice", "give each entry one of its own", value=value)
        seen.add(value)
