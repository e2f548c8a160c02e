"""The condition HistoryCurrent of a Machine: whether what its gateway records arrives in the database. Pure."""

from __future__ import annotations

from ald.controller.conditions import Fact, rfc3339
from ald.standing import HistoryStatus


def history_current(told: HistoryStatus | None) -> Fact:
    """Return the condition; None is a gateway that is away, or that has not opened its journal."""
    if told is None:
        message = "Not known while the gateway does not tell."
        return Fact(type="HistoryCurrent", status="Unknown", reason="Pending", message=message)
    lost = f" {told.lost} older scans were dropped before they were fetched." if told.lost else ""
    if told.stalled:
        message = f"{stalled(told)} Look at the logger and its database. Nothing is lost while the gateway's volume has room.{lost}"
        return Fact(type="HistoryCurrent", status="False", reason="Stalled", message=message)
    message = f"Records are fetched by the logger as they are made.{lost}"
    return Fact(type="HistoryCurrent", status="True", reason="Fetched", message=message)


def stalled(told: HistoryStatus | None) -> str:
    """Return that the history stands still and since when; empty while it does not."""
    if told is None or not told.stalled:
        return ""
    return f"The history lacks everything since {rfc3339(told.since_wall_ns)}."
