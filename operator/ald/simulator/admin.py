"""The simulator's own HTTP interface: the witness's record, and the switches for tests.

GET  /healthz
GET  /state                 values, open valves, watchdog, connections, requests, faults
GET  /trace?after=N         edges behind sequence N, at most EDGES_A_REPLY_MAX, and all overlaps
GET  /writes?after=N        writes behind sequence N, at most EDGES_A_REPLY_MAX
POST /trace/reset           forgets writes, too
POST /faults                FaultOrder
POST /values                {name: number | null}: hold a parameter, null frees it; move a valve (`valve.NAME`)
"""

import msgspec
from aiohttp import web

from ald.errors import NotFoundError
from ald.simulator.faults import FaultOrder, Faults
from ald.simulator.plc import Watchdog
from ald.simulator.server import Server
from ald.simulator.trace import Edge, Overlap, Written

EDGES_A_REPLY_MAX = 20_000
"""Edges or writes in one reply."""


class TraceReply(msgspec.Struct, frozen=True, kw_only=True):
    """`latest` is the last sequence there is; more edges follow while it exceeds that of the last edge here."""

    latest: int
    dropped_to: int
    edges: tuple[Edge, ...]
    overlaps: tuple[Overlap, ...]


class WritesReply(msgspec.Struct, frozen=True, kw_only=True):
    """`latest` is the last sequence there is."""

    latest: int
    writes: tuple[Written, ...]


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """Connections to the Modbus port."""

    open: int
    accepted: int
    refused: int
    peak: int


class StateReply(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at once."""

    machine: str
    wall_ns: int
    values: dict[str, float]
    forced: dict[str, float]
    open_valves: tuple[str, ...]
    watchdog: Watchdog
    connections: Connections
    requests: dict[int, int]
    exceptions: int
    faults: Faults


def application(server: Server) -> web.Application:
    """Return the HTTP application of one simulator."""
    views = _Views(server)
    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", views.health),
            web.get("/state", views.state),
            web.get("/trace", views.trace),
            web.get("/writes", views.writes),
            web.post("/trace/reset", views.reset),
            web.post("/faults", views.faults),
            web.post("/values", views.values),
        ]
    )
    return app


class _Views:
    def __init__(self, server: Server) -> None:
        self._server = server

    async def health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def state(self, _: web.Request) -> web.Response:
        self._catch_up()
        server, plc = self._server, self._server.plc
        counters = server.counters
        return _json(
            StateReply(
                machine=plc.plant.identity.name,
                wall_ns=server.clock.wall_ns(),
                values=plc.values(),
                forced=plc.forced,
                open_valves=plc.trace.open_valves,
                watchdog=plc.watchdog,
                connections=Connections(
                    open=server.open_connections,
                    accepted=counters.accepted,
                    refused=counters.refused,
                    peak=counters.peak,
                ),
                requests=dict(counters.requests),
                exceptions=counters.exceptions,
                faults=server.faults,
            )
        )

    async def trace(self, request: web.Request) -> web.Response:
        self._catch_up()
        after = _after(request)
        trace = self._server.plc.trace
        return _json(
            TraceReply(
                latest=trace.latest,
                dropped_to=trace.dropped_to,
                edges=tuple(trace.after(after, EDGES_A_REPLY_MAX)),
                overlaps=trace.overlaps,
            )
        )

    async def writes(self, request: web.Request) -> web.Response:
        writes = self._server.plc.writes
        found = tuple(writes.after(_after(request), EDGES_A_REPLY_MAX))
        return _json(WritesReply(latest=writes.latest, writes=found))

    async def reset(self, _: web.Request) -> web.Response:
        self._catch_up()
        self._server.plc.trace.reset()
        self._server.plc.writes.reset()
        return web.Response(status=204)

    async def faults(self, request: web.Request) -> web.Response:
        self._catch_up()
        try:
            order = msgspec.json.decode(await request.read(), type=FaultOrder)
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=f"{error}\n")
        return _json(self._server.order(order))

    async def values(self, request: web.Request) -> web.Response:
        try:
            orders = msgspec.json.decode(await request.read(), type=dict[str, float | None])
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=f"{error}\n")
        for name, value in orders.items():
            try:
                self._server.plc.force(name, value, self._server.now())
            except NotFoundError as error:
                return web.Response(status=404, text=f"{error}\n")
        return web.Response(status=204)

    def _catch_up(self) -> None:
        """Let what is due have happened, most of all the watchdog; a PLC that stands still stays as it is."""
        if not self._server.faults.freeze:
            self._server.plc.advance(self._server.clock.monotonic_ns())


def _after(request: web.Request) -> int:
    """Return the sequence number that was asked for."""
    after = request.query.get("after", "0")
    if not after.isdecimal():
        raise web.HTTPBadRequest(text="after: is a sequence number from 0; 0 means all\n")
    return int(after)


def _json(body: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")
