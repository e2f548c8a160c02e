"""A Machine from a register map: nothing is renamed, changed or left out without a note."""

import re
import textwrap
from collections.abc import Sequence

import msgspec
import yaml

from ald.api.meta import API_VERSION
from ald.api.parse import parse_machine
from ald.cli.register_map import Mapping, Row, kebab, read_rows
from ald.errors import InvalidInputError
from ald.plant.model import Identity
from ald.program.compile.machine import compile_machine

UNITS_THAT_ARE_NONE = ("boolean", "bool")
"""What registers maps write in the column of units although it is a type."""

WIDTH = 110
"""Columns of a comment."""

_VALVE_COMPONENT = re.compile(r"^valve-([0-9]+)$")
_SECTIONS = (
    "plc",
    "mode",
    "scan",
    "maxHold",
    "maxScanGap",
    "parameters",
    "valves",
    "gases",
    "exclusionGroups",
    "unrestrictedValves",
    "safeState",
    "heartbeat",
    "allowWithoutWatchdog",
    "interlocks",
    "readiness",
)
_TO_DO_PLC = {"host": "to-be-written"}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to convert: `source` is the map's file name for the header, `mapping` the parsed mapping file if there is one."""

    source: str
    mapping: Mapping


class _Notes:
    """Notes by what was done, each with the names that it was done to; in the order in which they first came up."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def add(self, done: str, name: str) -> None:
        self._names.setdefault(done, []).append(name)

    def lines(self) -> tuple[str, ...]:
        return tuple(f"{done}: {', '.join(names)}" for done, names in self._names.items())


def machine_from_csv(text: str, options: Options) -> tuple[str, tuple[str, ...]]:
    """Return the Machine as YAML, and what was done to the rows, one note a line.

    The Machine is in mode Observe. What the operator would still refuse comes last, as notes that begin with `to do`.

    Raises:
        InvalidInputError: the map cannot be read.
    """
    notes = _Notes()
    parameters, valves = _convert(read_rows(text), options.mapping, notes)
    # Safe until somebody says more: every valve closed.
    safe_state = {"valves": [{"valve": v["name"], "state": "Closed"} for v in valves]}
    spec: dict[str, object] = {"plc": _TO_DO_PLC, "safeState": safe_state}
    spec |= options.mapping.spec
    spec |= {"mode": "Observe", "parameters": parameters, "valves": valves}
    document: dict[str, object] = {
        "apiVersion": API_VERSION,
        "kind": "Machine",
        "metadata": {"name": options.mapping.name},
        "spec": spec,
    }
    ranges = sum("minimum" in each or "maximum" in each for each in parameters)
    lines = (
        *notes.lines(),
        f"{ranges} ranges taken as written: narrow those that are wider than sense",
        *_to_do(document),
    )
    return _yaml(document, lines, options), lines


def _convert(
    rows: Sequence[Row], mapping: Mapping, notes: _Notes
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    parameters, valves = [], []
    for row in rows:
        component, name = _names(row, mapping, notes)
        if row.address is None or not row.table:
            notes.add("dropped, has no address", name)
        elif _is_valve(component, row, mapping):
            valve = _valve(component, row, mapping)
            notes.add("moved to valves", f"{name} as {valve['name']}")
            valves.append(valve)
        else:
            parameters.append(_parameter(name, row, mapping, notes))
    for component in sorted(mapping.valves.keys() - _components(rows, mapping)):
        notes.add("to do: the mapping names a valve that the map does not have", component)
    return parameters, valves


def _components(rows: Sequence[Row], mapping: Mapping) -> set[str]:
    return {mapping.rename.components.get(kebab(r.component), kebab(r.component)) for r in rows}


def _names(row: Row, mapping: Mapping, notes: _Notes) -> tuple[str, str]:
    """Return the component and the full name, renamed only by the mapping."""
    written = kebab(row.component)
    component = mapping.rename.components.get(written, written)
    plain = f"{component}.{kebab(row.parameter)}"
    name = mapping.rename.parameters.get(plain, plain)
    if f"{written}.{kebab(row.parameter)}" != name:
        notes.add(f"renamed from {written}" if name == plain else f"renamed from {plain}", name)
    return component, name


def _is_valve(component: str, row: Row, mapping: Mapping) -> bool:
    known = component in mapping.valves or _VALVE_COMPONENT.match(component) is not None
    return known and row.table == "coil"


def _valve(component: str, row: Row, mapping: Mapping) -> dict[str, object]:
    mapped = mapping.valves.get(component)
    if mapped is not None:
        name, number, maximum_open = mapped.name, mapped.number, mapped.maximum_open
    else:
        found = _VALVE_COMPONENT.match(component)
        assert found is not None
        # Long enough for any dose; whoever knows the precursor writes less.
        name, number, maximum_open = component, int(found[1]), "1s"
    return {"name": name, "number": number, "coil": row.address, "maximumOpen": maximum_open}


def _parameter(name: str, row: Row, mapping: Mapping, notes: _Notes) -> dict[str, object]:
    bits = row.table in ("coil", "discrete")
    result: dict[str, object] = {
        "name": name,
        "table": row.table,
        "address": row.address,
        "type": row.type,
    }
    if row.type.endswith(("32", "64")) and mapping.order != "ABCD":
        result["order"] = mapping.order
    unit = _unit(name, row, notes, bits=bits)
    if unit:
        result["unit"] = unit
    if bits and (row.minimum, row.maximum) not in ((None, None), (0, 1)):
        notes.add("range of a single bit cleared", f"{name} ({row.minimum:g} to {row.maximum:g})")
    elif not bits:
        limits = (("minimum", row.minimum), ("maximum", row.maximum))
        result |= {key: _plain(value) for key, value in limits if value is not None}
    if _may_write(name, row, notes, bits=bits):
        result["writable"] = True
    return result


def _unit(name: str, row: Row, notes: _Notes, *, bits: bool) -> str:
    if row.unit.lower() in UNITS_THAT_ARE_NONE:
        notes.add(f'unit "{row.unit}" cleared, it is none', name)
        return ""
    if bits and row.unit:
        notes.add("unit of a single bit cleared", f"{name} ({row.unit})")
        return ""
    return row.unit


def _may_write(name: str, row: Row, notes: _Notes, *, bits: bool) -> bool:
    if not row.writable:
        return False
    if row.table not in ("coil", "holding"):
        notes.add("not writable, its table cannot be written", name)
        return False
    if not bits and (row.minimum is None or row.maximum is None):
        notes.add("not writable, has no range", name)
        return False
    return True


def _plain(value: float) -> int | float:
    return int(value) if value == int(value) else value


def _to_do(document: dict[str, object]) -> tuple[str, ...]:
    """What the operator would refuse, in its own words."""
    try:
        machine = parse_machine(document)
        identity = Identity(installation="", namespace="", name=machine.metadata.name, uid="")
        compile_machine(machine.spec, identity, 1)
    except InvalidInputError as error:
        return tuple(f"to do: {violation}" for violation in error.violations)
    if machine.spec.plc.host == _TO_DO_PLC["host"]:
        return ("to do: write the host of the PLC into spec.plc.host",)
    return ()


def _yaml(document: dict[str, object], notes: Sequence[str], options: Options) -> str:
    """One parameter a line, comments above what they speak of."""
    spec = document["spec"]
    assert isinstance(spec, dict)
    head = [
        f"Made from {options.source} by `ald machine from-csv`, which notes:",
        *(f"- {note}" for note in notes),
        "mode stays Observe, which reads only, until a person has checked everything below and writes Control.",
    ]
    parts = [
        *(_comment(line, "") for line in head),
        _dump({key: document[key] for key in ("apiVersion", "kind", "metadata")}, ""),
        "spec:\n",
    ]
    order = [*_SECTIONS, *(key for key in spec if key not in _SECTIONS)]
    for key in order:
        if key in spec:
            if key in options.mapping.comments:
                parts.append(_comment(options.mapping.comments[key], "  "))
            parts.append(_dump({key: spec[key]}, "  "))
    return "".join(parts)


def _comment(text: str, indent: str) -> str:
    rest = f"{indent}#   " if text.startswith("- ") else f"{indent}# "
    wrapped = textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(wrapped) + "\n"


def _dump(document: dict[str, object], indent: str) -> str:
    """Write what holds only plain values in one line, so that each parameter is a row."""
    text = "".join(
        # A document of one plain value alone would be put into braces.
        yaml.safe_dump(
            {key: value},
            sort_keys=False,
            allow_unicode=True,
            width=1000,
            default_flow_style=None if isinstance(value, dict | list) else False,
        )
        for key, value in document.items()
    )
    return textwrap.indent(text, indent)
