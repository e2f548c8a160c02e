"""What a PLC answers, for a person. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

import msgspec
from rich.console import RenderableType

from ald.cli.orders import Candidate, Verdict
from ald.cli.render import columns, milliseconds, number
from ald.cli.survey import Refused
from ald.plant.model import DataType, Order, Table

BITS_IN_A_ROW = 32


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A block that answers, and its round trips in ns."""

    table: Table
    first: int
    count: int
    times_ns: tuple[int, ...]


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a probe found."""

    host: str
    port: int
    unit: int
    connect_ns: int
    blocks: tuple[Block, ...]
    refused: tuple[Refused, ...]
    candidates: tuple[Candidate, ...]
    verdicts: tuple[Verdict, ...]


def probe_page(found: Probe) -> tuple[RenderableType, ...]:
    """Return what to print."""
    connecting = f"connected in {milliseconds(found.connect_ns)} ms"
    parts: list[RenderableType] = [
        f"PLC {found.host} port {found.port} unit {found.unit}: {connecting}; nothing was written",
        "",
        _blocks(found),
    ]
    bits = [c for c in found.candidates if c.type is DataType.BOOL and not c.name]
    rest = [c for c in found.candidates if c.type is not DataType.BOOL or c.name]
    if bits:
        parts += ["", _bits(bits)]
    if rest:
        parts += ["", _values(rest), "", *verdict_lines(found.verdicts)]
    return tuple(parts)


def verdict_lines(verdicts: tuple[Verdict, ...]) -> tuple[str, ...]:
    """Return which word order the limits speak for."""
    if not verdicts:
        return (
            "The word order cannot be told: that takes a Machine with limits, and values that are not zero.",
        )
    return tuple(
        f"{v.order.value}: {v.fitting} of {v.telling} values within their limits"
        + (f", declared for {v.declared}" if v.declared else "")
        for v in verdicts
    )


def _blocks(found: Probe) -> RenderableType:
    table = columns("Blocks", "table", "addresses", ">min ms", ">median ms", ">max ms", "answer")
    for block in found.blocks:
        times = block.times_ns
        figures = (min(times), statistics.median(times), max(times)) if times else (None,) * 3
        table.add_row(
            block.table.value,
            _addresses(block.first, block.count),
            *(milliseconds(ns) for ns in figures),
            "values" if times else "values once, then none",
        )
    for refused in found.refused:
        addresses = _addresses(refused.first, refused.count)
        table.add_row(refused.table.value, addresses, "", "", "", refused.why)
    return table


def _bits(candidates: Sequence[Candidate]) -> RenderableType:
    """Return bits that have no names, many in a row."""
    table = columns("Bits", "table", ">from", "bits, lowest address first")
    runs: list[list[Candidate]] = []
    for each in candidates:
        last = runs[-1][-1] if runs else None
        follows = last is not None and (last.table, last.address + 1) == (each.table, each.address)
        if follows and len(runs[-1]) < BITS_IN_A_ROW:
            runs[-1].append(each)
        else:
            runs.append([each])
    for run in runs:
        text = "".join(number(each.values.get(Order.ABCD)) for each in run)
        groups = (text[start : start + 8] for start in range(0, len(text), 8))
        table.add_row(run[0].table.value, str(run[0].address), " ".join(groups))
    return table


def _values(candidates: Sequence[Candidate]) -> RenderableType:
    orders = [f">{order.value}" for order in Order]
    table = columns("Values", "name", "table", ">address", "type", *orders, "unit", "fits")
    for row in _rows(candidates):
        table.add_row(*row)
    return table


def _rows(candidates: Sequence[Candidate]) -> Iterator[tuple[str, ...]]:
    for each in candidates:
        if each.type is DataType.BOOL:
            # One bit has no order.
            shown = [number(each.values.get(Order.ABCD)), "", "", ""]
        else:
            shown = [_shown(each, order) for order in Order]
        yield (
            each.name,
            each.table.value,
            str(each.address),
            each.type.value,
            *shown,
            each.unit,
            _fits(each),
        )


def _shown(each: Candidate, order: Order) -> str:
    """Return the value by one order, marked where the Machine declares it."""
    mark = "*" if order is each.declared else ""
    return mark + number(each.values.get(order))


def _fits(each: Candidate) -> str:
    if not each.values:
        return "does not answer"
    if not each.is_telling:
        return ""
    return " ".join(order.value for order in each.fitting) or "none"


def _addresses(first: int, count: int) -> str:
    return str(first) if count == 1 else f"{first} to {first + count - 1}"
