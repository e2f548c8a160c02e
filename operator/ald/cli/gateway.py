"""A gateway asked over HTTPS, with a certificate of this installation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import aiohttp
import msgspec

from ald.errors import PeerError
from ald.kit import tls
from ald.wire import ErrorReply

if TYPE_CHECKING:
    import ssl

_MSGPACK = "application/msgpack"
_Answer = TypeVar("_Answer", bound=msgspec.Struct)


class Gateway:
    """One open session with the gateway of one machine."""

    def __init__(self, session: aiohttp.ClientSession, context: ssl.SSLContext) -> None:
        self._session = session
        self._context = context

    async def get(self, path: str, kind: type[_Answer]) -> _Answer:
        """Return what `path` says. Raises PeerError."""
        async with self._session.get(path, ssl=self._context) as response:
            return await _read(response, kind)

    async def post(self, path: str, order: msgspec.Struct, kind: type[_Answer]) -> _Answer:
        """Give an order and return the answer. Raises PeerError."""
        body = msgspec.json.encode(order)
        async with self._session.post(path, data=body, ssl=self._context) as response:
            return await _read(response, kind)


@contextlib.asynccontextmanager
async def gateway(
    url: str, directory: Path, expected: str, *, timeout_s: float
) -> AsyncIterator[Gateway]:
    """Yield the gateway at `url`, which has to show the identity `expected`; `directory` holds our certificate.

    Each answer has `timeout_s` seconds.

    Raises:
        PeerError: it cannot be reached, is another one, does not take our certificate, or is silent.
        CredentialsError: the certificate cannot be read.
    """
    refusals: list[str] = []
    credentials = await asyncio.to_thread(tls.Credentials, directory, refusals.append)
    context = credentials.client_context(expected)
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with aiohttp.ClientSession(url, timeout=timeout) as session:
            yield Gateway(session, context)
    except TimeoutError as error:
        raise PeerError(f"the gateway did not answer within {timeout_s:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        why = "; ".join(refusals) or error
        raise PeerError(f"the gateway {expected} at {url} cannot be reached: {why}") from error


async def _read(response: aiohttp.ClientResponse, kind: type[_Answer]) -> _Answer:
    """Return what a response holds, in whichever of the two forms it says. Raises PeerError."""
    body = await response.read()
    try:
        if response.content_type == _MSGPACK:
            return msgspec.msgpack.decode(body, type=kind)
        if response.status >= 300:
            reply = msgspec.json.decode(body, type=ErrorReply)
            raise PeerError(f"the gateway refuses: {reply.message} ({reply.reason})")
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise PeerError(f"the gateway's answer cannot be read: {error}") from error
