"""The way to the driver: one request at a time over a connection, so that no answer can be taken for another's.

A connection over which an answer came is kept for the next request: a stop then wakes the driver once, not twice. One over
which anything else happened is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from typing import TYPE_CHECKING

import msgspec

from ald.errors import PeerError
from ald.gateway import packets
from ald.wire import (
    AbortRun,
    Clear,
    Confirm,
    DirectRun,
    DriverReply,
    DriverRequest,
    GetFigures,
    GetStatus,
    GoSafe,
    LoadPlant,
    StartRun,
)

if TYPE_CHECKING:
    from pathlib import Path

ANSWER_TIMEOUT_S = 2.0
"""A driver that is alive answers in milliseconds."""

IDLE_MAX = 2
"""Connections kept: one for the questions of `watch`, one for an order."""

Request = (
    LoadPlant | StartRun | AbortRun | DirectRun | Clear | GoSafe | Confirm | GetStatus | GetFigures
)

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(DriverReply)


class Driver:
    """The driver behind the socket at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids = itertools.count(1)
        self._idle: list[socket.socket] = []

    def close(self) -> None:
        """Let go of what is kept."""
        while self._idle:
            self._idle.pop().close()

    async def ask(self, request: Request) -> DriverReply:
        """Return the driver's answer.

        Raises:
            PeerError: it is away or did not answer in time; of an order it is then unknown whether it arrived.
        """
        message = DriverRequest(id=next(self._ids), request=request)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                reply = _DECODER.decode(await self._exchange(_ENCODER.encode(message)))
        except TimeoutError as error:
            raise PeerError(f"the driver did not answer within {ANSWER_TIMEOUT_S:g} s") from error
        except OSError as error:
            raise PeerError(f"the driver is away: {error.strerror}") from error
        except msgspec.DecodeError as error:
            raise PeerError(f"the driver's answer cannot be read: {error}") from error
        if reply.id != message.id:
            raise PeerError(f"the driver answered request {reply.id} instead of {message.id}")
        return reply

    async def _exchange(self, message: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        joiner = packets.Joiner()
        first, *others = packets.split(message)
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(await self._begun(first))
            for packet in others:
                await loop.sock_sendall(connection, packet)
            while packet := await loop.sock_recv(connection, packets.PACKET_BYTES_MAX):
                if (joined := joiner.add(packet)) is not None:
                    if len(self._idle) < IDLE_MAX:
                        self._idle.append(connection)
                        stack.pop_all()
                    return joined
        raise PeerError("the driver hung up without an answer")

    async def _begun(self, first: bytes) -> socket.socket:
        """Return a connection over which the first packet is on its way.

        The kernel takes a packet whole or not at all, and none for a driver that is gone: then it goes to its successor.
        """
        while self._idle:
            connection = self._idle.pop()
            try:
                connection.send(first)
            except OSError:
                connection.close()
            else:
                return connection
        loop = asyncio.get_running_loop()
        kind = socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        connection = socket.socket(socket.AF_UNIX, kind)
        try:
            await loop.sock_connect(connection, str(self._path))
            await loop.sock_sendall(connection, first)
        except BaseException:
            connection.close()
            raise
        return connection
