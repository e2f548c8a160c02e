"""Modbus TCP on loopback or a cluster: sockets of our own, because asyncio's transports drop the kernel's receive stamps.

Each request is read from its socket by itself, so that each has a stamp of its own; answers leave in the order of their requests.

    0      2      4      6      7
    | tid  | 0    | len  | unit | function, data …        len counts from the unit on
"""

import asyncio
import contextlib
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable
from random import Random

import msgspec

from ald.kit.clock import Clock
from ald.simulator.faults import FaultOrder, Faults
from ald.simulator.now import now
from ald.simulator.plc import Plc
from ald.simulator.protocol import NO_SUCH_UNIT, answer, refusal
from ald.simulator.spoil import Spoil, Spoiled, spoiled
from ald.simulator.trace import Stamp

SO_TIMESTAMPNS = 35
"""Linux; the socket module does not name it. Also the type of the control message."""

HEADER = struct.Struct(">HHHB")
LENGTH_MAX = 254
ANSWERS_WAITING_MAX = 256
"""Answers that wait for a slow or delayed reader; behind that its requests are left in the kernel."""

REQUESTS_A_TURN_MAX = 64
"""Requests of one connection served before another gets its turn."""

BACKLOG = 64
FILLERS = 3
"""Connections of our own that take up a port which accepts none: the kernel then drops further ones unanswered."""

_TIMESPEC = struct.Struct("@ll")


class Counters:
    """Connections and requests since the start."""

    def __init__(self) -> None:
        self.accepted = 0
        self.refused = 0
        self.peak = 0
        self.requests: Counter[int] = Counter()
        self.exceptions = 0


class Request(msgspec.Struct, frozen=True):
    """One request as it came, from the function on."""

    transaction: int
    unit: int
    pdu: bytes
    stamp: Stamp


class Server:
    """Accepts connections, and applies faults; `seed` makes what they leave to chance come out the same again."""

    def __init__(self, plc: Plc, clock: Clock, seed: int = 1) -> None:
        self.plc = plc
        self.clock = clock
        self.counters = Counters()
        self.faults = Faults()
        self._random = Random(seed)  # noqa: S311 -- faults to be had again
        self._connections: set[Connection] = set()
        self._forgotten: list[socket.socket] = []
        self._fillers: list[socket.socket] = []
        self._line: deque[tuple[Connection, Request]] = deque()
        self._serving = False
        self._listener: socket.socket | None = None
        self._address = ("", 0)

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    @property
    def port(self) -> int:
        return self._address[1]

    def listen(self, host: str, port: int) -> None:
        """Open the port; 0 takes a free one."""
        self._address = (host, port)
        self._open()

    def close(self) -> None:
        """Close the port and every connection."""
        self._shut()
        self.drop()
        for one in self._forgotten:
            one.close()

    def drop(self) -> None:
        """Reset every connection."""
        for connection in tuple(self._connections):
            connection.close(reset=True)

    def order(self, order: FaultOrder) -> Faults:
        """Apply a change of faults and return those in force."""
        before, self.faults = self.faults, order.applied_to(self.faults)
        self.plc.timers.is_deaf = self.faults.deaf_timers
        self.plc.timers.is_stuck = self.faults.stuck_timers
        if before.freeze and not self.faults.freeze:
            self.plc.skip(self.clock.monotonic_ns())
        if self.faults.black_hole is not before.black_hole:
            self._shut()
        if self.faults.refuse and self._listener is not None:
            self._shut()
        elif not self.faults.refuse and self._listener is None:
            self._open()
        if order.forget or (self.faults.black_hole and not before.black_hole):
            self._forget()
        if order.drop:
            self.drop()
        return self.faults

    def take(self, connection: "Connection", request: Request) -> None:
        """Serve a request now, or when those before it are done."""
        if self.faults.one_at_a_time or self._serving:
            self._line.append((connection, request))
            self._serve_next()
        else:
            self._serve(connection, request)

    def now(self) -> Stamp:
        return now(self.clock)

    def stamp(self, kernel_wall_ns: int | None) -> Stamp:
        """Return the moment of a kernel stamp on both clocks; without one, now."""
        now = self.now()
        if kernel_wall_ns is None:
            return now
        age_ns = max(0, now.wall_ns - kernel_wall_ns)
        return Stamp(now.at_ns - age_ns, kernel_wall_ns)

    def serve(self, unit: int, request: bytes, stamp: Stamp) -> bytes | None:
        """Return the answer to one request; None while the PLC stands still."""
        function = request[0]
        self.counters.requests[function] += 1
        if self.faults.freeze:
            return None
        if unit != self.plc.plant.link.unit:
            reply = refusal(function, NO_SUCH_UNIT)
        elif (code := self.faults.refusal(request)) is not None:
            reply = refusal(function, code)
        else:
            reply = answer(self.plc, request, stamp)
        self.counters.exceptions += reply[0] >> 7
        return reply

    def _serve(self, connection: "Connection", request: Request) -> float:
        """Serve a request; return after how many seconds its answer leaves."""
        reply = self.serve(request.unit, request.pdu, request.stamp)
        if reply is None:
            connection.answer(spoiled(Spoil.LOSE, b"", self._random), 0.0)
            return 0.0
        frame = HEADER.pack(request.transaction, 0, len(reply) + 1, request.unit) + reply
        faults = self.faults
        delay_s = (faults.delay_ms + faults.jitter_ms * self._random.random()) / 1000
        if not faults.one_at_a_time:
            delay_s = max(0.0, delay_s - (self.now().at_ns - request.stamp.at_ns) / 1e9)
        answer = Spoiled(frame)
        if faults.spoils(request.pdu[0]) and self._random.random() < faults.spoil_share:
            answer = spoiled(faults.spoil, frame, self._random)
        connection.answer(answer, delay_s)
        return delay_s

    def _serve_next(self) -> None:
        """Serve the first in line, unless one before it is still being served. Whose client has gone is not served."""
        while self._line and not self._serving:
            connection, request = self._line.popleft()
            if not connection.is_open:
                continue
            self._serving = True
            if not self.faults.freeze:
                self.plc.advance(self.clock.monotonic_ns())
            delay_s = self._serve(connection, request)
            connection.send_due()
            asyncio.get_running_loop().call_later(delay_s, self._served)

    def _served(self) -> None:
        self._serving = False
        self._serve_next()

    def _forget(self) -> None:
        """Leave every connection half open."""
        for connection in tuple(self._connections):
            self._forgotten.append(connection.forget())

    def _open(self) -> None:
        hole = self.faults.black_hole
        listener = socket.create_server(self._address, backlog=0 if hole else BACKLOG)
        listener.settimeout(0)
        listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._address = (self._address[0], listener.getsockname()[1])
        self._listener = listener
        if hole:
            self._fill()
        else:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _fill(self) -> None:
        """Take up the port, so that nobody else gets as far as being accepted."""
        for _ in range(FILLERS):
            filler = socket.socket()
            filler.settimeout(0)
            filler.connect_ex(self._address)
            self._fillers.append(filler)

    def _shut(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def _accept(self, listener: socket.socket) -> None:
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        limit = self.faults.max_connections
        if self.faults.hang_up or (limit and self.open_connections >= limit):
            self.counters.refused += 1
            accepted.close()
            return
        self.counters.accepted += 1
        self._connections.add(Connection(self, accepted, self._connections.discard))
        self.counters.peak = max(self.counters.peak, self.open_connections)


class Connection:
    """One client."""

    def __init__(
        self, server: Server, accepted: socket.socket, closed: "Callable[[Connection], None]"
    ) -> None:
        self._server = server
        self._socket = accepted
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._partial = b""
        self._waiting: deque[tuple[float, Spoiled]] = deque()
        self._in_line = 0
        self._unsent = b""
        self._timer: asyncio.TimerHandle | None = None
        self._reading = False
        self._is_mute = False
        accepted.settimeout(0)
        accepted.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read_on()

    def close(self, *, reset: bool = False) -> None:
        """End the connection; unsent answers are lost."""
        if self._socket.fileno() < 0:
            return
        self._leave()
        if reset:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
        self._socket.close()
        self._closed(self)

    def forget(self) -> socket.socket:
        """Let the connection be, and return its socket: nothing is read from it or sent on it any more."""
        self._leave()
        self._closed(self)
        forgotten, self._socket = self._socket, socket.socket()
        self._socket.close()
        return forgotten

    @property
    def is_open(self) -> bool:
        return self._socket.fileno() >= 0

    def answer(self, answer: Spoiled, delay_s: float) -> None:
        """Take in what `send_due` is to send after so many seconds."""
        self._in_line -= 1
        self._waiting.append((self._loop.time() + delay_s, answer))

    def _leave(self) -> None:
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        if self._timer is not None:
            self._timer.cancel()

    def _read_on(self) -> None:
        if not self._reading:
            self._reading = True
            self._loop.add_reader(self._socket, self._readable)

    def _readable(self) -> None:
        try:
            for _ in range(REQUESTS_A_TURN_MAX):
                if not self._read_one():
                    break
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.close()
            return
        self.send_due()

    def _read_one(self) -> bool:
        """Read and serve one whole request; False when reading stops for now."""
        if len(self._waiting) + self._in_line >= ANSWERS_WAITING_MAX:
            self._reading = False
            self._loop.remove_reader(self._socket)
            return False
        if len(self._partial) < HEADER.size and not self._read_up_to(HEADER.size):
            return False
        tid, protocol, length, unit = HEADER.unpack_from(self._partial)
        if protocol != 0 or not 2 <= length <= LENGTH_MAX:
            self.close()
            return False
        stamp_ns = self._read_up_to(HEADER.size - 1 + length)
        if not stamp_ns:
            return False
        request, self._partial = self._partial[HEADER.size :], b""
        stamp = self._server.stamp(stamp_ns if stamp_ns > 1 else None)
        self._in_line += 1
        self._server.take(self, Request(tid, unit, request, stamp))
        return self.is_open

    def _read_up_to(self, size: int) -> int:
        """Read until `size` bytes are there: 0 for not yet or closed, 1 for no stamp, else the kernel's stamp."""
        data, control, _, _ = self._socket.recvmsg(
            size - len(self._partial), socket.CMSG_SPACE(_TIMESPEC.size)
        )
        if not data:
            self.close()
            return 0
        self._partial += data
        if len(self._partial) < size:
            return 0
        for level, kind, content in control:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(content)
                return int(seconds * 1_000_000_000 + nanoseconds)
        return 1

    def send_due(self) -> None:
        """Send what is due, in order; come back for the rest."""
        if not self.is_open:
            return
        now = self._loop.time()
        while not self._unsent and self._waiting and self._waiting[0][0] <= now:
            answer = self._waiting.popleft()[1]
            if self._is_mute:
                continue
            if answer.is_closed:
                self.close(reset=answer.is_reset)
                return
            self._is_mute = answer.is_mute
            self._unsent = answer.data
            if self._unsent and not self._flush():
                return
        if self._waiting and self._timer is None:
            self._timer = self._loop.call_at(self._waiting[0][0], self._timed)
        if len(self._waiting) + self._in_line < ANSWERS_WAITING_MAX:
            self._read_on()

    def _timed(self) -> None:
        self._timer = None
        self.send_due()

    def _flush(self) -> bool:
        """Send; False when the rest has to wait for the reader or the connection is gone."""
        try:
            sent = self._socket.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.close()
            return False
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self._loop.add_writer(self._socket, self._writable)
            return False
        return True

    def _writable(self) -> None:
        self._loop.remove_writer(self._socket)
        if self._flush():
            self.send_due()
