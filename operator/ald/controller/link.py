"""Follows one machine's gateway: its newest status by long polls, and how it is reached."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from ald.controller.gateway import IDENTITY_REFUSED, Gateway
from ald.controller.views import Reach
from ald.errors import PeerError, RefusedError
from ald.kit.backoff import delay_s
from ald.kit.clock import Clock
from ald.wire import GatewayStatus

ACTIVE_POLL_S = 5.0
IDLE_POLL_S = 15.0
POLL_INTERVAL_S_MIN = 0.05
"""However often a gateway changes, it is not asked more often than this."""

BACKOFF_BASE_S = 0.2
BACKOFF_CAP_S = 5.0
SILENT_S_MAX = 3.0
"""A gateway may be silent for this long before its last status counts no more."""

START_S_MAX = 120.0
"""A gateway that has not answered once may take this long to start before it is called unreachable."""


class Link:
    """What one gateway said last, and how many `answers` it has given; `changed` is called on every change."""

    def __init__(self, gateway: Gateway, clock: Clock, changed: Callable[[], None]) -> None:
        self.gateway = gateway
        self.reach = Reach()
        self._clock = clock
        self._changed = changed
        self._begin_ns = clock.monotonic_ns()
        self._answered_ns: int | None = None
        self.answers = 0

    def take(self, status: GatewayStatus) -> None:
        """Take in a status, also one that came as the answer to an order."""
        self._answered_ns = self._clock.monotonic_ns()
        self.answers += 1
        reach = Reach(status=status, reason="", message="")
        if reach != self.reach:
            self.reach = reach
            self._changed()

    async def follow(self) -> None:
        """Ask for ever; a wait after every failure, growing to `BACKOFF_CAP_S`."""
        failures = 0
        seen = 0
        while True:
            failed = await self._ask(seen)
            if failed:
                # A gateway that starts anew may count its revisions from the start.
                seen, failures = 0, failures + 1
                unit = random.random()  # noqa: S311 -- jitter, no secret
                wait = delay_s(
                    failures, base_s=BACKOFF_BASE_S, cap_s=BACKOFF_CAP_S, unit_random=unit
                )
                await asyncio.sleep(wait)
            else:
                failures = 0
                seen = self.reach.status.revision if self.reach.status else 0
                await asyncio.sleep(POLL_INTERVAL_S_MIN)

    async def _ask(self, seen: int) -> bool:
        """Ask once; return whether that failed."""
        answers = self.answers
        wait_s = ACTIVE_POLL_S if self.reach.active_run else IDLE_POLL_S
        try:
            status = await self.gateway.status(seen=seen, wait_s=wait_s)
        except (PeerError, RefusedError) as error:
            self._fail(error)
            return True
        # The answer to an order may have overtaken this one.
        newest = self.reach.status
        if self.answers == answers or newest is None or status.revision >= newest.revision:
            self.take(status)
        return False

    def _fail(self, error: PeerError | RefusedError) -> None:
        now_ns = self._clock.monotonic_ns()
        last_ns = self._answered_ns
        if last_ns is not None and now_ns - last_ns < SILENT_S_MAX * 1e9:
            return
        if isinstance(error, RefusedError) and error.reason == IDENTITY_REFUSED:
            reason = IDENTITY_REFUSED
        elif last_ns is None and now_ns - self._begin_ns < START_S_MAX * 1e9:
            reason = "GatewayStarting"
        else:
            reason = "GatewayUnreachable"
        reach = Reach(status=None, reason=reason, message=str(error))
        if reach != self.reach:
            self.reach = reach
            self._changed()
