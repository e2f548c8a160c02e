"""Reads all signals again and again, on an absolute grid: a scan may be late, the grid never drifts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ald.plant.decoder import Block, ScanDecoder
from ald.plant.model import signals
from ald.plc.link import Lane
from ald.plc.plan import plan_reads
from ald.records.scan import Quality, Scan

if TYPE_CHECKING:
    from ald.plant.model import Plant
    from ald.plc.link import Completion, Link

LATE_NS_MAX = 100_000_000
"""A scan that starts later than this after its place on the grid, or than half a period, counts as late."""


class Scanner:
    """The scans of one plant over one link. Tokens from `first_token` downwards are its own, one a block."""

    def __init__(self, plant: Plant, plant_digest: str, first_token: int, now_ns: int) -> None:
        """Raises InvalidInputError when a signal can be read by no request."""
        self._period_ns = plant.scan_period_ns
        self._digest = plant_digest
        self._requests = tuple(block.request for block in plan_reads(plant))
        self._decoder = ScanDecoder(
            signals(plant),
            [Block(table=r.table, first=r.address, count=r.count) for r in self._requests],
            shared_registers=plant.link.shared_registers,
            shared_bits=plant.link.shared_bits,
        )
        self._first_token = first_token
        self._due_ns = now_ns
        self._planned_ns = 0
        self._started_ns = 0
        self._answers: dict[int, Completion] | None = None
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
        if not self._requests:
            return
        if self._answers is not None or not link.connected:
            self.missed += 1
            return
        self._planned_ns = planned_ns
        self._started_ns = 0
        self._answers = {}
        for index, request in enumerate(self._requests):
            link.submit(Lane.SCAN, request, self._first_token - index, now_ns)

    def owns(self, token: int) -> bool:
        """Tell whether a completion belongs to a scan."""
        return self._first_token - len(self._requests) < token <= self._first_token

    def completed(
        self, completion: Completion, *, run: str, now_ns: int, wall_ns: int
    ) -> Scan | None:
        """Take in one answer; return the scan when it was the last one. A scan that the link lost is missed."""
        if self._answers is None:
            return None
        self._answers[self._first_token - completion.token] = completion
        if completion.sent_ns and not self._started_ns:
            self._started_ns = completion.sent_ns
        if len(self._answers) < len(self._requests):
            return None
        answers, self._answers = self._answers, None
        if not any(answer.acked_ns for answer in answers.values()):
            self.missed += 1
            return None
        return self._scan(answers, run=run, now_ns=now_ns, wall_ns=wall_ns)

    def _scan(self, answers: dict[int, Completion], *, run: str, now_ns: int, wall_ns: int) -> Scan:
        payloads = [
            answers[index].data if answers[index].ok else None
            for index in range(len(self._requests))
        ]
        values, qualities = self._decoder.decode(payloads)
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
