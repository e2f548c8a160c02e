"""Bodies of requests, taken apart without leniency: what is not known is refused, with its path."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ald.errors import InvalidInputError, Violation

_Struct = TypeVar("_Struct", bound=msgspec.Struct)
FAULTS_MAX = 10
"""Most fields named in one refusal."""

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**64 - 1
"""What a packet to the driver, and a digest, can hold: the integers of MessagePack."""


def decode(body: bytes, kind: type[_Struct]) -> _Struct:
    """Return the struct that JSON `body` holds.

    Raises:
        InvalidInputError: no JSON, a wrong type, an integer beyond `INTEGER_MIN` or `INTEGER_MAX`, or a field that `kind` does not have.
    """
    try:
        raw = msgspec.json.decode(body)
        decoded = msgspec.convert(raw, kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        rule, _, path = str(error).partition(" - at ")
        raise _invalid([(path.strip("`") or "$", rule)]) from error
    except RecursionError as error:
        raise _invalid([("$", "too deeply nested")]) from error
    known = msgspec.to_builtins(decoded)
    faults = [(path, "an integer has at most 64 bits") for path in _too_large("$", known)]
    faults = faults or [(path, "this field is not known") for path in _unknown("$", raw, known)]
    if faults:
        raise _invalid(faults[:FAULTS_MAX])
    return decoded


def _too_large(path: str, known: object) -> list[str]:
    """Return the paths of integers that MessagePack cannot tell."""
    if isinstance(known, dict):
        return [name for key, part in known.items() for name in _too_large(f"{path}.{key}", part)]
    if isinstance(known, list | tuple):
        parts = enumerate(known)
        return [name for index, part in parts for name in _too_large(f"{path}[{index}]", part)]
    return [path] if isinstance(known, int) and not INTEGER_MIN <= known <= INTEGER_MAX else []


def _unknown(path: str, raw: object, known: object) -> list[str]:
    """Return the paths of fields in `raw` that did not reach `known`."""
    if isinstance(raw, dict) and isinstance(known, dict):
        found = [f"{path}.{key}" for key in raw if key not in known]
        for key in raw.keys() & known.keys():
            found += _unknown(f"{path}.{key}", raw[key], known[key])
        return found
    if isinstance(raw, list) and isinstance(known, list | tuple):
        parts = zip(raw, known, strict=True)
        return [
            name
            for index, (part, other) in enumerate(parts)
            for name in _unknown(f"{path}[{index}]", part, other)
        ]
    return []


def _invalid(faults: list[tuple[str, str]]) -> InvalidInputError:
    return InvalidInputError(
        [
            Violation(path=path, value="", rule=rule, hint="send what this version of ald knows")
            for path, rule in faults
        ]
    )
