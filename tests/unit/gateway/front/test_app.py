"""What the front makes of a driver that is silent."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from aiohttp import web

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


async def livez(_: web.Request) -> web.Response:
    return web.Response(text="ok")


async def test_whoever_connects_to_the_plain_port_and_says_nothing_is_not_kept_for_ever():
    application = web.Application()
    application.router.add_get("/livez", livez)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.SockSite(runner, socket.create_server(("127.0.0.1", 0))).start()
    host, port = runner.addresses[0][:2]
    keeping = asyncio.create_task(app.keep_few(runner))
    silent = [await asyncio.open_connection(host, port) for _ in range(app.PLAIN_MAX + 10)]
    try:
        async with asyncio.timeout(10):
            for reader, _ in silent[:10]:
                assert await reader.read() == b"", "it came first"
        for _, writer in silent[10:]:
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(10):
            for reader, _ in silent[10:]:
                assert b"200 OK" in await reader.readline()
    finally:
        keeping.cancel()
        for _, writer in silent:
            writer.close()
        await runner.cleanup()
