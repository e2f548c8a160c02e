"""The rows of a register map in CSV, and the mapping file that says what they do not."""

import csv
import io
import math
import re

import msgspec
import yaml

from ald.errors import InvalidInputError, Violation

COLUMNS = (
    "component",
    "parameter",
    "table",
    "address",
    "type",
    "unit",
    "minimum",
    "maximum",
    "writable",
)
ROWS_MAX = 2000
"""More rows than a Machine has parameters; some are dropped."""

_NO_WORD = re.compile(r"[^a-z0-9]+")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row as written, `line` counted from 1 with the header; numbers are read, empty ones are None."""

    line: int
    component: str
    parameter: str
    table: str
    address: int | None
    type: str
    unit: str
    minimum: float | None
    maximum: float | None
    writable: bool


class MappedValve(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """What a component of the map is as a valve."""

    name: str
    number: int
    maximum_open: str


class Rename(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New names for components, and for whole parameters after their components were renamed."""

    components: dict[str, str] = {}
    parameters: dict[str, str] = {}


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a register map does not say: names, valves, byte order, and sections of the spec taken over as they are."""

    name: str
    order: str = "ABCD"
    rename: Rename = Rename()
    valves: dict[str, MappedValve] = {}
    comments: dict[str, str] = {}
    spec: dict[str, object] = {}


def kebab(text: str) -> str:
    """Return a name in lower kebab case: `champer-heater` for `Champer Heater`."""
    return _NO_WORD.sub("-", text.lower()).strip("-")


def read_rows(text: str) -> tuple[Row, ...]:
    """Return the rows of a register map.

    Raises:
        InvalidInputError: a column is missing, or a cell is not what its column holds; with the line.
    """
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise _invalid("line 1", "", f"has no column {', '.join(missing)}", "add it to the header")
    rows: list[Row] = []
    for cells in reader:
        if len(rows) == ROWS_MAX:
            raise _invalid(
                f"line {reader.line_num}", "", f"more than {ROWS_MAX} rows", "split the map"
            )
        rows.append(_row(reader.line_num, {k: (cells[k] or "").strip() for k in COLUMNS}))
    return tuple(rows)


def read_mapping(text: str) -> Mapping:
    """Return a mapping file.

    Raises:
        InvalidInputError: it is no YAML, or has fields that a mapping has not.
    """
    try:
        mapping = msgspec.convert(yaml.safe_load(text), Mapping)
    except yaml.YAMLError as error:
        raise _invalid("mapping", "", "is no YAML", str(error)) from error
    except msgspec.ValidationError as error:
        raise _invalid("mapping", "", str(error), "correct the mapping file") from error
    if "mode" in mapping.spec:
        raise _invalid(
            "mapping.spec.mode",
            str(mapping.spec["mode"]),
            "a converted Machine begins with mode Observe",
            "leave it out, and change the Machine by hand when it has been checked",
        )
    return mapping


def _row(line: int, cells: dict[str, str]) -> Row:
    return Row(
        line=line,
        component=cells["component"],
        parameter=cells["parameter"],
        table=cells["table"].lower(),
        address=None if not cells["address"] else _address(line, cells["address"]),
        type=cells["type"].lower(),
        unit=cells["unit"],
        minimum=None if not cells["minimum"] else _number(line, "minimum", cells["minimum"]),
        maximum=None if not cells["maximum"] else _number(line, "maximum", cells["maximum"]),
        writable=cells["writable"].lower() in ("true", "1", "yes"),
    )


def _address(line: int, text: str) -> int:
    value = _number(line, "address", text)
    if value != int(value):
        raise _invalid(f"line {line}, address", text, "is no address", "write a whole number")
    return int(value)


def _number(line: int, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _invalid(f"line {line}, {column}", text, "is no number", "correct the cell")
    return value


def _invalid(path: str, value: str, rule: str, hint: str) -> InvalidInputError:
    return InvalidInputError([Violation(path=path, value=value[:100], rule=rule, hint=hint)])
