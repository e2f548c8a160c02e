"""Kubernetes events in plain words, at changes only. How they are posted is kopf's matter and stays in `handlers`."""

from __future__ import annotations

from typing import Protocol

from ald.controller.apply import Document
from ald.controller.conditions import find
from ald.wire import RunProgress

EVENT_LENGTH_MAX = 1000
"""The API server takes 1024 characters."""


class Announcer(Protocol):
    """Posts events; never waits and never fails."""

    def post(self, document: Document, *, warning: bool, reason: str, message: str) -> None:
        """Post one event about an object."""
        ...


def announce_change(
    announcer: Announcer, document: Document, status: Document, kind: str, calm: frozenset[str]
) -> None:
    """Post an event when condition `kind` in `status` says something else than the object does.

    `calm` lists the reasons that are no warning although the condition is not True.
    """
    new = find({"status": status}, kind)
    old = find(document, kind)
    if not new or (old.get("status"), old.get("reason")) == (new["status"], new["reason"]):
        return
    announcer.post(
        document,
        warning=new["status"] != "True" and new["reason"] not in calm,
        reason=new["reason"],
        message=new["message"][:EVENT_LENGTH_MAX],
    )


def announce_resumed(announcer: Announcer, run: Document, interrupted: RunProgress) -> None:
    """Post that a run goes on after a restart of the gateway; where the machine is ready at once, its status never said that it waits."""
    message = f"Taken up again, as attempt {interrupted.attempt + 1}: {interrupted.message}"
    announcer.post(run, warning=True, reason="Resumed", message=message[:EVENT_LENGTH_MAX])
