"""A request on its way through the link."""

from __future__ import annotations

import enum
import functools

from ald.plc.codec import KNOWN_MAX
from ald.plc.request import READS, ReadBits, ReadRegisters, Request, is_coil_write


class Lane(enum.IntEnum):
    """Who asks; lower goes first."""

    SAFE = 0
    RECIPE = 1
    HEARTBEAT = 2
    COMMAND = 3
    READBACK = 4
    SCAN = 5


PATIENT = frozenset({Lane.COMMAND, Lane.READBACK, Lane.SCAN})
"""Lanes that the breaker may hold back."""


class Pending:
    """What the link knows of one request.

    begin, end: positions of its frame in the outgoing byte stream. started_ns: when it was put there. sent_ns: when its last
    byte was handed to the kernel, None before.
    """

    __slots__ = (
        "begin",
        "end",
        "is_patient",
        "lane",
        "request",
        "sent_ns",
        "started_ns",
        "submitted_ns",
        "token",
    )

    def __init__(self, lane: Lane, request: Request, token: int, submitted_ns: int) -> None:
        self.lane = lane
        self.is_patient = lane in PATIENT
        self.request = request
        self.token = token
        self.submitted_ns = submitted_ns
        self.started_ns = 0
        self.sent_ns: int | None = None
        self.begin = 0
        self.end = 0

    @property
    def is_valve_edge(self) -> bool:
        """True for a coil write of the executor or the safe state."""
        return self.lane <= Lane.RECIPE and is_coil_write(self.request)

    @property
    def key(self) -> str:
        """What round trips are kept apart by: the block of a read, the kind of a write."""
        request = self.request
        return _known_key(request) if type(request) in READS else _key(request)


def _key(request: Request) -> str:
    if isinstance(request, ReadBits | ReadRegisters):
        return f"read {request.table.value} {request.address}+{request.count}"
    return "write coils" if is_coil_write(request) else "write registers"


_known_key = functools.lru_cache(maxsize=KNOWN_MAX)(_key)
