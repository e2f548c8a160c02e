"""One message over a sequenced-packet socket, in as many packets as it takes.

The kernel limits a packet to the send buffer (often 208 KiB), and a program may be 2 MiB. Every packet begins with one byte:

    0   more packets of this message follow; it is as long as a packet may be
    1   the last one
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ald.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKET_BYTES_MAX = 65_536
"""Longest packet, its first byte included; the least that a receiver asks the kernel for."""

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
"""Longest message: the largest request body of the gateway, doubled."""

WORDS_MAX = 1000
"""Characters of what people say that are taken in: it becomes part of every status, and an answer that does not fit into the socket is none."""

_MORE = b"\x00"
_LAST = b"\x01"


def split(message: bytes) -> Iterator[bytes]:
    """Yield the packets of `message`, at least one."""
    room = PACKET_BYTES_MAX - 1
    start = 0
    while len(message) - start > room:
        yield _MORE + message[start : start + room]
        start += room
    yield _LAST + message[start:]


class Joiner:
    """Puts the packets of one connection together again."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, packet: bytes) -> bytes | None:
        """Return the message that `packet` completes, None while more is to come.

        Raises:
            PeerError: the packet is none of this protocol, or the message is too long; drop the connection.
        """
        mark, part = packet[:1], packet[1:]
        if mark not in (_MORE, _LAST):
            raise PeerError(f"a packet begins with 0 or 1, not with {mark.hex() or 'nothing'}")
        if mark == _MORE and len(packet) < PACKET_BYTES_MAX:
            # Of small ones, or of empty ones, any number would fit into the longest message.
            raise PeerError(f"only the last packet is shorter than {PACKET_BYTES_MAX} bytes")
        self._size += len(part)
        if self._size > MESSAGE_BYTES_MAX:
            raise PeerError(f"a message is at most {MESSAGE_BYTES_MAX} bytes")
        self._parts.append(part)
        if mark == _MORE:
            return None
        message = b"".join(self._parts)
        self._parts, self._size = [], 0
        return message
