"""What the front knows at the moment, and who waits for it to change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import ald
from ald.standing import HistoryStatus
from ald.wire import PROTOCOL, DriverReply, DriverStatus, GatewayStatus, LinkFigures

if TYPE_CHECKING:
    from collections.abc import Callable

    from ald.gateway.front.feed import Marks
    from ald.kit.clock import Clock

STEP_INTERVAL_NS = 1_000_000_000
"""Steps alone raise the revision at most this often."""

HISTORY_PATIENCE_NS = 60_000_000_000
"""A reader that starts anew, or a database that does, takes less; without a record fetched for longer the history stands still."""


def vital(status: DriverStatus | None) -> tuple[object, ...]:
    """Return what is worth an early look whenever it changes."""
    if status is None:
        return ()
    run = status.run
    return (
        *(status.session, status.state, status.reason, status.message),
        *(status.plant_digest, status.plant_confirmed, status.safe_confirmed),
        *(status.watchdog, status.foreign_master, status.interlocks, status.readiness),
        status.link.is_holding_back,
        status.real_time and (status.real_time.state, status.real_time.message),
        *(status.link.connected, status.link.message, status.scan.refusals),
        run and (run.run.uid, run.held, run.outcome, run.message),
    )


def step(status: DriverStatus | None) -> tuple[object, ...]:
    """Return where the run is."""
    if status is None or status.run is None:
        return ()
    return (status.run.path, status.run.iterations)


class Board:
    """The status, its revision, and the waiting. Belongs to the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Later lives of the front start higher, so that a client's `seen` of an earlier one is not met by chance.
        self._revision = clock.wall_ns() // 1_000_000_000
        self._changed = asyncio.Event()
        self._driver: DriverStatus | None = None
        self._answered_ns = 0
        self._figures: LinkFigures | None = None
        self._waiting_for = ""
        self._journal: tuple[bool, str] = (False, "the journal is not open yet")
        self._marks: Marks | None = None
        self._fetched_ns = clock.monotonic_ns()
        self._fetched_wall_ns = 0
        self._stalled = False
        self._step_seen: tuple[object, ...] = ()
        self._step_at_ns = 0
        self._closing = False

    @property
    def driver(self) -> DriverStatus | None:
        """The driver's last word; None while it does not answer."""
        return self._driver

    @property
    def figures(self) -> LinkFigures | None:
        """What metrics show of the link besides its status, as last heard; None while the driver does not answer."""
        return self._figures

    @property
    def journal_ok(self) -> bool:
        """True while records are being stored."""
        return self._journal[0]

    @property
    def journal_message(self) -> str:
        """Why not, or what is noteworthy all the same."""
        return self._journal[1]

    @property
    def marks(self) -> Marks | None:
        """Where the feed stands; None before it was opened."""
        return self._marks

    @property
    def status(self) -> GatewayStatus:
        """Everything, as clients see it."""
        marks = self._marks
        return GatewayStatus(
            protocol=PROTOCOL,
            version=ald.__version__,
            revision=self._revision,
            feed=marks.feed if marks else "",
            feed_position=marks.latest if marks else 0,
            feed_committed=marks.committed if marks else 0,
            journal_ok=self._journal[0],
            journal_message=self._journal[1],
            waiting_for=self._waiting_for,
            driver=self._driver,
            history=HistoryStatus(
                stalled=self._stalled, since_wall_ns=self._fetched_wall_ns, lost=marks.lost
            )
            if marks
            else None,
        )

    def answered(self, reply: DriverReply) -> None:
        """Take in an answer of the driver, unless a later one was read first: the status never goes back in time."""
        if reply.at_ns >= self._answered_ns:
            self._answered_ns = reply.at_ns
            self._figures = reply.figures or self._figures
            self.set_driver(reply.status)

    def set_driver(self, status: DriverStatus | None, waiting_for: str = "") -> None:
        """Take in the driver's word."""
        before, now_ns = self._driver, self._clock.monotonic_ns()
        self._figures = None if status is None else self._figures
        self._driver = status
        changed = vital(before) != vital(status) or self._waiting_for != waiting_for
        self._waiting_for = waiting_for
        moved = step(status) != self._step_seen
        changed |= self._look_at_history()
        if changed or (moved and now_ns - self._step_at_ns >= STEP_INTERVAL_NS):
            self._step_seen, self._step_at_ns = step(status), now_ns
            self._changed_now()

    def set_journal(self, marks: Marks | None, *, ok: bool, message: str) -> None:
        """Take in how storing goes; `marks` None keeps the last known ones."""
        told = (ok, message)
        moved = marks is not None and marks != self._marks
        if marks is not None:
            self._note_fetched(marks)
        self._marks = marks or self._marks
        if self._look_at_history() or told != self._journal:
            self._journal = told
            self._changed_now()
        elif moved:
            self._wake()

    async def wait_for_revision(self, seen: int, wait_s: float) -> None:
        """Return when the revision is another than `seen`, or after `wait_s`."""
        await self._wait(lambda: self._revision != seen, wait_s)

    async def wait_for_position(self, after: int, wait_s: float) -> None:
        """Return when the feed ends elsewhere than at `after`, or after `wait_s`.

        A feed that ends before it is another one than whoever asks knows, and says so best at once.
        """
        await self._wait(lambda: self._marks is not None and self._marks.latest != after, wait_s)

    def close(self) -> None:
        """Let nobody wait any more."""
        self._closing = True
        self._wake()

    def _note_fetched(self, marks: Marks) -> None:
        """See whether the reader has fetched something, or had nothing to fetch until now."""
        before = self._marks
        if before is None or marks.committed != before.committed or not _waits(before):
            self._fetched_ns = self._clock.monotonic_ns()
            self._fetched_wall_ns = self._clock.wall_ns()

    def _look_at_history(self) -> bool:
        """Return whether the reader has fallen behind, or has come back, since the last look."""
        waited_ns = self._clock.monotonic_ns() - self._fetched_ns
        waits = self._marks is not None and _waits(self._marks)
        stalled = waits and waited_ns >= HISTORY_PATIENCE_NS
        was, self._stalled = self._stalled, stalled
        return stalled != was

    async def _wait(self, fact: Callable[[], bool], wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                while not fact() and not self._closing:
                    await self._changed.wait()
        except TimeoutError:
            return

    def _changed_now(self) -> None:
        self._revision += 1
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _waits(marks: Marks) -> bool:
    """Return whether there are records that the reader has not fetched."""
    return marks.committed < marks.latest
