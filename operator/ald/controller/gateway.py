"""The way to one machine's gateway: HTTPS with mutual TLS, as `ald.wire` says."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from typing import Protocol

import aiohttp
import msgspec

from ald.controller.metrics import Metrics
from ald.errors import PeerError, RefusedError
from ald.wire import (
    LONG_POLL_S_MAX,
    PROTOCOL,
    AbortOrder,
    ActionOrder,
    ClearOrder,
    ConfirmOrder,
    ErrorReply,
    GatewayStatus,
    PlantPush,
    RunOrder,
    SafeStateOrder,
)

CONNECT_TIMEOUT_S_MAX = 3.0
REQUEST_TIMEOUT_S_MAX = 10.0
LONG_POLL_MARGIN_S = 5.0
IDENTITY_REFUSED = "IdentityRefused"


class Gateway(Protocol):
    """One machine's gateway.

    Raises, all of them:
        PeerError: it does not answer, or not now; of an order it is unknown whether it arrived. All orders are idempotent.
        RefusedError: it answered no; `reason` is the gateway's word, or `IdentityRefused`.
    """

    async def close(self) -> None:
        """Let go of its connections."""
        ...

    async def status(self, *, seen: int, wait_s: float) -> GatewayStatus:
        """Return the status as soon as its revision passes `seen`, or after `wait_s`."""
        ...

    async def push_plant(self, push: PlantPush) -> GatewayStatus:
        """Hand over the configuration."""
        ...

    async def start(self, order: RunOrder) -> GatewayStatus:
        """Hand over a run."""
        ...

    async def abort(self, uid: str, order: AbortOrder) -> GatewayStatus:
        """Abort a run."""
        ...

    async def direct(self, uid: str, order: ActionOrder) -> GatewayStatus:
        """Tell a run what to do from now on."""
        ...

    async def clear(self, order: ClearOrder) -> GatewayStatus:
        """Leave Aborted."""
        ...

    async def confirm(self, order: ConfirmOrder) -> GatewayStatus:
        """Answer a prompt."""
        ...

    async def make_safe(self, order: SafeStateOrder) -> GatewayStatus:
        """Go to the safe state and stay Aborted."""
        ...


class HttpsGateway:
    """`Gateway` over an aiohttp session of its own. `trust` gives the TLS context that knows this gateway by its identity."""

    def __init__(self, url: str, trust: Callable[[], ssl.SSLContext], metrics: Metrics) -> None:
        self._session = aiohttp.ClientSession()
        self._url = url
        self._trust = trust
        self._context: ssl.SSLContext | None = None
        self._metrics = metrics

    async def close(self) -> None:
        await self._session.close()

    async def status(self, *, seen: int, wait_s: float) -> GatewayStatus:
        wait_s = min(wait_s, LONG_POLL_S_MAX)
        path = f"/v1/status?seen={seen}&wait={wait_s:g}"
        return await self._call("status", "GET", path, None, wait_s + LONG_POLL_MARGIN_S)

    async def push_plant(self, push: PlantPush) -> GatewayStatus:
        return await self._call("plant", "PUT", "/v1/plant", push)

    async def start(self, order: RunOrder) -> GatewayStatus:
        return await self._call("start", "POST", "/v1/runs", order)

    async def abort(self, uid: str, order: AbortOrder) -> GatewayStatus:
        return await self._call("abort", "POST", f"/v1/runs/{uid}/abort", order)

    async def direct(self, uid: str, order: ActionOrder) -> GatewayStatus:
        return await self._call("action", "POST", f"/v1/runs/{uid}/action", order)

    async def clear(self, order: ClearOrder) -> GatewayStatus:
        return await self._call("clear", "POST", "/v1/clear", order)

    async def confirm(self, order: ConfirmOrder) -> GatewayStatus:
        return await self._call("confirm", "POST", "/v1/confirm", order)

    async def make_safe(self, order: SafeStateOrder) -> GatewayStatus:
        return await self._call("safe-state", "POST", "/v1/safe-state", order)

    async def _call(
        self,
        call: str,
        method: str,
        path: str,
        body: msgspec.Struct | None,
        timeout_s: float = REQUEST_TIMEOUT_S_MAX,
    ) -> GatewayStatus:
        try:
            status, data = await self._request(method, path, body, timeout_s)
            result = _parsed(status, data)
        except RefusedError:
            self._metrics.gateway_requests.labels(call, "refused").inc()
            raise
        except PeerError:
            self._metrics.gateway_requests.labels(call, "failed").inc()
            raise
        self._metrics.gateway_requests.labels(call, "ok").inc()
        return result

    async def _request(
        self, method: str, path: str, body: msgspec.Struct | None, timeout_s: float
    ) -> tuple[int, bytes]:
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S_MAX)
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"}
        if self._context is None:
            self._context = self._trust()
        try:
            async with self._session.request(
                method,
                self._url + path,
                data=data,
                headers=headers,
                timeout=timeout,
                ssl=self._context,
            ) as answer:
                return answer.status, await answer.read()
        except aiohttp.ClientSSLError as error:
            raise RefusedError(IDENTITY_REFUSED, f"no trust between us and it: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PeerError(f"{self._url} does not answer: {_plain(error)}") from error


def _plain(error: Exception) -> str:
    """Return what went wrong without what only says how we went about it."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name is not known; the Service may be missing, or cluster DNS away"
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        return os.strerror(cause.errno) if cause.errno else str(cause)
    return str(error) or (
        "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    )


def _parsed(status: int, data: bytes) -> GatewayStatus:
    """Return what an answer holds, or raise what it means."""
    if status >= 300:
        try:
            reply = msgspec.json.decode(data, type=ErrorReply)
        except msgspec.DecodeError:
            reply = ErrorReply(reason="Unreadable", message=data[:200].decode(errors="replace"))
        message = "; ".join((reply.message, *reply.violations))
        if status >= 500 or status == 429:
            raise PeerError(f"the gateway cannot now: {message}")
        raise RefusedError(reply.reason, message)
    try:
        found = msgspec.json.decode(data, type=GatewayStatus)
    except msgspec.DecodeError as error:
        raise PeerError(f"the gateway's answer cannot be read: {error}") from error
    if found.protocol != PROTOCOL:
        raise PeerError(
            f"the gateway speaks protocol {found.protocol}, this operator {PROTOCOL};"
            " upgrade both to one version"
        )
    return found
