"""The HTTPS interface of `ald.wire`: who may ask what, and every refusal as an `ErrorReply`, counted."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, TypeVar

import msgspec
from aiohttp import web

from ald.errors import (
    AldError,
    CorruptRecordError,
    InvalidInputError,
    PeerError,
    RefusedError,
    StoreError,
    Violation,
)
from ald.gateway.front import strict
from ald.gateway.front.values import values_reply
from ald.gateway.packets import WORDS_MAX
from ald.kit import tls
from ald.plant import model as plant_model
from ald.program import model as program_model
from ald.wire import (
    BODY_BYTES_MAX,
    FEED_BATCH_MAX,
    LONG_POLL_S_MAX,
    PROTOCOL,
    AbortOrder,
    AbortRun,
    ActionOrder,
    Clear,
    ClearOrder,
    Confirm,
    ConfirmOrder,
    DirectRun,
    ErrorReply,
    FeedCommitted,
    GoSafe,
    LoadPlant,
    PlantPush,
    RunOrder,
    SafeStateOrder,
    StartRun,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from aiohttp.typedefs import Handler, Middleware

    from ald.gateway.front.board import Board
    from ald.gateway.front.driver import Driver, Request
    from ald.gateway.front.journal import Journal
    from ald.gateway.front.metrics import Metrics
    from ald.kit.clock import Clock
    from ald.plant.model import Identity

WAITING_MAX = 32
"""Long polls that may wait at a time."""

BODY_TIMEOUT_S = 10.0
"""Longest time for a body to arrive."""

WORDS_TIMEOUT_S = 0.5
"""How long what makes safe waits for its words: they come with the request, or they are not worth a valve that stays open."""

SUCCESSOR_NS = 1_500_000_000
"""How long a stop waits for the successor of a driver that is away; it is there within half a second."""

SUCCESSOR_LOOK_S = 0.05
"""How often it looks for it."""

ABORTED_MAX = 64
"""Runs whose abort is remembered: an order to start that comes after it was held up on the way."""

_UNSAID = AbortOrder(reason="asked for over HTTPS in words that cannot be read", by="unknown")
"""Who makes the machine safe, and why, where the request does not say so."""

_Safe = TypeVar("_Safe", AbortOrder, SafeStateOrder)
_OPERATOR = frozenset({"operator"})
_STOPPERS = frozenset({"operator", "stop"})
_LOGGER = frozenset({"logger"})
_READERS = frozenset({"logger", "gateway"})
_VIEWERS = frozenset({"operator", "monitor", "gateway"})
_JSON = "application/json"
_MSGPACK = "application/msgpack"


class Service:
    """Answers requests for one machine."""

    def __init__(
        self, *, owner: Identity, driver: Driver, journal: Journal, board: Board, clock: Clock
    ) -> None:
        self._owner = owner
        self._driver = driver
        self._journal = journal
        self._board = board
        self._clock = clock
        self._waiting = 0
        # Of this life: an order is held up in a connection, which does not outlive it.
        self._aborted: deque[str] = deque(maxlen=ABORTED_MAX)

    def application(self, metrics: Metrics) -> web.Application:
        """Return the application for the HTTPS port."""
        routes = {
            ("PUT", "/v1/plant"): (self._put_plant, _OPERATOR),
            ("POST", "/v1/runs"): (self._post_run, _OPERATOR),
            ("POST", "/v1/runs/{uid}/abort"): (self._post_abort, _OPERATOR),
            ("POST", "/v1/stop"): (self._post_stop, _STOPPERS),
            ("POST", "/v1/runs/{uid}/action"): (self._post_action, _OPERATOR),
            ("POST", "/v1/clear"): (self._post_clear, _OPERATOR),
            ("POST", "/v1/confirm"): (self._post_confirm, _OPERATOR),
            ("POST", "/v1/safe-state"): (self._post_safe_state, _OPERATOR),
            ("GET", "/v1/status"): (self._get_status, tls.ROLES | _VIEWERS),
            ("GET", "/v1/values"): (self._get_values, _VIEWERS),
            ("GET", "/v1/feed"): (self._get_feed, _READERS),
            ("POST", "/v1/feed/committed"): (self._post_committed, _LOGGER),
        }
        roles = {key: allowed for key, (_, allowed) in routes.items()}
        guard = _guard(self._owner, roles, metrics)
        application = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[guard])
        for (method, path), (handler, _) in routes.items():
            application.router.add_route(method, path, handler)
        return application

    async def _put_plant(self, request: web.Request) -> web.Response:
        push = strict.decode(await _body(request), PlantPush)
        _check_protocol(push.protocol)
        if push.plant.identity != self._owner:
            theirs, ours = push.plant.identity, self._owner
            raise RefusedError(
                "ForeignMachine",
                f"this is the gateway of {ours.namespace}/{ours.name} (uid {ours.uid}),"
                f" not of {theirs.namespace}/{theirs.name} (uid {theirs.uid})",
            )
        _check_digest("$.digest", push.digest, plant_model.digest(push.plant))
        return await self._order(LoadPlant(push=push, confirmed=True))

    async def _post_run(self, request: web.Request) -> web.Response:
        order = strict.decode(await _body(request), RunOrder)
        _check_protocol(order.protocol)
        if order.run.namespace != self._owner.namespace:
            raise RefusedError(
                "ForeignMachine",
                f"runs here are of namespace {self._owner.namespace}, not {order.run.namespace}",
            )
        _check_digest("$.program_digest", order.program_digest, program_model.digest(order.program))
        if not self._is_begun(order):
            if order.run.uid in self._aborted:
                raise RefusedError(
                    "Aborted", f"run {order.run.name} was aborted before this order to start came"
                )
            if not self._board.journal_ok:
                raise StoreError(f"no run starts without a journal: {self._board.journal_message}")
        return await self._order(StartRun(order=order))

    def _is_begun(self, order: RunOrder) -> bool:
        """Tell whether the driver has begun this attempt at the run, so that sending it again begins nothing."""
        status = self._board.driver
        run = status.run if status is not None else None
        return run is not None and run.run == order.run and run.attempt >= order.attempt

    async def _post_abort(self, request: web.Request) -> web.Response:
        uid = request.match_info["uid"]
        # First, as the words are waited for; once, however often it is told.
        if uid not in self._aborted:
            self._aborted.append(uid)
        order = await _to_make_safe(request, _UNSAID)
        return await self.make_safe(AbortRun(uid=uid, order=order))

    async def _post_stop(self, request: web.Request) -> web.Response:
        """Abort whatever runs; also for those who know of no run: `ald stop` from outside the cluster."""
        order = await _to_make_safe(request, _UNSAID)
        return await self.make_safe(AbortRun(uid="", order=order))

    async def _post_action(self, request: web.Request) -> web.Response:
        order = strict.decode(await _body(request), ActionOrder)
        return await self._order(DirectRun(uid=request.match_info["uid"], order=order))

    async def _post_clear(self, request: web.Request) -> web.Response:
        return await self._order(Clear(order=strict.decode(await _body(request), ClearOrder)))

    async def _post_confirm(self, request: web.Request) -> web.Response:
        return await self._order(Confirm(order=strict.decode(await _body(request), ConfirmOrder)))

    async def _post_safe_state(self, request: web.Request) -> web.Response:
        unsaid = SafeStateOrder(by=_UNSAID.by, comment=_UNSAID.reason)
        return await self.make_safe(GoSafe(order=await _to_make_safe(request, unsaid)))

    async def _get_status(self, request: web.Request) -> web.Response:
        seen, wait_s = _integer(request, "seen", -1), _wait_s(request)
        if wait_s and seen >= 0:
            await self._patiently(self._board.wait_for_revision(seen, wait_s))
        return _json(self._board.status)

    async def _get_values(self, _: web.Request) -> web.Response:
        journal = self._journal
        return _json(values_reply(journal.plant, journal.scan, self._clock.monotonic_ns()))

    async def _get_feed(self, request: web.Request) -> web.Response:
        after, wait_s = _integer(request, "after", 0), _wait_s(request)
        records_max = min(_integer(request, "max", FEED_BATCH_MAX), FEED_BATCH_MAX)
        if wait_s:
            await self._patiently(self._board.wait_for_position(after, wait_s))
        batch = await self._journal.read(after, max(1, records_max))
        return web.Response(body=msgspec.msgpack.encode(batch), content_type=_MSGPACK)

    async def _post_committed(self, request: web.Request) -> web.Response:
        committed = strict.decode(await _body(request), FeedCommitted)
        await self._journal.commit(committed.feed, committed.position)
        return web.Response(status=204)

    async def make_safe(self, order: AbortRun | GoSafe) -> web.Response:
        """Hand on what makes safe, to its successor where the driver has just died: told twice it is done once.

        Raises:
            PeerError: no driver took it; whether the machine is made safe is then unknown.
        """
        until_ns = self._clock.monotonic_ns() + SUCCESSOR_NS
        while True:
            try:
                return await self._order(order)
            except PeerError:
                if self._clock.monotonic_ns() >= until_ns:
                    raise
            await asyncio.sleep(SUCCESSOR_LOOK_S)

    async def _order(self, request: Request) -> web.Response:
        """Hand a request to the driver; its refusal is ours."""
        reply = await self._driver.ask(request)
        self._board.answered(reply)
        if reply.error is not None:
            return _json(reply.error, status=409)
        return _json(self._board.status)

    async def _patiently(self, wait: Coroutine[object, object, None]) -> None:
        """Wait among at most `WAITING_MAX` others."""
        if self._waiting >= WAITING_MAX:
            wait.close()
            await asyncio.sleep(0)
            raise web.HTTPTooManyRequests(text=f"{WAITING_MAX} long polls wait already; ask later")
        self._waiting += 1
        try:
            await wait
        finally:
            self._waiting -= 1


def _guard(
    owner: Identity, roles: Mapping[tuple[str, str], frozenset[str]], metrics: Metrics
) -> Middleware:
    """Return the middleware that checks roles, turns errors into replies and counts both."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "unknown"
        response = await answered(request, handler, roles.get((request.method, route)))
        metrics.requests.labels(route, str(response.status)).inc()
        return response

    async def answered(
        request: web.Request, handler: Handler, allowed: frozenset[str] | None
    ) -> web.StreamResponse:
        role = _role(request, owner)
        if role is None:
            return _refused(403, "Forbidden", "this certificate names no role of this installation")
        # Without an entry there is no such route, and the handler says so.
        if allowed is not None and role not in allowed:
            return _refused(403, "Forbidden", f"the role {role} may not do this")
        try:
            return await handler(request)
        except AldError as error:
            return _of_error(error)
        except web.HTTPException as error:
            text = error.text or error.reason
            return _refused(error.status, type(error).__name__.removeprefix("HTTP"), text)

    return guard


def _role(request: web.Request, owner: Identity) -> str | None:
    ssl_object = request.get_extra_info("ssl_object")
    if ssl_object is None:
        return None
    # `ald machine values` inside this pod comes with this gateway's own certificate.
    own = tls.gateway_uri(owner.installation, owner.namespace, owner.name)
    if tls.peer_uris(ssl_object) == (own,):
        return "gateway"
    return tls.peer_role(ssl_object, owner.installation)


def _of_error(error: AldError) -> web.Response:
    match error:
        case InvalidInputError():
            violations = tuple(str(violation) for violation in error.violations)
            return _refused(400, "InvalidInput", "the request breaks rules", violations)
        case RefusedError():
            return _refused(409, error.reason, str(error))
        case PeerError():
            return _refused(503, "DriverAway", str(error))
        case StoreError():
            return _refused(503, "JournalUnwritable", str(error))
        case CorruptRecordError():
            return _refused(503, "JournalDamaged", str(error))
        case _:
            raise error


def _refused(
    status: int, reason: str, message: str, violations: tuple[str, ...] = ()
) -> web.Response:
    return _json(ErrorReply(reason=reason, message=message, violations=violations), status=status)


def _json(body: msgspec.Struct, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type=_JSON)


async def _body(request: web.Request, timeout_s: float = BODY_TIMEOUT_S) -> bytes:
    try:
        async with asyncio.timeout(timeout_s):
            return await request.read()
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text="the body did not arrive in time") from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise web.HTTPBadRequest(text="the body did not arrive whole") from error


async def _to_make_safe(request: web.Request, unsaid: _Safe) -> _Safe:
    """Return the order in the body, or `unsaid`: what makes safe is never refused for its words.

    They may be a person's, written in a hurry, or those of an operator of another version.
    """
    kind = type(unsaid)
    try:
        said = msgspec.structs.asdict(
            msgspec.json.decode(await _body(request, WORDS_TIMEOUT_S), type=kind)
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, web.HTTPException):
        return unsaid
    return kind(**{name: text[:WORDS_MAX] for name, text in said.items()})


def _check_protocol(theirs: int) -> None:
    if theirs != PROTOCOL:
        raise _invalid("$.protocol", str(theirs), f"this gateway speaks protocol {PROTOCOL}")


def _check_digest(path: str, sent: str, computed: str) -> None:
    if sent != computed:
        raise _invalid(path, sent, f"what arrived has the digest {computed}")


def _integer(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise _invalid(f"query.{name}", text, "a whole number from 0 on")
    return int(text)


def _wait_s(request: web.Request) -> float:
    text = request.query.get("wait", "0")
    try:
        wait_s = float(text)
    except ValueError:
        wait_s = math.nan
    if not 0 <= wait_s < math.inf:
        raise _invalid("query.wait", text, f"seconds, 0 to {LONG_POLL_S_MAX:g}")
    return min(wait_s, LONG_POLL_S_MAX)


def _invalid(path: str, value: str, rule: str) -> InvalidInputError:
    return InvalidInputError(
        [Violation(path=path, value=value[:100], rule=rule, hint="correct the request")]
    )
