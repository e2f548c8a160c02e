"""The way between driver and PLC in the simulation: late, in pieces, mute or cut, as the seed wants it."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

from ald.errors import LinkDownError
from ald.plc.codec import FrameReader
from ald.plc.link import Link, State
from unit.engine.programs import MS

if TYPE_CHECKING:
    from unit.engine.simulation import Simulation

SOCKET = 5
HEADER_BYTES = 7
WRITES = (5, 6, 15, 16)


class Wire:
    """One TCP connection, with what is on its way."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.reader = FrameReader()
        self.sent = FrameReader()
        self.inbox: list[bytes] = []
        self.is_dead = False
        self.is_mute = False
        # Bytes of the stream: taken by the kernel, and up to where whole frames were taken.
        self.taken = self.framed = 0
        self.has_written = False
        self.arrives_ns = self.returns_ns = self.blocked_until = sim.now
        # Of some machines the answers come back in any order, where several are asked for at once.
        self.is_in_order = random.Random(f"order of {sim.seed}").random() < 0.5

    def send(self, data: bytes) -> int:
        sim = self.sim
        if sim.now < self.blocked_until or self.is_dead:
            return 0
        count = len(data)
        if sim.chance(0.05):
            count = sim.rng.randrange(count)
            self.blocked_until = sim.now + sim.rng.randrange(3 * MS)
            sim.at(self.blocked_until, lambda: None)
        self.arrives_ns = max(self.arrives_ns, sim.now + sim.latency())
        piece = data[:count]
        begun, self.taken = self.taken, self.taken + count
        for frame in self.sent.feed(piece):
            # Of what is there in part the rest has to follow; anything else may be taken back.
            sim.rules.left(frame.pdu, is_begun=self.framed < begun)
            self.framed += HEADER_BYTES + len(frame.pdu)
        sim.at(self.arrives_ns, lambda: self._arrive(piece))
        return count

    def _arrive(self, data: bytes) -> None:
        for frame in self.reader.feed(data):
            self._serve(frame.transaction, frame.unit, frame.pdu)

    def _serve(self, transaction: int, unit: int, pdu: bytes) -> None:
        sim = self.sim
        if self.is_mute:
            return
        if pdu[0] in WRITES and not self.has_written:
            self.has_written = True
            sim.rules.first_write(pdu)
        fate = sim.fate(pdu)
        if fate == "mute":
            self.is_mute = True
            if sim.chance(0.5):
                sim.plc.serve(pdu)
            return
        if fate == "reset" and sim.chance(0.5):
            self.die()
            return
        answer = sim.plc.serve(pdu) if fate != "refuse" else self._refusal(pdu)
        if fate == "reset":
            self.die()
            return
        whole = struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer
        returns_ns = sim.now + sim.latency()
        if self.is_in_order:
            self.returns_ns = returns_ns = max(self.returns_ns, returns_ns)
        sim.at(returns_ns, lambda: self.inbox.append(whole))

    def _refusal(self, pdu: bytes) -> bytes:
        """Refuse, or fail in the middle of it."""
        code = self.sim.rng.choice((2, 4, 4, 6))
        if code == 4 and self.sim.rng.random() < 0.5:
            self.sim.plc.serve(pdu)
        return bytes((pdu[0] | 0x80, code))

    def die(self) -> None:
        self.is_dead = True
        self.sim.trouble()


class FakeConnection:
    """What `Connection` does, over a `Wire`."""

    def __init__(self, sim: Simulation, link: Link) -> None:
        self.sim, self.link = sim, link
        self.wire: Wire | None = None
        self.ready_ns = 0

    def fileno(self) -> int | None:
        is_there = self.wire is not None or self.link.state is State.CONNECTING
        return SOCKET if is_there else None

    def wants_write(self) -> bool:
        return self.link.state is State.CONNECTING or self.link.has_outgoing

    @property
    def is_readable(self) -> bool:
        return self.wire is not None and bool(self.wire.inbox or self.wire.is_dead)

    @property
    def is_writable(self) -> bool:
        if self.link.state is State.CONNECTING:
            return self.sim.now >= self.ready_ns
        return (
            self.link.has_outgoing
            and self.wire is not None
            and self.sim.now >= self.wire.blocked_until
        )

    def on_readable(self, now_ns: int) -> None:
        if self.wire is not None and self.link.state is State.UP:
            data = b"".join(self.wire.inbox)
            self.wire.inbox.clear()
            if data or self.wire.is_dead:
                self.link.receive(data, now_ns)
        self._drop_if_lost()

    def on_writable(self, now_ns: int) -> None:
        if self.link.state is State.CONNECTING and self.sim.now >= self.ready_ns:
            if self.sim.chance(0.2):
                self.link.lost(LinkDownError("refused"), now_ns)
            else:
                self._opened()
        self.flush(now_ns)

    def flush(self, now_ns: int) -> None:
        self.link.tick(now_ns)
        self._drop_if_lost()
        if self.link.begin_connect(now_ns):
            if self.sim.chance(0.5):
                # A PLC next door has accepted before the call returns.
                self._opened()
            else:
                self.ready_ns = self.sim.now + self.sim.rng.randrange(15 * MS, 30 * MS)
                self.sim.at(self.ready_ns, lambda: None)
        if self.wire is not None and self.link.state is State.UP:
            data = self.link.outgoing(now_ns)
            if data:
                at_ns = self.sim.clock.monotonic_ns()
                if self.wire.is_dead:
                    self.link.lost(LinkDownError("broken pipe"), now_ns)
                else:
                    self.link.handed_over(self.wire.send(data), at_ns)
        self._drop_if_lost()

    def close(self) -> None:
        self.link.close()
        self._drop_if_lost()

    def _opened(self) -> None:
        self.wire = Wire(self.sim)
        self.link.opened(self.sim.now)

    def _drop_if_lost(self) -> None:
        if self.link.state not in (State.CONNECTING, State.UP) and self.wire is not None:
            self.wire = None
            if self.sim.chance(0.5):
                # Whoever closes a socket may well be put to sleep.
                self.sim.stall(self.sim.rng.randrange(20 * MS, 200 * MS))
