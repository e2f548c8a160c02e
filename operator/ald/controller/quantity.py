"""Amounts of memory and storage as Kubernetes writes them: `512Mi`, `5G`, `1.5Gi`, `1e9`. Pure."""

from __future__ import annotations

import decimal
import re

from ald.errors import InvalidInputError, Violation

_QUANTITY = re.compile(
    r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(Ki|Mi|Gi|Ti|Pi|Ei|m|k|M|G|T|P|E|[eE][+-]?[0-9]{1,2})?"
)
_BINARY = {unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_DECIMAL = {unit: 1000**power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), 1)}
_FACTORS = _BINARY | _DECIMAL | {"": 1}


def bytes_of(text: str, path: str) -> int:
    """Return the whole bytes of a quantity.

    Raises:
        InvalidInputError: it is none; names `path`.
    """
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise InvalidInputError(
            [
                Violation(
                    path=path,
                    value=text[:100],
                    rule="this is no quantity of Kubernetes",
                    hint="write for example 5Gi",
                )
            ]
        )
    number, unit = decimal.Decimal(found[1]), found[2] or ""
    if unit == "m":
        return int(number / 1000)
    if unit[0:1] in ("e", "E") and len(unit) > 1 and unit != "Ei":
        return int(number * decimal.Decimal(10) ** int(unit[1:]))
    return int(number * _FACTORS[unit])
