"""The plain port: probes and metrics, without secrets and without orders.

GET /livez      200 while the event loop turns
GET /readyz     200 while records can be stored, else 503; the body says in plain words how everything is
GET /metrics    Prometheus
"""

import socket

from aiohttp import web

from ald.logger.board import Board
from ald.logger.metrics import Metrics
from ald.store.database import Database


def application(board: Board, metrics: Metrics, database: Database) -> web.Application:
    """Return the HTTP application."""

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        return web.Response(status=200 if board.ready else 503, text=board.lines())

    async def numbers(_: web.Request) -> web.Response:
        pool = database.pool
        metrics.pool.labels("open").set(pool.size)
        metrics.pool.labels("idle").set(pool.idle)
        metrics.pool.labels("waiting").set(pool.waiting)
        return web.Response(body=metrics.text(), content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.add_routes(
        [web.get("/livez", live), web.get("/readyz", ready), web.get("/metrics", numbers)]
    )
    return app


def listener(port: int) -> socket.socket:
    """Return a socket for both address families, where the host has both."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))
