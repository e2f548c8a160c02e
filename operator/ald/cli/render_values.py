"""A machine's values for a person. Pure."""

from __future__ import annotations

import datetime

import msgspec
from rich.console import RenderableType
from rich.text import Text

from ald.cli.render import columns, moment, number, span
from ald.wire import SignalValue

_STYLES = {"good": "", "stale": "yellow", "bad": "red"}


class MachineValues(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine measures, and how it is. `values` is empty before the first scan, when `scanned` is None."""

    machine: str
    state: str
    message: str
    connected: bool
    link: str
    sequence: int
    scanned: datetime.datetime | None
    values: tuple[SignalValue, ...]


def values_page(found: MachineValues) -> tuple[RenderableType, ...]:
    """Return what to print: how the machine is, then its values."""
    link = "connected" if found.connected else f"NOT connected: {found.link}"
    head = f"{found.machine}: {found.state}, {link}"
    if not found.values:
        return (head,)
    table = columns("", "parameter", ">value", "unit", "quality", ">age")
    for each in found.values:
        table.add_row(
            each.name,
            number(each.value),
            each.unit,
            Text(each.quality, style=_STYLES.get(each.quality, "red")),
            span(each.age_ms / 1000),
        )
    return (head, f"scan {found.sequence:,} of {moment(found.scanned)}", "", table)
