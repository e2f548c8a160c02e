"""The driver's ear: a sequenced-packet socket on the memory volume, for the front and for a stop by hand.

A message that is long while a run is on is looked at without being taken apart: decoding two megabytes takes longer than a
valve may wait.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import msgspec

from ald.errors import PeerError
from ald.gateway import packets
from ald.wire import AbortRun, DriverReply, DriverRequest, GoSafe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLIENTS_MAX = 8
"""Connections at a time; the front has two, and people by hand a few. One more takes the place of the one silent for longest: a stop is always let in."""

PACKETS_MAX = 16
"""Packets taken from one client before the loop gets its turn again."""

LONG_BYTES = 32_768
"""A message longer than this is not decoded while a run is on."""

_POSTPONABLE = frozenset({"load-plant", "start-run"})
"""Requests that may wait for the end of a run however long they are; a stop never does."""

_DECODER = msgspec.msgpack.Decoder(DriverRequest)
_ENCODER = msgspec.msgpack.Encoder()


class _RunName(msgspec.Struct, frozen=True):
    uid: str = ""


class _OrderGlance(msgspec.Struct, frozen=True):
    run: _RunName = _RunName()


class _PushGlance(msgspec.Struct, frozen=True):
    digest: str = ""


class _RequestGlance(msgspec.Struct, frozen=True):
    type: str = ""
    order: _OrderGlance = _OrderGlance()
    push: _PushGlance = _PushGlance()


class Glance(msgspec.Struct, frozen=True):
    """What a look at a long message shows: its id, and the uid or digest that it is about."""

    id: int
    request: _RequestGlance

    @property
    def subject(self) -> str:
        """The uid of the run or the digest of the plant."""
        return self.request.order.run.uid or self.request.push.digest


_GLANCER = msgspec.msgpack.Decoder(Glance)


class Commands:
    """The listening socket and its clients, for a select loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        self._listener = socket.socket(
            socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        self._listener.bind(str(path))
        # The front runs under the same group; nobody else shares the volume.
        path.chmod(0o660)
        self._listener.listen(CLIENTS_MAX)
        self._clients: dict[int, tuple[socket.socket, packets.Joiner]] = {}

    def filenos(self) -> list[int]:
        """Return what to poll for reading."""
        return [self._listener.fileno(), *self._clients]

    def serve(
        self,
        ready: list[int],
        answer: Callable[[DriverRequest], DriverReply],
        glanced: Callable[[Glance], DriverReply] | None,
    ) -> None:
        """Answer what came in on the ready descriptors; `glanced` answers long messages, None while there is no run."""
        # Whoever has just come has often spoken, too: a stop need not wait for the loop's next turn.
        came = self._accept() if self._listener.fileno() in ready else None
        for number in ready if came is None else (*ready, came):
            if number in self._clients:
                self._receive(number, answer, glanced)

    def close(self) -> None:
        """End all connections, and leave no socket to which nobody listens."""
        for number in list(self._clients):
            self._drop(number)
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> int | None:
        """Return the descriptor of a new client, if there is one; without room for it the one silent for longest goes."""
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return None
        except OSError:
            # For want of a descriptor, or the client has gone already. Whoever waits for a stop gets the place of another.
            self._drop_silent()
            return None
        client.setblocking(False)  # noqa: FBT003 -- the standard library's signature
        if len(self._clients) >= CLIENTS_MAX:
            self._drop_silent()
        number = client.fileno()
        self._clients[number] = (client, packets.Joiner())
        return number

    def _drop_silent(self) -> None:
        """End the connection that has been silent for longest, if there is any."""
        if self._clients:
            self._drop(next(iter(self._clients)))

    def _receive(
        self,
        number: int,
        answer: Callable[[DriverRequest], DriverReply],
        glanced: Callable[[Glance], DriverReply] | None,
    ) -> None:
        """Answer what one client has sent. Whoever speaks nonsense, is gone or does not read is not spoken to any more."""
        # Whoever spoke last is at the end.
        client, joiner = self._clients[number] = self._clients.pop(number)
        for _ in range(PACKETS_MAX):
            try:
                request = _next(client, joiner, is_busy=glanced is not None)
            except BlockingIOError:
                return
            except (OSError, PeerError):
                self._drop(number)
                return
            if request is None:
                continue
            if _may_lapse(request) and _has_hung_up(client):
                # Whoever has given up takes it for not done, and acts on that.
                self._drop(number)
                return
            # Outside of any try: what fails here is no fault of the client's.
            if isinstance(request, Glance):
                assert glanced is not None, "a glance is taken only then"
                reply = glanced(request)
            else:
                reply = answer(request)
            try:
                for part in packets.split(_ENCODER.encode(reply)):
                    client.send(part)
            except OSError:
                self._drop(number)
                return

    def _drop(self, number: int) -> None:
        client, _ = self._clients.pop(number)
        client.close()


def _may_lapse(request: DriverRequest | Glance) -> bool:
    """Tell whether nobody is to find it done who has given up asking for it; what makes safe is done all the same."""
    return isinstance(request, DriverRequest) and not isinstance(request.request, AbortRun | GoSafe)


def _has_hung_up(client: socket.socket) -> bool:
    try:
        return not client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _next(
    client: socket.socket, joiner: packets.Joiner, *, is_busy: bool
) -> DriverRequest | Glance | None:
    """Return what the next packet completes, None while more is to come.

    Raises:
        OSError: nothing is there (BlockingIOError), or the client is gone.
        PeerError: nonsense.
    """
    packet = client.recv(packets.PACKET_BYTES_MAX)
    if not packet:
        raise PeerError("the client has hung up")
    message = joiner.add(packet)
    if message is None:
        return None
    try:
        if is_busy and len(message) > LONG_BYTES:
            glance = _GLANCER.decode(message)
            if glance.request.type in _POSTPONABLE:
                return glance
        return _DECODER.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PeerError(f"the message is no request: {error}") from error
