"""The way to the driver: one connection a request, so that no answer can be taken for another's."""

from __future__ import annotations

import asyncio
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
        kind = socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        with socket.socket(socket.AF_UNIX, kind) as connection:
            await loop.sock_connect(connection, str(self._path))
            for packet in packets.split(message):
                await loop.sock_sendall(connection, packet)
            while packet := await loop.sock_recv(connection, packets.PACKET_BYTES_MAX):
                if (joined := joiner.add(packet)) is not None:
                    return joined
        raise PeerError("the driver hung up without an answer")
