"""How things look on a terminal: numbers, times, sparklines, and the one way to print. Pure but for `show`."""

from __future__ import annotations

import datetime
import enum
import sys
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

WIDE = 200
"""Columns where the output is no terminal: nothing is cut off on its way into a file."""

_BARS = "▁▂▃▄▅▆▇█"


class Output(enum.Enum):
    """For a person, or for a program."""

    TABLE = "table"
    JSON = "json"


def show(*parts: RenderableType) -> None:
    """Print for a person; colours only on a terminal."""
    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
    for part in parts:
        console.print(part, markup=False)


def show_json(document: msgspec.Struct) -> None:
    """Print for a program; NaN and infinities, which JSON does not know, are null."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def columns(title: str, *headings: str) -> Table:
    """Return an empty table; a heading that begins with `>` is that of a column of numbers."""
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for heading in headings:
        is_number = heading.startswith(">")
        table.add_column(
            heading.removeprefix(">"),
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=is_number,
        )
    return table


def number(value: float | None) -> str:
    """Return a value with as many digits as a float32 carries; a dash for none."""
    return "-" if value is None else f"{value:.7g}"


def milliseconds(value_ns: float | None) -> str:
    """Return nanoseconds as milliseconds; a dash for none."""
    return "-" if value_ns is None else f"{value_ns / 1e6:.3f}"


def moment(when: datetime.datetime | None) -> str:
    """Return a time in UTC to the second; a dash for none."""
    return "-" if when is None else f"{when.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"


def span(seconds: float | None) -> str:
    """Return a duration that a person reads: `850 ms`, `12.3 s`, `21m46s`, `2h05m`; a dash for none."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def count(amount: int, thing: str) -> str:
    """Return `1 scan`, `2 scans`, `1,234 scans`."""
    return f"{amount:,} {thing}{'' if amount == 1 else 's'}"


def sparkline(points: Sequence[float | None]) -> str:
    """Return one character a point, from its smallest to its largest; a space where there is none."""
    known = [p for p in points if p is not None]
    if not known:
        return " " * len(points)
    low, high = min(known), max(known)
    if low == high:
        # Neither high nor low: nothing happened.
        return "".join(" " if p is None else _BARS[3] for p in points)
    top = len(_BARS) - 1
    # Divided first, because the difference of two large values may be too large.
    scale = [None if p is None else (p / 2 - low / 2) / (high / 2 - low / 2) for p in points]
    return "".join(" " if s is None else _BARS[round(s * top)] for s in scale)
