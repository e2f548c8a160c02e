"""The simulator as a process, asked by pymodbus' client and by raw sockets."""

import contextlib
import socket
import struct
import subprocess
import sys
import time

import pytest
import yaml
from pymodbus.client import ModbusTcpClient

from fixtures.simulator import MACHINE, VALVES, machine
from fixtures.wait import eventually

pytestmark = pytest.mark.integration

HEADER = struct.Struct(">HHHB")
TMA = VALVES["tma"]
HEARTBEAT = 2190


@contextlib.contextmanager
def master(simulator):
    client = ModbusTcpClient("127.0.0.1", port=simulator.port, retries=0, timeout=3)
    assert client.connect()
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def wire(simulator):
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=5) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield raw


def frame(tid, request, unit=1):
    return HEADER.pack(tid, 0, len(request) + 1, unit) + bytes(request)


def receive(raw):
    """Return transaction and answer of one frame; (None, b"") when the peer closed."""
    head = _exactly(raw, HEADER.size)
    if not head:
        return None, b""
    tid, protocol, length, _ = HEADER.unpack(head)
    assert protocol == 0
    return tid, _exactly(raw, length - 1)


def _exactly(raw, size):
    data = b""
    while len(data) < size:
        try:
            more = raw.recv(size - len(data))
        except ConnectionResetError:
            return b""
        if not more:
            return b""
        data += more
    return data


def test_an_independent_master_reads_and_writes(simulator):
    with master(simulator) as client:
        registers = client.convert_to_registers(40.0, client.DATATYPE.FLOAT32, word_order="little")
        assert not client.write_registers(2004, registers).isError()
        assert not client.write_coil(TMA, True).isError()
        assert client.read_coils(TMA, count=1).bits[0]
        assert client.read_holding_registers(2004, count=2).registers == registers

        def flows():
            read = client.read_input_registers(2006, count=2).registers
            flow = client.convert_from_registers(read, client.DATATYPE.FLOAT32, word_order="little")
            return abs(flow - 40) < 1

        eventually(flows, within_s=5)


def test_fifty_pipelined_requests_get_fifty_answers_in_order(simulator):
    """Where pymodbus' own server gave one answer for eight requests in one segment."""
    requests = [frame(n, struct.pack(">BHH", 3, 2000, 1 + n % 20)) for n in range(50)]
    with wire(simulator) as raw:
        raw.sendall(b"".join(requests))
        replies = [receive(raw) for _ in requests]
    assert [tid for tid, _ in replies] == list(range(50))
    assert [reply[1] for _, reply in replies] == [2 * (1 + n % 20) for n in range(50)]


def test_a_request_in_pieces_is_one_request(simulator):
    with wire(simulator) as raw:
        for byte in frame(7, [5, 0, TMA, 0xFF, 0]):
            raw.sendall(bytes([byte]))
        assert receive(raw) == (7, bytes([5, 0, TMA, 0xFF, 0]))
    assert [e["valve"] for e in simulator.trace()] == ["tma"]


def test_the_kernel_stamps_each_edge_when_it_arrives(simulator):
    """Even while answers are delayed, so that the reader's lateness does not show."""
    simulator.faults(delay_ms=50)
    sent = []
    with wire(simulator) as raw:
        for number in range(20):
            before = time.time_ns()
            raw.sendall(frame(number, [5, 0, TMA, 0 if number % 2 else 0xFF, 0]))
            sent.append((before, time.time_ns()))
            receive(raw)
    edges = simulator.trace()
    assert [e["state"] for e in edges] == [True, False] * 10
    for (before, after), edge in zip(sent, edges, strict=True):
        assert before <= edge["received_wall_ns"] <= after + 1_000_000
        assert 0 < edge["effective_ns"] - edge["received_ns"] <= 10_000_000
        assert edge["cause"] == "write"


def test_monotonic_times_of_the_trace_are_those_of_this_host(simulator):
    before = time.monotonic_ns()
    with master(simulator) as client:
        client.write_coil(TMA, True)
    after = time.monotonic_ns()
    assert before <= simulator.trace()[0]["received_ns"] <= after


def test_another_unit_is_not_here(simulator):
    with wire(simulator) as raw:
        raw.sendall(frame(1, [3, 0, 0, 0, 1], unit=9))
        assert receive(raw) == (1, bytes([0x83, 11]))


def test_garbage_ends_the_connection_and_nothing_else(simulator):
    with wire(simulator) as other, wire(simulator) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert receive(raw) == (None, b"")
        other.sendall(frame(1, [3, 0, 0, 0, 1]))
        assert receive(other)[0] == 1


def test_connections_are_counted(simulator):
    with wire(simulator), wire(simulator):
        eventually(lambda: simulator.state()["connections"]["open"] == 2, within_s=5)
    eventually(lambda: simulator.state()["connections"]["open"] == 0, within_s=5)
    assert simulator.state()["connections"] == {"open": 0, "accepted": 2, "refused": 0, "peak": 2}


def test_all_valves_close_when_the_heartbeat_stops(start_simulator):
    simulator = start_simulator(
        machine(heartbeat={"address": HEARTBEAT, "period": "100ms", "timeout": "300ms"})
    )
    with master(simulator) as client:
        client.write_coils(TMA, [True, True])
        client.write_register(HEARTBEAT, 1)
        beaten = time.monotonic_ns()
        eventually(lambda: not client.read_coils(TMA, count=1).bits[0], within_s=5)
    closed = [e for e in simulator.trace() if not e["state"]]
    assert {(e["valve"], e["cause"]) for e in closed} == {
        ("tma", "watchdog"),
        ("water", "watchdog"),
    }
    assert all(250e6 < e["effective_ns"] - beaten < 350e6 for e in closed)
    assert simulator.state()["watchdog"] == {"armed": True, "tripped": True, "trips": 1}


def test_overlapping_valves_are_on_record(simulator):
    with master(simulator) as client:
        client.write_coil(VALVES["tma"], True)
        client.write_coil(VALVES["water"], True)
        client.write_coil(VALVES["spare"], True)
    assert [(o["first"], o["second"], o["group"]) for o in simulator.overlaps()] == [
        ("tma", "water", "precursors"),
        ("tma", "spare", ""),
        ("water", "spare", ""),
    ]
    simulator.reset_trace()
    assert simulator.overlaps() == []
    assert simulator.trace() == []


@pytest.mark.requirement("PLC-RS")
class TestFaults:
    def test_a_delay_is_a_latency_and_not_a_queue(self, simulator):
        simulator.faults(delay_ms=200)
        with wire(simulator) as raw:
            begin = time.monotonic()
            raw.sendall(b"".join(frame(n, [3, 0, 0, 0, 1]) for n in range(10)))
            assert [receive(raw)[0] for _ in range(10)] == list(range(10))
            assert 0.19 < time.monotonic() - begin < 0.6

    def test_a_refused_port_is_closed_and_opens_again(self, simulator):
        with wire(simulator) as raw:
            simulator.faults(refuse=True)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", simulator.port), timeout=5)
            raw.sendall(frame(1, [3, 0, 0, 0, 1]))
            assert receive(raw)[0] == 1, "connections that exist stay"
        simulator.faults(refuse=False)
        with wire(simulator):
            pass

    def test_a_port_that_hangs_up_accepts_and_closes(self, simulator):
        with wire(simulator) as before:
            simulator.faults(hang_up=True)
            with wire(simulator) as raw:
                assert receive(raw) == (None, b"")
            before.sendall(frame(1, [3, 0, 0, 0, 1]))
            assert receive(before)[0] == 1, "connections that exist stay"
        assert simulator.state()["connections"]["refused"] == 1
        simulator.faults(hang_up=False)
        with wire(simulator) as raw:
            raw.sendall(frame(1, [3, 0, 0, 0, 1]))
            assert receive(raw)[0] == 1

    def test_dropped_connections_are_reset_once(self, simulator):
        with wire(simulator) as raw:
            simulator.faults(drop=True)
            assert receive(raw) == (None, b"")
        with wire(simulator) as raw:
            raw.sendall(frame(1, [3, 0, 0, 0, 1]))
            assert receive(raw)[0] == 1

    def test_a_frozen_plc_answers_nothing_and_moves_nothing(self, simulator):
        simulator.faults(freeze=True)
        with wire(simulator) as raw:
            raw.settimeout(0.3)
            raw.sendall(frame(1, [5, 0, TMA, 0xFF, 0]))
            with pytest.raises(TimeoutError):
                receive(raw)
            simulator.faults(freeze=False)
            raw.sendall(frame(2, [1, 0, TMA, 0, 1]))
            assert receive(raw) == (2, bytes([1, 1, 0]))
        assert simulator.trace() == []

    def test_a_rejected_function_is_answered_with_its_exception(self, simulator):
        simulator.faults(reject_function=5, reject_code=6)
        with wire(simulator) as raw:
            raw.sendall(frame(1, [5, 0, TMA, 0xFF, 0]) + frame(2, [1, 0, TMA, 0, 1]))
            assert receive(raw) == (1, bytes([0x85, 6]))
            assert receive(raw) == (2, bytes([1, 1, 0]))
        assert simulator.state()["exceptions"] == 1

    def test_connections_beyond_the_limit_are_closed_at_once(self, simulator):
        simulator.faults(max_connections=1)
        with wire(simulator) as first:
            first.sendall(frame(1, [3, 0, 0, 0, 1]))
            assert receive(first)[0] == 1
            with wire(simulator) as second:
                assert receive(second) == (None, b"")
        assert simulator.state()["connections"]["refused"] == 1

    def test_a_fault_that_does_not_exist_is_refused_by_name(self, simulator):
        with pytest.raises(ValueError, match="slow"):
            simulator.faults(slow=True)


def test_a_held_value_shows_on_the_wire_and_an_unknown_one_is_refused(simulator):
    simulator.force(**{"mfc-1.flow-read": 12.5})
    with master(simulator) as client:
        read = client.read_input_registers(2006, count=2).registers
        assert client.convert_from_registers(
            read, client.DATATYPE.FLOAT32, word_order="little"
        ) == pytest.approx(12.5)
    assert simulator.state()["forced"] == {"mfc-1.flow-read": 12.5}
    with pytest.raises(ValueError, match=r"nothing\.here"):
        simulator.force(**{"nothing.here": 1})


def test_a_killed_simulator_comes_back_on_the_same_port_with_fresh_values(simulator):
    with master(simulator) as client:
        client.write_coil(TMA, True)
    port = simulator.port
    simulator.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    simulator.start()
    assert simulator.port == port
    assert simulator.state()["open_valves"] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Machine\n  bad: yaml", "mapping values"),
        (yaml.safe_dump({**MACHINE, "kind": "Recipe"}), "kind"),
        ("", "apiVersion"),
    ],
    ids=["no yaml", "no machine", "empty"],
)
def test_a_file_that_is_no_machine_ends_it_with_the_reason(tmp_path, text, said):
    file = tmp_path / "machine.yaml"
    file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "ald.simulator", "--machine", file, "--port=0", "--admin-port=0"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
