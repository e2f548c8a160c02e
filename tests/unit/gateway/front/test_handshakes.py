"""Connections to the port that takes commands, before their handshake is over."""

import asyncio
import contextlib
import socket

import pytest
from aiohttp import web

from ald.gateway.front import handshakes
from ald.kit.tls import Credentials, client_uri, gateway_uri
from fixtures.certificates import Authority

GATEWAY = gateway_uri("test", "lab", "reactor")


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


def forget(_: str) -> None:
    """Who was refused is not what these tests are about."""


@pytest.fixture
def port_and_context(tmp_path):
    """Give, within a loop, a port that takes connections, and the context of a client that it lets in."""

    authority = Authority()
    server = Credentials(authority.issue(tmp_path / "server", GATEWAY), forget)
    uri = client_uri("test", "stop")
    client = Credentials(authority.issue(tmp_path / "client", uri), forget)

    @contextlib.asynccontextmanager
    async def serving():
        application = web.Application()
        application.router.add_get("/", hello)
        runner = web.AppRunner(application)
        await runner.setup()
        assert runner.server is not None
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        taking = asyncio.create_task(
            handshakes.take(listener, runner.server, server.server_context())
        )
        try:
            yield port, client.client_context(GATEWAY)
        finally:
            taking.cancel()
            await runner.cleanup()
            with pytest.raises(asyncio.CancelledError):
                await taking
            assert listener.fileno() == -1

    return serving


async def said_over(port, context):
    """Return the first line of an answer."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=""
    )
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return line


async def ends(reader):
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""


@pytest.mark.timeout(60)
async def test_whoever_says_nothing_makes_room_for_those_that_come_later(port_and_context):
    async with port_and_context() as (port, context):
        assert await said_over(port, context) == b"HTTP/1.1 200 OK\r\n"
        silent = [
            await asyncio.open_connection("127.0.0.1", port)
            for _ in range(handshakes.HANDSHAKES_MAX + 10)
        ]
        assert await said_over(port, context) == b"HTTP/1.1 200 OK\r\n"
        # Ten for those that came after them, and one for the one that had something to say.
        async with asyncio.timeout(20):
            for reader, _ in silent[:11]:
                await ends(reader)
        for reader, _ in silent[11:]:
            assert not reader.at_eof()
        for _, writer in silent:
            writer.close()


@pytest.mark.timeout(60)
async def test_whoever_has_shown_a_certificate_stays_whoever_else_comes(port_and_context):
    async with port_and_context() as (port, context):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=""
        )
        silent = [
            await asyncio.open_connection("127.0.0.1", port)
            for _ in range(2 * handshakes.HANDSHAKES_MAX)
        ]
        async with asyncio.timeout(20):
            await ends(silent[0][0])
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        for _, each in [(reader, writer), *silent]:
            each.close()


@pytest.mark.timeout(60)
async def test_whoever_says_nothing_is_ended_after_a_while_though_nobody_wants_his_place(
    port_and_context, monkeypatch
):
    monkeypatch.setattr(handshakes, "HANDSHAKE_S", 0.2)
    async with port_and_context() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(20):
            await ends(reader)
        writer.close()
