"""When a status may be written: changes that matter at once but at most one a second, the rest every few seconds."""

from __future__ import annotations

import msgspec

from ald.controller.apply import Document

CHANGE_INTERVAL_NS = 1_000_000_000
PROGRESS_INTERVAL_NS = 5_000_000_000
IDLE_INTERVAL_NS = 30_000_000_000


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What was written last, and when (monotonic)."""

    status: Document
    at_ns: int


def due_at_ns(
    wanted: Document, last: Written | None, *, volatile: frozenset[str], interval_ns: int
) -> int | None:
    """Return when `wanted` may be written (monotonic; 0 is at once), or None when it says nothing new.

    `volatile` names the top-level fields whose change may wait for `interval_ns`; that of any other field waits for
    `CHANGE_INTERVAL_NS` since the last write only.
    """
    if last is None:
        return 0
    if wanted == last.status:
        return None
    if _without(wanted, volatile) != _without(last.status, volatile):
        return last.at_ns + CHANGE_INTERVAL_NS
    return last.at_ns + interval_ns


def _without(status: Document, names: frozenset[str]) -> Document:
    return {name: value for name, value in status.items() if name not in names}
