"""Link and connection over real sockets: against the simulator, and against PLCs that misbehave in every known way."""

import contextlib
import itertools
import select
import socket
import struct
import threading
import time

import pytest

from ald.errors import LinkDesyncError, LinkDownError, LinkTimeoutError, ModbusExceptionError
from ald.plant.model import Table
from ald.plc import codec
from ald.plc.link import Lane, State
from ald.plc.request import ReadBits, ReadRegisters, WriteCoil, WriteCoils, WriteRegisters
from fixtures.ports import free_port
from fixtures.sockets import close_server
from integration.link_loop import Loop, loop

pytestmark = pytest.mark.integration

READ = ReadRegisters(Table.HOLDING, 0, 2)


class Plc:
    """A PLC that treats its connections, one after the other, as the given functions say; the last one stays."""

    def __init__(self, *manners):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.frames = []
        self.accepted = 0
        self._manners = list(manners)
        self._open = []
        self._serving = threading.Thread(target=self._serve, daemon=True)
        self._serving.start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connected, _ = self._listener.accept()
                self.accepted += 1
                self._open.append(connected)
                manner = self._manners.pop(0) if len(self._manners) > 1 else self._manners[0]
                threading.Thread(target=self._treat, args=(manner, connected), daemon=True).start()

    def _treat(self, manner, connected):
        with contextlib.suppress(OSError):
            manner(self, connected)

    def receive(self, connected):
        """Return the next frame of the link; raises OSError at its end."""
        header = self._exactly(connected, 7)
        frame = header + self._exactly(connected, struct.unpack_from(">H", header, 4)[0] - 1)
        self.frames.append(frame)
        return frame

    def skip(self, connected, count):
        """Take in what is no frame."""
        while count:
            count -= len(connected.recv(min(count, 65536)))

    def _exactly(self, connected, count):
        data = b""
        while len(data) < count:
            more = connected.recv(count - len(data))
            if not more:
                raise OSError("closed")
            data += more
        return data

    def close(self):
        close_server(self._listener, self._serving, self._open)


@pytest.fixture
def plc_of():
    made = []

    def make(*manners):
        made.append(Plc(*manners))
        return made[-1]

    yield make
    for plc in made:
        plc.close()


def answer(frame, value=7):
    if frame[7] in (3, 4):
        count = struct.unpack_from(">H", frame, 10)[0]
        pdu = bytes([frame[7], 2 * count]) + struct.pack(">H", value) * count
    else:
        pdu = frame[7:12]
    return frame[:4] + struct.pack(">H", 1 + len(pdu)) + frame[6:7] + pdu


def good(plc, connected):
    while True:
        connected.sendall(answer(plc.receive(connected)))


def mute(plc, connected):
    while True:
        plc.receive(connected)


def reset_after_request(plc, connected):
    plc.receive(connected)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connected.close()


def close_after_request(plc, connected):
    plc.receive(connected)
    connected.close()


def close_at_once(plc, connected):
    connected.close()


def foreign_transaction(plc, connected):
    frame = answer(plc.receive(connected))
    connected.sendall(b"\xab\xcd" + frame[2:])


def garbage(plc, connected):
    plc.receive(connected)
    connected.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


def half_an_answer(plc, connected):
    connected.sendall(answer(plc.receive(connected))[:9])
    mute(plc, connected)


@pytest.mark.parametrize(
    ("manner", "error"),
    [
        (mute, LinkTimeoutError),
        (half_an_answer, LinkTimeoutError),
        (reset_after_request, LinkDownError),
        (close_after_request, LinkDownError),
        (foreign_transaction, LinkDesyncError),
        (garbage, LinkDesyncError),
    ],
)
@pytest.mark.requirement("INT-13")
def test_the_link_comes_back_from_every_way_of_failing_and_sends_no_write_again(
    plc_of, manner, error
):
    plc = plc_of(manner, good)
    with loop(plc.port) as driver:
        driver.up()
        opening = driver.result(WriteCoil(15, True), Lane.RECIPE)
        assert isinstance(opening.error, error)
        assert opening.unknown
        driver.up()
        assert driver.result(READ).data == b"\0\7\0\7"
        assert [frame[7] for frame in plc.frames] == [5, 3]
        assert driver.link.counters.reconnects == 1


def test_a_plc_that_closes_right_after_accepting_is_not_hammered(plc_of):
    plc = plc_of(*[close_at_once] * 5, good)
    with loop(plc.port) as driver:
        begin = time.monotonic()
        driver.until(lambda: driver.link.counters.connects >= 6)
        driver.up()
        assert driver.result(READ).ok
        # Waits of at least 25, 50, 100, 200 and 400 ms.
        assert time.monotonic() - begin > 0.7
        assert plc.accepted == 6


@pytest.mark.requirement("INT-07")
def test_a_refused_connection_is_a_plain_message_and_is_tried_again():
    port = free_port()
    with loop(port) as driver:
        driver.until(lambda: driver.link.counters.failed_connects >= 3)
        assert "Connection refused" in driver.link.message
        assert "whether the PLC has a connection to spare" in driver.link.message
        failed = driver.ask(READ)
        assert not driver.link.connected
        driver.turn()
        assert isinstance(driver.done[failed].error, LinkDownError)
        with socket.create_server(("127.0.0.1", port)):
            driver.up()


def test_a_late_answer_is_never_taken_for_anothers(plc_of):
    release = threading.Event()

    def late(plc, connected):
        frame = plc.receive(connected)
        release.wait(10)
        connected.sendall(answer(frame, value=66))

    plc = plc_of(late, good)
    with loop(plc.port, timeout_s=0.1) as driver:
        driver.up()
        assert isinstance(driver.result(READ).error, LinkTimeoutError)
        release.set()
        driver.up()
        assert driver.result(READ).data == b"\0\7\0\7"


def test_a_lost_connection_is_reset_so_that_nothing_held_back_arrives_later(plc_of):
    seen = []

    def never_reads(plc, connected):
        # What the kernel took from us and the PLC did not read must die with the connection.
        stop.wait(10)
        with contextlib.suppress(ConnectionResetError):
            while data := connected.recv(4096):
                seen.append(data)
            seen.append(b"orderly end")
        done.set()

    stop, done = threading.Event(), threading.Event()
    plc = plc_of(never_reads, good)
    with loop(plc.port, timeout_s=0.1) as driver:
        driver.up()
        assert driver.result(WriteCoil(15, True), Lane.RECIPE).unknown
        driver.up()
        stop.set()
        assert done.wait(10)
        assert b"orderly end" not in seen


def test_an_opening_that_the_kernel_has_not_taken_is_taken_back_by_an_abort(plc_of):
    filled = threading.Event()
    stuffing: list[int] = []

    def reads_late(plc, connected):
        filled.wait(10)
        plc.skip(connected, stuffing[0])
        good(plc, connected)

    plc = plc_of(reads_late)
    with loop(plc.port, timeout_s=30) as driver:
        driver.up()
        stuffing.append(fill(driver.connection.fileno()))
        opening = driver.ask(WriteCoil(15, True), Lane.RECIPE)
        driver.turn(0.0)
        assert driver.link.has_outgoing
        driver.link.cancel_lane(Lane.RECIPE)
        closing = driver.ask(WriteCoil(15, False), Lane.SAFE)
        driver.turn(0.0)
        taken_back = driver.done[opening]
        assert (taken_back.ok, taken_back.unknown) == (False, False)
        filled.set()
        driver.until(lambda: closing in driver.done)
        assert driver.done[closing].ok
        assert [frame[7:12] for frame in plc.frames] == [b"\5\0\x0f\0\0"]


def fill(number):
    """Send until the kernel takes nothing more, also a while later; return how many bytes that were."""
    sent, before = 0, -1
    with socket.fromfd(number, socket.AF_INET, socket.SOCK_STREAM) as same:
        same.setblocking(False)
        poll = select.poll()
        poll.register(same, select.POLLOUT)
        while sent > before:
            before = sent
            poll.poll(500)
            for size in (65536, 1):
                with contextlib.suppress(BlockingIOError):
                    while True:
                        sent += same.send(bytes(size))
    return sent


def test_a_host_without_an_answer_ends_in_a_time_out():
    # A full backlog: the kernel drops further connection requests, as a firewall would.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as s:
        port = listener.getsockname()[1]
        for _ in range(3):
            filler = s.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        with loop(port, timeout_s=0.2) as driver:
            driver.until(lambda: driver.link.counters.timeouts >= 2)
            assert driver.link.message.endswith("did not accept within 0.2 s")


def test_a_name_is_looked_up_without_stopping_the_loop(plc_of):
    plc = plc_of(good)
    with loop(plc.port, host="localhost") as driver:
        driver.up()
        assert driver.result(READ).ok


def test_a_name_that_does_not_exist_is_a_plain_message():
    with loop(502, host="plc.invalid") as driver:
        driver.until(lambda: driver.link.counters.failed_connects >= 1)
        driver.until(lambda: "plc.invalid cannot be looked up" in driver.link.message)
        assert "check plc.host" in driver.link.message


def test_closing_leaves_nothing_open(plc_of):
    plc = plc_of(good)
    driver = Loop(plc.port)
    driver.up()
    driver.connection.close()
    assert driver.connection.fileno() is None
    assert driver.link.state is State.CLOSED


def test_the_simulator_takes_writes_and_gives_them_back(simulator):
    with loop(simulator.port) as driver:
        driver.up()
        assert driver.result(WriteRegisters(2000, (0, 0x4348))).ok
        assert codec.words(driver.result(ReadRegisters(Table.HOLDING, 2000, 2)).data) == (0, 0x4348)
        assert driver.result(WriteCoils(15, (False, True)), Lane.RECIPE).ok
        bits = driver.result(ReadBits(Table.COIL, 15, 2)).data
        assert codec.unpack_bits(bits, 2) == b"\0\1"
        assert driver.result(WriteRegisters(2190, (1,)), Lane.HEARTBEAT).ok
        assert driver.result(WriteCoil(16, False), Lane.SAFE).ok
        simulator.faults(reject_function=3, reject_code=2)
        refused = driver.result(ReadRegisters(Table.HOLDING, 2000, 1))
        assert isinstance(refused.error, ModbusExceptionError)
        assert refused.error.code == 2
        assert driver.link.connected


@pytest.mark.requirement("PLC-CA-04")
def test_fifty_restarts_of_the_connection_all_succeed(simulator):
    for _ in range(50):
        with loop(simulator.port) as driver:
            driver.up()
            assert driver.result(ReadRegisters(Table.HOLDING, 2000, 2)).ok
            assert driver.link.counters.failed_connects == 0


def test_pipelined_requests_get_their_own_answers(simulator):
    with loop(simulator.port, window=8) as driver:
        driver.up()
        requests = {}
        for count in [*range(1, 9)] * 20:
            requests[driver.ask(ReadRegisters(Table.HOLDING, 2000, count), Lane.SCAN)] = count
        driver.until(lambda: len(driver.done) == len(requests))
        for token, count in requests.items():
            assert len(driver.done[token].data) == 2 * count


def test_a_valve_write_is_not_kept_waiting_by_scans(simulator):
    simulator.faults(delay_ms=20)
    with loop(simulator.port, timeout_s=2) as driver:
        driver.up()
        for _ in range(40):
            driver.ask(ReadRegisters(Table.HOLDING, 2000, 2), Lane.SCAN)
        driver.turn()
        assert driver.result(WriteCoil(15, True), Lane.RECIPE).ok
        waited_ms = driver.link.counters.worst_valve_wait_ns / 1e6
        assert waited_ms < 100, "more than the one request in flight was waited for"
        assert driver.result(WriteCoil(15, False), Lane.RECIPE).ok


@pytest.mark.parametrize("window", [1, 4])
def test_a_plc_gets_its_pauses(simulator, window):
    pauses = {"pause_connect_ns": 60_000_000, "pause_request_ns": 15_000_000}
    began_ns = time.monotonic_ns()
    with loop(simulator.port, timeout_s=5, window=window, **pauses) as driver:
        driver.up()
        tokens = {driver.ask(WriteRegisters(2000 + 2 * n, (n, n)), Lane.SAFE) for n in range(6)}
        driver.until(lambda: driver.done.keys() >= tokens)
    times = [write["received_ns"] for write in simulator.writes()]
    assert times[0] - began_ns >= pauses["pause_connect_ns"]
    assert min(b - a for a, b in itertools.pairwise(times)) >= pauses["pause_request_ns"]
