"""The port that takes commands: whoever connects to it shows a certificate soon, or makes room for others.

A connection costs a quarter of a megabyte from the moment that it is there, and says nothing of itself until its handshake is
over. Without a bound whoever reaches the port could take all memory from the front, and the way to a stop with it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

HANDSHAKES_MAX = 64
"""Connections without a handshake; the one that came first goes when there are more."""

HANDSHAKE_S = 10.0
"""A connection that has not shown its certificate after this is ended."""

RETRY_S = 0.1
"""After a connection that could not be taken, as for want of a descriptor."""


async def take(
    listener: socket.socket,
    protocol: Callable[[], asyncio.BaseProtocol],
    context: ssl.SSLContext,
) -> None:
    """Take connections for ever, and give each to a protocol of its own once its handshake is over. Closes the listener."""
    loop = asyncio.get_running_loop()
    listener.settimeout(0)
    # In the order in which they came.
    going: dict[asyncio.Task[None], None] = {}
    try:
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(RETRY_S)
                continue
            if len(going) >= HANDSHAKES_MAX:
                first = next(iter(going))
                del going[first]
                first.cancel()
            task = loop.create_task(_shake_hands(connection, protocol, context))
            going[task] = None
            task.add_done_callback(lambda done: going.pop(done, None))
            # It begins before the next one is taken, so that it closes its connection however it ends; and all else has its turn.
            await asyncio.sleep(0)
    finally:
        listener.close()
        for task in going:
            task.cancel()


async def _shake_hands(
    connection: socket.socket,
    protocol: Callable[[], asyncio.BaseProtocol],
    context: ssl.SSLContext,
) -> None:
    try:
        await asyncio.get_running_loop().connect_accepted_socket(
            protocol, connection, ssl=context, ssl_handshake_timeout=HANDSHAKE_S
        )
    except OSError:
        # It has gone, took too long, or was refused, which is told where that is found out.
        return
