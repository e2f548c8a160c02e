"""Conditions: built whole, their transition times kept while the status stays the same."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

from ald.controller.apply import Document

MESSAGE_LENGTH_MAX = 4000
"""The resource schemas take 4096 characters."""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One condition as decided, without its time.

    `status` is True, False or Unknown as text; `reason` is of the closed list of its kind in `ald.api`.
    """

    type: str
    status: str
    reason: str
    message: str


def conditions(
    facts: Sequence[Fact], old: Sequence[Document], *, now: str, generation: int
) -> list[Document]:
    """Return the conditions for a status; `old` are those in the object, `now` an RFC 3339 time."""
    before = {each.get("type"): each for each in old}
    result = []
    for fact in facts:
        was = before.get(fact.type, {})
        same = was.get("status") == fact.status and was.get("lastTransitionTime")
        result.append(
            {
                "type": fact.type,
                "status": fact.status,
                "reason": fact.reason,
                "message": bounded(fact.message),
                "lastTransitionTime": was["lastTransitionTime"] if same else now,
                "observedGeneration": generation,
            }
        )
    return result


def find(document: Document, kind: str) -> Document:
    """Return the condition of this type in an object, or an empty document."""
    for each in document.get("status", {}).get("conditions", []):
        if each.get("type") == kind:
            found: Document = each
            return found
    return {}


def bounded(message: str) -> str:
    """Return the message, shortened to what a status takes."""
    if len(message) <= MESSAGE_LENGTH_MAX:
        return message
    return message[: MESSAGE_LENGTH_MAX - 2] + " …"


def listed(violations: Sequence[object], count_max: int = 5) -> str:
    """Return violations as one text of at most `count_max` of them, saying how many more there are."""
    shown = "; ".join(str(each) for each in violations[:count_max])
    more = len(violations) - count_max
    return f"{shown}; and {more} more" if more > 0 else shown


def rfc3339(wall_ns: int) -> str:
    """Return a UTC time as Kubernetes writes it, to the second."""
    return dt.datetime.fromtimestamp(wall_ns // 1_000_000_000, dt.UTC).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )


def wall_ns(stamp: str) -> int:
    """Return the nanoseconds since 1970 of a time as Kubernetes writes it."""
    parsed = dt.datetime.fromisoformat(stamp)
    return int(parsed.timestamp()) * 1_000_000_000 + parsed.microsecond * 1000
