"""The socket under a `Link`: one non-blocking TCP connection for a select loop.

Host names are looked up in a thread of their own, because a name server that does not answer would stop the loop, and with
it the valves. A connection is always left by a reset: a plain close would let the kernel go on delivering what it still
holds, and a valve could open after everybody believes it shut.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING

from ald.errors import LinkDownError
from ald.plc.link import Link, State

if TYPE_CHECKING:
    from collections.abc import Callable

RECEIVE_BYTES = 65536
"""Most bytes taken from the kernel in one call."""

RECEIVES_MAX = 16
"""Most such calls before the loop gets its turn again."""

_Address = tuple[str, int]
_LINGER_RESET = struct.pack("ii", 1, 0)
_NS_PER_MS = 1_000_000


class Connection:
    """Owns the socket of `link`. `monotonic_ns` stamps what is handed to the kernel."""

    def __init__(self, link: Link, monotonic_ns: Callable[[], int]) -> None:
        self._link = link
        self._monotonic_ns = monotonic_ns
        self._socket: socket.socket | None = None
        self._lookup: _Lookup | None = None
        # Found too late for the try that asked for it; the next one begins with it.
        self._found: tuple[_Address, ...] = ()
        # A name may have several addresses: a try that fails is followed by one at the next of them.
        self._turn = 0

    def fileno(self) -> int | None:
        """Return what to poll for reading, None while there is nothing; it may change with every call to this object."""
        if self._socket is not None:
            return self._socket.fileno()
        return self._lookup.fileno() if self._lookup is not None else None

    def wants_write(self) -> bool:
        """Tell whether to poll for writing too: a connection being made, or bytes the kernel did not take."""
        if self._socket is None:
            return False
        return self._link.state is State.CONNECTING or self._link.has_outgoing

    def on_readable(self, now_ns: int) -> None:
        """Take in what arrived; `now_ns` is when the loop woke up for it."""
        if self._lookup is not None:
            self._looked_up(now_ns)
        elif self._socket is not None and self._link.state is State.UP:
            self._receive(self._socket, now_ns)
        self._drop_if_lost()

    def on_writable(self, now_ns: int) -> None:
        """Go on connecting or sending."""
        if self._socket is not None and self._link.state is State.CONNECTING:
            failed = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failed:
                self._link.lost(self._refused(failed), now_ns)
            else:
                self._opened(self._socket, now_ns)
        self.flush(now_ns)

    def flush(self, now_ns: int) -> None:
        """Do whatever is due: time-outs, connecting, sending. Call it before every wait."""
        if self._socket is not None and self._link.is_overdue(now_ns):
            # Perhaps the loop was away, and not the PLC: what lies ready comes before the time-out.
            self._receive(self._socket, now_ns)
        self._link.tick(now_ns)
        self._drop_if_lost()
        if self._link.begin_connect(now_ns):
            self._connect(now_ns)
        if self._socket is not None and self._link.state is State.UP:
            self._send(self._socket, now_ns)
        self._drop_if_lost()

    def close(self) -> None:
        """Leave the PLC for good."""
        self._link.close()
        self._drop_if_lost()

    def _connect(self, now_ns: int) -> None:
        """Start connecting; the name comes first where it is no address."""
        settings = self._link.settings
        try:
            ipaddress.ip_address(settings.host)
        except ValueError:
            found, self._found = self._found, ()
            if found:
                self._open(found, now_ns)
            elif self._lookup is None:
                # One lookup at a time: a slow one of an earlier try serves this one.
                self._lookup = _Lookup(settings.host, settings.port)
            return
        self._open(((settings.host, settings.port),), now_ns)

    def _looked_up(self, now_ns: int) -> None:
        lookup = self._lookup
        if lookup is None or not lookup.done:
            return
        self._lookup = None
        lookup.close()
        if self._link.state is not State.CONNECTING:
            self._found = lookup.addresses
        elif lookup.addresses:
            self._open(lookup.addresses, now_ns)
        else:
            self._link.lost(LinkDownError(lookup.error), now_ns)

    def _open(self, addresses: tuple[_Address, ...], now_ns: int) -> None:
        address = addresses[self._turn % len(addresses)]
        self._turn += 1
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        try:
            opened = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self._link.lost(self._refused(error.errno or 0), now_ns)
            return
        self._socket = opened
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        patience_ms = max(1, self._link.settings.timeout_ns // _NS_PER_MS)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience_ms)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        code = opened.connect_ex(address)
        if code == 0:
            self._opened(opened, now_ns)
        elif code != errno.EINPROGRESS:
            self._link.lost(self._refused(code), now_ns)

    def _opened(self, connected: socket.socket, now_ns: int) -> None:
        """Take a connection into use, unless both its ends are ours: it would answer each write with the write itself.

        The kernel makes such a one where nobody listens at a port of this host that it deals out to callers.
        """
        try:
            is_own = connected.getsockname() == connected.getpeername()
        except OSError as error:
            self._link.lost(self._refused(error.errno or 0), now_ns)
            return
        if is_own:
            self._link.lost(self._refused(errno.ECONNREFUSED), now_ns)
            return
        self._turn -= 1
        self._link.opened(now_ns)

    def _send(self, connected: socket.socket, now_ns: int) -> None:
        data = self._link.outgoing(now_ns)
        if not data:
            return
        at_ns = self._monotonic_ns()
        try:
            count = connected.send(data)
        except BlockingIOError:
            return
        except OSError as error:
            self._link.lost(self._broken(error), now_ns)
            return
        self._link.handed_over(count, at_ns)

    def _receive(self, connected: socket.socket, now_ns: int) -> None:
        for _ in range(RECEIVES_MAX):
            try:
                data = connected.recv(RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._link.lost(self._broken(error), now_ns)
                return
            self._link.receive(data, now_ns)
            if len(data) < RECEIVE_BYTES:
                return

    def _drop_if_lost(self) -> None:
        """Reset the socket as soon as the link no longer stands behind it."""
        if self._link.state in (State.CONNECTING, State.UP):
            return
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._link.state is State.CLOSED and self._lookup is not None:
            self._lookup.close()
            self._lookup = None

    def _refused(self, code: int) -> LinkDownError:
        settings = self._link.settings
        return LinkDownError(
            f"cannot connect to {settings.host} port {settings.port}: {os.strerror(code)}; "
            "check the address, and whether the PLC has a connection to spare"
        )

    def _broken(self, error: OSError) -> LinkDownError:
        return LinkDownError(
            f"the connection to {self._link.settings.host} broke: {error.strerror}"
        )


class _Lookup:
    """One name lookup in a thread; `fileno` becomes readable when it is done."""

    def __init__(self, host: str, port: int) -> None:
        self.addresses: tuple[_Address, ...] = ()
        self.error = ""
        self._done = threading.Event()
        self._closing = threading.Lock()
        self._signal: int | None = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._host = host
        self._port = port
        # A daemon: a name server that never answers must not keep the process from ending.
        threading.Thread(target=self._run, name=f"lookup {host}", daemon=True).start()

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def fileno(self) -> int | None:
        return self._signal

    def close(self) -> None:
        with self._closing:
            if self._signal is not None:
                os.close(self._signal)
                self._signal = None

    def _run(self) -> None:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            self.addresses = tuple((str(each[4][0]), self._port) for each in found)
        except (OSError, UnicodeError) as error:
            self.error = f"the name {self._host} cannot be looked up: {error}; check plc.host"
        self._done.set()
        with self._closing, contextlib.suppress(OSError):
            if self._signal is not None:
                os.eventfd_write(self._signal, 1)
