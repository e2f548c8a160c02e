"""Everything that talks to one PLC: the link with its socket, the scanner and the heartbeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ald.engine.effects import Coils, Lane, Look, Target, Write
from ald.engine.inputs import Answered, Input, LinkDown, LinkUp, Looked, Scanned, Sent, WatchdogSeen
from ald.gateway.driver.heartbeat import Heartbeat
from ald.gateway.driver.readback import OPEN_MAX, Readback
from ald.gateway.driver.scanner import Scanner
from ald.gateway.driver.spread import WriteSpread
from ald.gateway.driver.trouble import Trouble
from ald.plant.model import Mode
from ald.plc import codec
from ald.plc import link as plc
from ald.plc.connection import Connection
from ald.plc.request import (
    Read,
    ReadBits,
    ReadRegisters,
    WriteCoil,
    WriteCoils,
    WriteRegisters,
)
from ald.plc.times import BOUNDS_NS
from ald.wire import IoTimes, LaneFailures, LinkFigures, LinkStatus, ScanStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ald.kit.clock import Clock
    from ald.kit.lines import Lines
    from ald.plant.model import Plant

HEARTBEAT_TOKEN = -1
READBACK_TOKEN = HEARTBEAT_TOKEN - Heartbeat.TOKENS
SCAN_TOKEN = READBACK_TOKEN - OPEN_MAX
"""The engine counts its tokens upwards from 1; ours lie below 0."""

_LANES = {Lane.SAFE: plc.Lane.SAFE, Lane.RECIPE: plc.Lane.RECIPE}


class Station:
    """One plant's link at work. Made anew for every plant."""

    def __init__(
        self,
        plant: Plant,
        plant_digest: str,
        clock: Clock,
        unit_random: Callable[[], float],
        log: Lines,
    ) -> None:
        """Raises InvalidInputError when the plant cannot be read at all."""
        now_ns = clock.monotonic_ns()
        self._clock = clock
        self._link = plc.Link(plant.link, unit_random)
        self._connection = Connection(self._link, clock.monotonic_ns)
        self._scanner = Scanner(plant, plant_digest, SCAN_TOKEN, now_ns)
        self._heartbeat: Heartbeat | None = None
        if plant.heartbeat is not None and plant.mode is Mode.CONTROL:
            self._heartbeat = Heartbeat(
                plant.heartbeat, HEARTBEAT_TOKEN, now_ns, plant.link.pause_request_ns
            )
        self._heartbeat_trouble = Trouble("heartbeat", log)
        self._readback = Readback(READBACK_TOKEN)
        self._looks: dict[int, Read] = {}
        self.write_spread = WriteSpread()
        self._is_connected = False
        self._connects = 0
        self._changed_ns = now_ns

    def follow(self, before: Station) -> None:
        """Number scans on from those of the plant before."""
        self._scanner.follow(before._scanner)

    # What the loop polls, and when it calls.

    def fileno(self) -> int | None:
        """Return what to poll for reading, None for nothing."""
        return self._connection.fileno()

    def wants_write(self) -> bool:
        """Tell whether to poll for writing too."""
        return self._connection.wants_write()

    def wake_ns(self, now_ns: int, edge_ns: int | None) -> int:
        """Return when `work` wants to be called at the latest."""
        times = [self._scanner.wake_ns]
        link_ns = self._link.next_wake_ns(now_ns)
        if link_ns is not None:
            times.append(link_ns)
        if self._heartbeat is not None:
            times.append(self._heartbeat.wake_ns(now_ns, edge_ns))
        return min(times)

    @property
    def poll_until_ns(self) -> int:
        """Until when the loop should look for an answer without going to sleep; 0: it may sleep."""
        return self._link.near_until_ns

    def receive(self, now_ns: int) -> None:
        """Bytes have come in."""
        self._connection.on_readable(now_ns)

    def transmit(self, now_ns: int) -> None:
        """The socket takes bytes again."""
        self._connection.on_writable(now_ns)

    def work(self, now_ns: int, edge_ns: int | None) -> None:
        """Do what is due: a beat, a scan, sending, reconnecting."""
        self._link.set_next_edge(edge_ns)
        if self._heartbeat is not None:
            # A connection that the engine has not heard of begins with the safe state, not with a beat.
            is_known = self._is_connected and self._link.counters.connects == self._connects
            self._heartbeat.beat(self._link, now_ns, edge_ns, is_known=is_known)
        self._scanner.begin(self._link, now_ns)
        self._connection.flush(now_ns)

    # What the engine wants.

    def submit(self, wanted: Write | Look, now_ns: int) -> None:
        """Hand a write or a look of the engine to the link; `flush` sends it."""
        if isinstance(wanted, Write):
            self._write(wanted, now_ns)
        else:
            self._look(wanted, now_ns)

    def _write(self, write: Write, now_ns: int) -> None:
        lane, request = _LANES[write.lane], _request(write.target)
        self._readback.submitted(lane, request, write.token)
        self._link.submit(lane, request, write.token, now_ns)

    def _look(self, look: Look, now_ns: int) -> None:
        request = (ReadBits if look.table.is_bits else ReadRegisters)(
            look.table, look.address, look.count
        )
        self._looks[look.token] = request
        self._link.submit(plc.Lane.RECIPE, request, look.token, now_ns)

    def cancel(self, lane: Lane) -> None:
        """Take back what waits in a lane."""
        self._link.cancel_lane(_LANES[lane])

    def flush(self, now_ns: int) -> None:
        """Send what waits, as far as the window allows."""
        self._connection.flush(now_ns)

    def close(self) -> None:
        """Leave the PLC."""
        self._connection.close()

    # What has happened.

    def news(self, run: str, offset_ns: int) -> Iterator[Input]:
        """Yield what the engine has to know, in the order in which it may act on it.

        What was sent and acknowledged comes before the loss of the connection, and what that loss failed after it: the
        engine then knows why.
        """
        sent, done = self._link.sent(), self._link.completions()
        now_ns = self._clock.monotonic_ns()
        for each in sent:
            if each.token > 0:
                yield Sent(at_ns=now_ns, token=each.token, sent_ns=each.sent_ns)
        for completion in done:
            if completion.ok:
                if not completion.data:
                    self.write_spread.add(completion.acked_ns - completion.sent_ns)
                yield from self._settled(completion, run, now_ns, offset_ns)
        yield from self._link_lost(now_ns)
        for completion in done:
            if not completion.ok:
                yield from self._settled(completion, run, now_ns, offset_ns)
        yield from self._link_made(now_ns)
        watchdog = self._heartbeat.news(now_ns) if self._heartbeat is not None else None
        if watchdog is not None:
            yield WatchdogSeen(
                at_ns=now_ns, ok=watchdog.is_acknowledged, is_foreign=watchdog.is_foreign
            )

    def _link_lost(self, now_ns: int) -> Iterator[Input]:
        connects = self._link.counters.connects
        # A connection may have gone and come back between two looks.
        if self._is_connected and not (self._link.connected and connects == self._connects):
            self._is_connected = False
            self._changed_ns = now_ns
            self._scanner.disconnected()
            if self._heartbeat is not None:
                self._heartbeat.disconnected()
            yield LinkDown(at_ns=now_ns, message=self._link.message)

    def _link_made(self, now_ns: int) -> Iterator[Input]:
        if self._link.connected and not self._is_connected:
            self._is_connected = True
            self._connects = self._link.counters.connects
            self._changed_ns = now_ns
            self._scanner.reconnected()
            if self._heartbeat is not None:
                self._heartbeat.reconnected(now_ns)
            yield LinkUp(at_ns=now_ns)

    def _settled(
        self, completion: plc.Completion, run: str, now_ns: int, offset_ns: int
    ) -> Iterator[Input]:
        if completion.token in self._looks:
            yield _looked(completion, self._looks.pop(completion.token), now_ns)
        elif completion.token > 0:
            if not self._readback.settles(completion, self._link, now_ns):
                yield _answered(completion, now_ns)
        elif self._readback.owns(completion.token):
            yield _answered(self._readback.settled(completion), now_ns)
        elif self._scanner.owns(completion.token):
            scan = self._scanner.completed(
                completion, self._link, run=run, now_ns=now_ns, wall_ns=now_ns + offset_ns
            )
            if scan is not None:
                yield Scanned(at_ns=now_ns, scan=scan)
        elif self._heartbeat is not None and self._heartbeat.owns(completion.token):
            if completion.token == HEARTBEAT_TOKEN:
                self._heartbeat_trouble.see(completion)
            self._heartbeat.completed(completion)

    # What the status shows.

    def link_status(self, offset_ns: int) -> LinkStatus:
        """Return how the connection does."""
        counters = self._link.counters
        return LinkStatus(
            connected=self._is_connected,
            message=self._link.message,
            since_wall_ns=self._changed_ns + offset_ns,
            requests=counters.requests,
            timeouts=counters.timeouts,
            reconnects=counters.reconnects,
            worst_valve_wait_ns=counters.worst_valve_wait_ns,
            desyncs=counters.desyncs,
            exceptions=counters.exceptions,
            failed_connects=counters.failed_connects,
            is_holding_back=self._link.is_holding_back,
        )

    def figures(self) -> LinkFigures:
        """Return what metrics show of the link besides its status."""
        return LinkFigures(
            io_times=tuple(
                IoTimes(
                    request=times.request,
                    bounds_ns=BOUNDS_NS,
                    counts=times.counts,
                    sum_ns=times.sum_ns,
                )
                for times in self._link.io_times()
            ),
            failures=tuple(
                LaneFailures(lane=lane, outcome=outcome, count=count)
                for lane, outcome, count in self._link.failures
            ),
        )

    def scan_status(self) -> ScanStatus:
        """Return how the scans do."""
        scanner = self._scanner
        return ScanStatus(
            sequence=scanner.sequence,
            wall_ns=scanner.last_wall_ns,
            late=scanner.late,
            missed=scanner.missed,
            bad_signals=scanner.bad_signals,
            refused=scanner.refused,
            refusals=scanner.refusals,
        )


def _answered(completion: plc.Completion, now_ns: int) -> Answered:
    return Answered(
        at_ns=now_ns,
        token=completion.token,
        ok=completion.ok,
        unknown=completion.unknown,
        error=str(completion.error) if completion.error is not None else "",
        sent_ns=completion.sent_ns,
        acked_ns=completion.acked_ns,
    )


def _looked(completion: plc.Completion, request: Read, now_ns: int) -> Looked:
    values: tuple[int, ...] | None = None
    if completion.ok:
        is_bits = isinstance(request, ReadBits)
        data = completion.data
        values = tuple(codec.unpack_bits(data, request.count)) if is_bits else codec.words(data)
    return Looked(
        at_ns=now_ns,
        token=completion.token,
        values=values,
        error=str(completion.error) if completion.error is not None else "",
        sent_ns=completion.sent_ns,
        acked_ns=completion.acked_ns,
    )


def _request(target: Target) -> WriteCoil | WriteCoils | WriteRegisters:
    if not isinstance(target, Coils):
        return WriteRegisters(target.address, target.words)
    if len(target.bits) == 1:
        return WriteCoil(target.address, target.bits[0])
    return WriteCoils(target.address, target.bits)
