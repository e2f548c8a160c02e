"""Reads all signals again and again, on an absolute grid: a scan may be late, the grid never drifts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ald.errors import ModbusExceptionError
from ald.plant.decoder import QUALITY_BAD, Block, ScanDecoder
from ald.plant.model import signals
from ald.plc.link import Lane
from ald.plc.rounds import Rounds
from ald.records.scan import Quality, Scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ald.plant.model import Plant
    from ald.plc.link import Completion, Link
    from ald.plc.request import Read

LATE_NS_MAX = 100_000_000
"""A scan that starts later than this after its place on the grid, or than half a period, counts as late."""


class Scanner:
    """The scans of one plant over one link. Tokens from `first_token` downwards are its own, one a request."""

    def __init__(self, plant: Plant, plant_digest: str, first_token: int, now_ns: int) -> None:
        """Raises InvalidInputError when a signal can be read by no request."""
        self._period_ns = plant.scan_period_ns
        self._digest = plant_digest
        self._rounds = Rounds(plant)
        self._decoder = ScanDecoder(
            signals(plant),
            [
                Block(table=b.request.table, first=b.request.address, count=b.request.count)
                for b in self._rounds.base
            ],
            shared_registers=plant.link.shared_registers,
            shared_bits=plant.link.shared_bits,
        )
        self._first_token = first_token
        self._due_ns = now_ns
        self._planned_ns = 0
        self._started_ns = 0
        self._open: set[int] = set()
        self._next_token = first_token
        self._came = False
        self._is_lost = False
        self._late_limit_ns = min(LATE_NS_MAX, plant.scan_period_ns // 2)
        self.sequence = 0
        self.late = 0
        self.missed = 0
        self.bad_signals = 0
        self.last_wall_ns = 0

    def follow(self, before: Scanner) -> None:
        """Count on from the scanner of the plant before: a number is never used twice in a session."""
        self.sequence, self.late, self.missed = before.sequence, before.late, before.missed

    @property
    def wake_ns(self) -> int:
        """When `begin` wants to be called."""
        return self._due_ns

    def begin(self, link: Link, now_ns: int) -> None:
        """Ask for a scan when one is due and the last one is over; places on the grid that pass unused are counted."""
        if now_ns < self._due_ns:
            return
        passed = (now_ns - self._due_ns) // self._period_ns
        planned_ns = self._due_ns + passed * self._period_ns
        self._due_ns = planned_ns + self._period_ns
        self.missed += passed
        if not self._rounds.base:
            return
        if self._open or not link.connected:
            self.missed += 1
            return
        self._planned_ns = planned_ns
        self._started_ns = 0
        self._came = self._is_lost = False
        self._next_token = self._first_token
        self._ask(self._rounds.begin(), link, now_ns)

    def _ask(self, requests: Sequence[Read], link: Link, now_ns: int) -> None:
        for request in requests:
            self._open.add(self._next_token)
            link.submit(Lane.SCAN, request, self._next_token, now_ns)
            self._next_token -= 1

    def owns(self, token: int) -> bool:
        """Tell whether a completion belongs to a scan."""
        return token <= self._first_token

    def disconnected(self) -> None:
        """Count the scan that is on, if any, as missed: whoever is told of it later would take it for what the next PLC says."""
        self._is_lost = True

    def reconnected(self) -> None:
        """Find out anew what the PLC refuses: it may be another program by now."""
        self._rounds.forget()

    @property
    def refusals(self) -> str:
        """What the PLC refuses to let be read, for people; empty for nothing."""
        return self._rounds.refusals

    @property
    def refused(self) -> int:
        """How many values the PLC refuses."""
        return len(self._rounds.plan.refused)

    def completed(
        self, completion: Completion, link: Link, *, run: str, now_ns: int, wall_ns: int
    ) -> Scan | None:
        """Take in one answer; return the scan when it was the last one. A scan that the link lost is missed."""
        if completion.token not in self._open:
            return None
        error = completion.error
        code = error.code if isinstance(error, ModbusExceptionError) else 0
        data = completion.data if completion.ok else None
        more = self._rounds.answered(self._first_token - completion.token, data, code)
        self._ask(more, link, now_ns)
        self._open.discard(completion.token)
        self._came |= bool(completion.acked_ns)
        if completion.sent_ns:
            # Answers may come in any order, and the scan is as old as the first of its requests.
            self._started_ns = min(completion.sent_ns, self._started_ns or completion.sent_ns)
        if self._open:
            return None
        if self._is_lost or not self._came:
            self._rounds.end()
            self.missed += 1
            return None
        return self._scan(run=run, now_ns=now_ns, wall_ns=wall_ns)

    def _scan(self, *, run: str, now_ns: int, wall_ns: int) -> Scan:
        payloads, unread = self._rounds.end()
        values, qualities = self._decoder.decode(payloads)
        values[unread] = math.nan
        qualities[unread] = QUALITY_BAD
        late_ns = max(0, self._started_ns - self._planned_ns)
        self.late += late_ns > self._late_limit_ns
        self.sequence += 1
        self.last_wall_ns = wall_ns
        marks = qualities.tobytes()
        self.bad_signals = len(marks) - marks.count(Quality.GOOD)
        return Scan(
            sequence=self.sequence,
            started_ns=self._started_ns,
            ended_ns=now_ns,
            wall_ns=wall_ns,
            late_ns=late_ns,
            plant_digest=self._digest,
            run=run,
            values=values.tobytes(),
            qualities=marks,
        )
