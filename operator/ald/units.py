"""Durations and rates as people write them, as exact integers and floats inside.

A duration is written like Go's: one or more numbers, each with a unit: `40ms`, `1.5s`, `1h30m`. Inside, every duration is
an `int` in nanoseconds (suffix `_ns`), so that thousands of cycles add up without rounding.
"""

from __future__ import annotations

import re
from decimal import Decimal

from ald.errors import InvalidInputError, Violation

DURATION_PATTERN = r"^([0-9]+(\.[0-9]{1,6})?(ms|s|m|h))+$"
"""The pattern that the resource schema carries; units in any order, each any number of times."""

DURATION_NS_MAX = 30 * 24 * 3600 * 1_000_000_000
"""Thirty days: longer than any run; a bound for arithmetic, not a recommendation."""

RELATIVE_ERROR_MIN, RELATIVE_ERROR_MAX = 0.001, 1
"""What `timing.maxRelativeError` of a recipe may be: a share of a pulse's length."""

_UNIT_NS = {"ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
_PART = re.compile(r"([0-9]+(?:\.[0-9]{1,6})?)(ms|s|m|h)")
_WHOLE = re.compile(DURATION_PATTERN)
_RATE = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*(.*)/(s|min|h)\s*$")
_RATE_PER_S = {"s": 1.0, "min": 60.0, "h": 3600.0}


def parse_duration_ns(text: str, path: str) -> int:
    """Return the duration in nanoseconds, 0 to `DURATION_NS_MAX`.

    Raises:
        InvalidInputError: `text` is no duration or exceeds the maximum; the violation carries `path`.
    """
    if not _WHOLE.match(text):
        raise InvalidInputError(
            [
                Violation(
                    path=path,
                    value=text[:100],
                    rule="a duration is numbers with units ms, s, m or h",
                    hint="write for example 40ms, 1.5s or 1h30m",
                )
            ]
        )
    total = sum(
        (Decimal(number) * _UNIT_NS[unit] for number, unit in _PART.findall(text)), Decimal(0)
    )
    if total > DURATION_NS_MAX:
        raise InvalidInputError(
            [
                Violation(
                    path=path,
                    value=text[:100],
                    rule="a duration is at most 720h",
                    hint="split the work into shorter runs",
                )
            ]
        )
    return int(total)


def format_duration(duration_ns: int) -> str:
    """Return the shortest spelling that `parse_duration_ns` reads back, rounded to whole microseconds."""
    if duration_ns < 0:
        return "-" + format_duration(-duration_ns)
    micros = round(duration_ns / 1000)
    if micros < 1_000_000:
        return f"{Decimal(micros) / 1000:f}ms"
    parts = []
    for unit in ("h", "m"):
        size = _UNIT_NS[unit] // 1000
        if micros >= size:
            parts.append(f"{micros // size}{unit}")
            micros %= size
    if micros or not parts:
        parts.append(f"{(Decimal(micros) / 1_000_000).normalize():f}s")
    return "".join(parts)


def parse_rate(text: str, unit: str, path: str) -> float:
    """Return a rate in `unit` per second from text such as `10 °C/min`; the unit must equal `unit`.

    Raises:
        InvalidInputError: not a positive number with `unit/s`, `unit/min` or `unit/h`.
    """
    wanted = f"{unit}/s, {unit}/min or {unit}/h" if unit else "/s, /min or /h"
    found = _RATE.match(text)
    if found is None or found[2].strip() != unit or float(found[1]) <= 0:
        raise InvalidInputError(
            [
                Violation(
                    path=path,
                    value=text[:100],
                    rule=f"a rate here is a positive number with {wanted}",
                    hint=f"write for example '10 {unit}/min'",
                )
            ]
        )
    return float(found[1]) / _RATE_PER_S[found[3]]
