"""The process: `python -m ald.logger`."""

import asyncio
import contextlib
import signal
from pathlib import Path

import aiohttp
from aiohttp import web

from ald.errors import InvalidInputError
from ald.kit import config, tls
from ald.kit.clock import SystemClock
from ald.kit.log import configure, get_logger
from ald.logger import plain
from ald.logger.board import Board
from ald.logger.client import GatewayClient
from ald.logger.discovery import Discovery
from ald.logger.fleet import Fleet
from ald.logger.follower import Follower, Parts
from ald.logger.keeper import Keeper
from ald.logger.memory import Memory
from ald.logger.metrics import Metrics
from ald.logger.settings import SECRETS, Settings, database_settings, static_endpoints
from ald.plant.model import Identity
from ald.store.database import Database, Endpoint

STOP_TIMEOUT_S = 5.0
"""Longest wait at the end for connections to close; what was not committed the gateways still have."""

CREDENTIALS_RETRY_S = 2.0

log = get_logger()


def main() -> int:
    """Run until SIGTERM or SIGINT; return how the process should end."""
    configure()
    try:
        settings = config.load(Settings)
        endpoints = static_endpoints(settings)
        configure(settings.log_level)
    except InvalidInputError as error:
        log.error("settings_refused", message=str(error))  # noqa: TRY400 -- a wrong setting is no bug: no trace
        return 2
    log.info("logger_starts", **config.effective(settings, SECRETS))
    try:
        asyncio.run(_run(settings, endpoints))
    except Exception:
        log.exception("logger_crashed")
        return 1
    return 0


async def _run(settings: Settings, endpoints: list[Endpoint]) -> None:
    metrics = Metrics()
    board = Board(metrics)
    clock = SystemClock()
    database = Database(database_settings(settings))
    parts = Parts(
        database=database,
        keeper=Keeper(database, clock, board),
        board=board,
        metrics=metrics,
        clock=clock,
        interval_s=settings.batch_interval_ms / 1000,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(plain.application(board, metrics, database), access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, plain.listener(settings.plain_port)).start()
        log.info("plain_port_open", port=runner.addresses[0][1])
        async with asyncio.TaskGroup() as group:
            work = group.create_task(_work(settings, endpoints, parts), name="work")
            await stop.wait()
            # A batch in flight is rolled back whole; its gateway still has it.
            work.cancel()
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await database.close()
                await runner.cleanup()
        log.info("logger_ended")


async def _work(settings: Settings, endpoints: list[Endpoint], parts: Parts) -> None:
    installation = settings.installation
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(parts.keeper.run(), name="database")
        credentials = await _credentials(settings, parts.board)
        group.create_task(tls.keep_fresh(credentials, _refused), name="certificates")

        async def follow(endpoint: Endpoint) -> None:
            machine = Identity(
                installation=installation,
                namespace=endpoint.namespace,
                name=endpoint.name,
                uid="",
            )
            name = tls.gateway_uri(installation, endpoint.namespace, endpoint.name)
            client = GatewayClient(endpoint, session, credentials.client_context(name))
            await Follower(machine, client, parts).run()

        fleet = Fleet(group, parts.board, follow)
        if endpoints:
            fleet.set(endpoints)
            parts.board.set_discovery(ok=True, message=f"{len(endpoints)} by settings")
        else:
            group.create_task(_discover(settings, parts, fleet), name="discovery")


async def _credentials(settings: Settings, board: Board) -> tls.Credentials:
    """Wait until the certificates are there and fit together."""
    while True:
        try:
            return await asyncio.to_thread(tls.Credentials, Path(settings.tls_dir), _refused)
        except tls.CredentialsError as error:
            board.set_discovery(ok=False, message=f"waits for certificates: {error}")
            await asyncio.sleep(CREDENTIALS_RETRY_S)


async def _discover(settings: Settings, parts: Parts, fleet: Fleet) -> None:
    """Follow the gateways that the API server knows; until it answers, those that the database remembers."""
    memory = Memory(parts.database, parts.keeper, settings.installation)

    def changed(endpoints: list[Endpoint]) -> None:
        fleet.set(endpoints)
        memory.keep(endpoints)

    discovery = Discovery(settings.namespaces, settings.gateway_url_template, parts.board, changed)
    async with asyncio.TaskGroup() as group:
        group.create_task(discovery.run(), name="watch")
        group.create_task(memory.run(), name="remember")
        remembered = await memory.recall()
        if remembered and not memory.kept:
            fleet.set(remembered)
            discovery.stand_in(len(remembered))


def _refused(message: str) -> None:
    log.error("certificates_refused", message=message)
