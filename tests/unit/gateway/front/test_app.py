"""What the front makes of a driver that is silent."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from ald.errors import PeerError
from ald.gateway.front import app
from ald.gateway.front.board import Board
from ald.kit.clock import SystemClock
from ald.kit.garbage import Garbage
from ald.wire import DriverReply
from fixtures.driver import IDLE
from fixtures.wait import POLL_INTERVAL_S

if TYPE_CHECKING:
    from ald.gateway.front.driver import Driver


class Silent:
    """A driver that answers once."""

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self, request) -> DriverReply:
        assert request is not None
        self.asked += 1
        if self.asked == 1:
            return DriverReply(id=1, at_ns=1, status=IDLE)
        raise PeerError("the driver did not answer within 2 s")


async def until(board: Board, fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not fact():
            await board.wait_for_revision(board.status.revision, POLL_INTERVAL_S)


async def test_a_silent_driver_is_said_to_be_silent_although_its_volume_does_not_answer_either(
    tmp_path, monkeypatch
):
    answers, looks = threading.Event(), []

    def hanging(path):
        looks.append(path)
        answers.wait(20)
        return "pod-b/7"

    monkeypatch.setattr(app, "holder_name", hanging)
    board, driver = Board(SystemClock()), Silent()
    watching = asyncio.create_task(
        app.watch(cast("Driver", driver), board, tmp_path / "holder", SystemClock(), Garbage())
    )
    try:
        await until(board, lambda: board.driver is not None)
        await until(board, lambda: board.driver is None)
        await until(board, lambda: driver.asked > 3)
        assert (board.status.waiting_for, len(looks)) == ("", 1)
        answers.set()
        await until(board, lambda: board.status.waiting_for == "pod-b/7")
    finally:
        answers.set()
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
