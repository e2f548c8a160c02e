"""The process: `python -m ald.gateway.front`."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from aiohttp import web

from ald.errors import AldError, PeerError
from ald.gateway.front.board import Board
from ald.gateway.front.driver import Driver
from ald.gateway.front.feed import Keep
from ald.gateway.front.handshakes import take
from ald.gateway.front.journal import Journal, Worker
from ald.gateway.front.metrics import Metrics
from ald.gateway.front.service import Service
from ald.gateway.front.settings import Settings
from ald.gateway.holder import holder_name
from ald.kit import tls
from ald.kit.clock import Clock, SystemClock
from ald.kit.config import load
from ald.kit.garbage import Garbage
from ald.kit.log import configure, get_logger
from ald.wire import GetFigures, GetStatus

if TYPE_CHECKING:
    from pathlib import Path

POLL_INTERVAL_S = 0.25
"""How often the driver is asked how it is."""

FIGURES_EVERY = 20
"""Every so many times it is asked for what only metrics show, too."""

FAREWELL_S = 25.0
"""How long the front stays after SIGTERM for the driver's last record; the pod has 45 s."""

NAMING_S = 0.5
"""How long the volume may take to tell who holds the machine."""

SWITCH_INTERVAL_S = 0.0005
"""The thread of the journal gives way after this: a stop waits for it each time that it has to be looked at, several times on its way."""

PLAIN_MAX = 64
"""Connections to the plain port, which asks nobody for a certificate; those that came first go when there are more."""

PLAIN_LOOK_S = 0.5
"""How often they are counted: what comes in between is bounded by how fast connections are made."""

HANDLERS_S = 2.0
"""How long requests may go on after the last record."""


def main() -> int:
    """Serve until SIGTERM or SIGINT; return how the process should end."""
    try:
        settings = load(Settings)
        configure(settings.log_level, machine=f"{settings.namespace}/{settings.machine}")
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        asyncio.run(serve(settings))
    except AldError as error:
        print(f"ald-gateway front: {error}", file=sys.stderr)  # noqa: T201 -- the message is for the person who started this
        return 2
    except Exception:  # noqa: BLE001 -- the outermost frame of the process
        get_logger().exception("front_crashed")
        return 1
    return 0


async def serve(settings: Settings) -> None:
    """Run the front until it is told to end.

    Raises:
        AldError: settings or certificates with which it cannot begin.
    """
    log = get_logger()
    clock, board, garbage = SystemClock(), Board(SystemClock()), Garbage()
    keep = Keep(age_ns=settings.feed_keep_ns, bytes_max=settings.feed_bytes_max)
    worker = Worker(settings, keep, f"{socket.gethostname()}/{os.getpid()}", clock)
    journal = Journal(worker, board, lambda message: log.warning("journal_trouble", why=message))
    driver = Driver(settings.socket)
    metrics = Metrics(board, journal)

    def refused(why: str) -> None:
        metrics.handshakes_refused.inc()
        log.info("handshake_refused", why=why)

    credentials = await asyncio.to_thread(tls.Credentials, settings.tls_path, refused)
    service = Service(
        owner=settings.identity, driver=driver, journal=journal, board=board, clock=clock
    )
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    commands = web.AppRunner(
        service.application(metrics), access_log=None, shutdown_timeout=HANDLERS_S
    )
    plain = web.AppRunner(probes(board, metrics), access_log=None, shutdown_timeout=HANDLERS_S)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    watch(driver, board, settings.holder, clock, garbage), name="watch"
                ),
                group.create_task(
                    tls.keep_fresh(
                        credentials, lambda why: log.error("certificates_not_renewed", why=why)
                    ),
                    name="certificates",
                ),
                group.create_task(keep_few(plain), name="plain"),
            ]
            group.create_task(journal.run(ending), name="journal")
            listener = await _listen(commands, plain, settings)
            ports = {"https_port": listener.getsockname()[1], "plain_port": plain.addresses[0][1]}
            assert commands.server is not None, "it is set up"
            taking = take(listener, commands.server, credentials.server_context())
            tasks.append(group.create_task(taking, name="https"))
            # What is there by now stays: looking through it for garbage would keep a stop waiting.
            garbage.begin(is_automatic=True)
            log.info("front_ready", **ports)
            await ending.wait()
            log.info("front_ending", session=journal.session)
            await journal.drain(FAREWELL_S)
            board.close()
            for task in tasks:
                task.cancel()
            for runner in (commands, plain):
                await runner.cleanup()
    finally:
        driver.close()
        await journal.close()
    log.info("front_ended")


async def watch(driver: Driver, board: Board, holder: Path, clock: Clock, garbage: Garbage) -> None:
    """Ask the driver how it is, for ever; while it is silent, tell who may be in its way. In between look for garbage."""
    naming = _Naming(holder)
    for count in itertools.count():
        try:
            with_figures = board.figures is None or count % FIGURES_EVERY == 0
            board.answered(await driver.ask(GetFigures() if with_figures else GetStatus()))
        except PeerError:
            board.set_driver(None, waiting_for=await naming.other())
        garbage.collect(clock.monotonic_ns(), may_pause=True)
        await asyncio.sleep(POLL_INTERVAL_S)


async def keep_few(plain: web.AppRunner) -> None:
    """Leave at most `PLAIN_MAX` connections, for ever: one over which nothing comes would stay, and take memory from a stop."""
    while True:
        connections = plain.server.connections if plain.server is not None else []
        for each in connections[:-PLAIN_MAX]:
            each.force_close()
        await asyncio.sleep(PLAIN_LOOK_S)


class _Naming:
    """Who holds the machine, read from the volume: one look at a time, and a volume that does not answer is not waited for."""

    def __init__(self, holder: Path) -> None:
        self._holder = holder
        self._host = socket.gethostname()
        self._look: asyncio.Future[str] | None = None

    async def other(self) -> str:
        """Return who that is, if it is another host's driver, as far as the volume says so in time."""
        if self._look is None:
            loop = asyncio.get_running_loop()
            self._look = loop.run_in_executor(None, holder_name, self._holder)
        try:
            async with asyncio.timeout(NAMING_S):
                name = await asyncio.shield(self._look)
        except TimeoutError:
            return ""
        self._look = None
        return "" if name.split("/")[0] == self._host else name


def probes(board: Board, metrics: Metrics) -> web.Application:
    """Return the application for the plain port: it tells, and takes no commands."""

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        if board.journal_ok:
            return web.Response(text="ok\n")
        return web.Response(status=503, text=f"journal: {board.journal_message}\n")

    async def metricsz(_: web.Request) -> web.Response:
        return web.Response(
            body=metrics.text(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    application = web.Application()
    application.add_routes(
        [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metricsz)]
    )
    return application


async def _listen(
    commands: web.AppRunner, plain: web.AppRunner, settings: Settings
) -> socket.socket:
    """Set up both, let the plain port be served, and return the socket of the other one, of which nothing is taken yet."""
    await commands.setup()
    await plain.setup()
    listener = _socket(settings.https_port)
    await web.SockSite(plain, _socket(settings.plain_port)).start()
    return listener


def _socket(port: int) -> socket.socket:
    """Return a socket that listens on every address of the host, IPv6 where it has it."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))
