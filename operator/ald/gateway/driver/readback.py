"""Settles writes of unknown outcome on a sound connection: each is read back, ahead of whatever else waits, before it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ald.errors import ModbusExceptionError
from ald.plc.request import Write
from ald.plc.unsettled import Finding, judge, read_of, span_of

if TYPE_CHECKING:
    from ald.plant.model import Table
    from ald.plc.link import Completion, Lane, Link

OPEN_MAX = 16
"""Writes that are read back at a time; further ones stay unknown."""


class _Written(msgspec.Struct, frozen=True):
    lane: Lane
    request: Write


class _Open(msgspec.Struct, frozen=True):
    completion: Completion
    written: _Written


class Readback:
    """Takes `OPEN_MAX` tokens from `token` downwards."""

    def __init__(self, token: int) -> None:
        self._token = token
        self._written: dict[int, _Written] = {}
        self._open: dict[int, _Open] = {}
        # The newest write to each address that any write of ours has gone to; as many as there are outputs.
        self._newest: dict[tuple[Table, int], int] = {}

    def submitted(self, lane: Lane, request: Write, token: int) -> None:
        """Remember a write, which has just been handed to the link."""
        self._written[token] = _Written(lane, request)
        table, span = span_of(request)
        for address in span:
            self._newest[table, address] = token

    def owns(self, token: int) -> bool:
        """Tell whether a completion is that of a read-back."""
        return self._token - OPEN_MAX < token <= self._token

    def settles(self, completion: Completion, link: Link, now_ns: int) -> bool:
        """Take in what became of a write; True where a read-back of it was asked for, which will tell."""
        written = self._written.pop(completion.token, None)
        if written is None or not completion.unknown or not link.connected:
            return False
        if not isinstance(completion.error, ModbusExceptionError) or len(self._open) >= OPEN_MAX:
            return False
        slot = next(n for n in range(OPEN_MAX) if self._token - n not in self._open)
        self._open[self._token - slot] = _Open(completion, written)
        link.submit(written.lane, read_of(written.request), self._token - slot, now_ns)
        return True

    def settled(self, answer: Completion) -> Completion:
        """Take in what became of a read-back; return the completion of its write, as it is now known."""
        found = self._open.pop(answer.token)
        completion, request = found.completion, found.written.request
        error = completion.error
        table, span = span_of(request)
        is_newest = all(self._newest[table, n] == completion.token for n in span)
        if not answer.ok or not is_newest or not isinstance(error, ModbusExceptionError):
            return completion
        finding = judge(request, error.code, answer.data)
        if finding is Finding.CONFIRMED:
            return msgspec.structs.replace(
                completion, ok=True, error=None, acked_ns=answer.acked_ns, unknown=False
            )
        said = f"{error}; read back, it holds something else than was written"
        told = ModbusExceptionError(error.function, error.code, said)
        return msgspec.structs.replace(
            completion, error=told, unknown=finding is Finding.OPEN, acked_ns=answer.acked_ns
        )
