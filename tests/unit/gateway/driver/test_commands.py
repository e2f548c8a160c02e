"""The socket: whole messages, several clients, nonsense."""

import contextlib
import os
import resource
import select
import socket
from pathlib import Path

import msgspec
import pytest

from ald.engine.status import driver_status
from ald.gateway import packets
from ald.gateway.driver.commands import CLIENTS_MAX, LONG_BYTES, Commands
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.wire import (
    AbortOrder,
    AbortRun,
    Clear,
    ClearOrder,
    DriverReply,
    DriverRequest,
    GetStatus,
    GoSafe,
    SafeStateOrder,
    StartRun,
)
from unit.engine.programs import OTHER_UID, UID, compiled, loop, order, wait
from unit.engine.world import World

STATUS = driver_status(World().state, NO_LINK, NO_SCAN)


class Server:
    def __init__(self, path):
        self.commands = Commands(path)
        self.path = path
        self.asked = []
        self.glances = []

    def client(self):
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        made.settimeout(5)
        made.connect(str(self.path))
        return made

    def turn(self, *, busy=False):
        ready, _, _ = select.select(self.commands.filenos(), [], [], 0)
        self.commands.serve(ready, self._answer, self._glance if busy else None)

    def ask(self, client, request, *, busy=False):
        message = msgspec.msgpack.encode(DriverRequest(id=7, request=request))
        for packet in packets.split(message):
            client.send(packet)
            self.turn(busy=busy)
        self.turn(busy=busy)
        joiner = packets.Joiner()
        whole = joiner.add(client.recv(packets.PACKET_BYTES_MAX))
        assert whole is not None
        return msgspec.msgpack.decode(whole, type=DriverReply)

    def _answer(self, request):
        self.asked.append(request)
        return DriverReply(id=request.id, at_ns=0, status=STATUS)

    def _glance(self, glance):
        self.glances.append(glance)
        return DriverReply(id=glance.id, at_ns=0, status=STATUS)


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path / "driver.sock")
    yield made
    made.commands.close()


def long_order(uid=UID):
    made = order(compiled(loop(2, *[wait(1)] * 2000)), uid)
    assert len(msgspec.msgpack.encode(made)) > LONG_BYTES
    return made


def test_a_request_is_answered_with_its_own_id(server):
    with server.client() as client:
        server.turn()
        assert server.ask(client, GetStatus()).id == 7


def test_whoever_speaks_as_soon_as_it_has_come_is_answered_in_the_same_turn(server):
    with server.client() as client:
        client.send(b"\x01" + msgspec.msgpack.encode(DriverRequest(id=7, request=GetStatus())))
        server.turn()
        assert client.recv(packets.PACKET_BYTES_MAX)
    assert len(server.asked) == 1


def test_a_long_request_arrives_whole(server):
    with server.client() as client:
        server.turn()
        server.ask(client, StartRun(order=long_order()))
        assert server.asked[0].request.order == long_order()


def test_while_a_run_is_on_a_long_request_is_only_glanced_at(server):
    with server.client() as client:
        server.turn()
        server.ask(client, StartRun(order=long_order(OTHER_UID)), busy=True)
        server.ask(client, GetStatus(), busy=True)
    (glance,) = server.glances
    assert glance.subject == OTHER_UID
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "nonsense", [b"\x01\xff\xff", b"\x07", b"\x01" + msgspec.msgpack.encode(1)]
)
def test_whoever_speaks_nonsense_is_not_spoken_to_any_more(server, nonsense):
    with server.client() as bad, server.client() as good:
        server.turn()
        server.turn()
        bad.send(nonsense)
        server.turn()
        assert bad.recv(10) == b""
        assert server.ask(good, GetStatus()).id == 7


def test_a_client_that_hangs_up_is_forgotten(server):
    with server.client():
        server.turn()
        assert len(server.commands.filenos()) == 2
    server.turn()
    assert len(server.commands.filenos()) == 1


def test_a_stop_is_let_in_though_others_hold_every_connection_and_the_one_silent_for_longest_goes(
    server,
):
    clients = [server.client() for _ in range(CLIENTS_MAX)]
    for _ in clients:
        server.turn()
    spoke, silent, *others = clients
    server.ask(spoke, GetStatus())
    stop = AbortRun(uid="", order=AbortOrder(reason="smoke", by="me"))
    with server.client() as one_more:
        server.turn()
        assert server.ask(one_more, stop).id == 7
        assert len(server.commands.filenos()) == 1 + CLIENTS_MAX
    assert server.asked[-1].request == stop
    assert silent.recv(10) == b""
    for client in (spoke, *others):
        assert server.ask(client, GetStatus()).id == 7
    for client in clients:
        client.close()


def test_where_no_descriptor_is_left_the_one_silent_for_longest_makes_room(server):
    silent, spoke = server.client(), server.client()
    for _ in range(2):
        server.turn()
    server.ask(spoke, GetStatus())
    used = resource.getrlimit(resource.RLIMIT_NOFILE)
    with server.client() as stop:
        open_now = [int(each.name) for each in Path("/proc/self/fd").iterdir()]
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(open_now), used[1]))
        try:
            with contextlib.ExitStack() as taken:
                with contextlib.suppress(OSError):
                    while True:
                        taken.callback(os.close, os.dup(0))
                server.turn()
                assert server.ask(stop, GetStatus()).id == 7
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, used)
    assert silent.recv(10) == b""
    assert server.ask(spoke, GetStatus()).id == 7
    for client in (silent, spoke):
        client.close()


def test_a_socket_left_behind_is_taken_over(tmp_path):
    first = Commands(tmp_path / "driver.sock")
    second = Commands(tmp_path / "driver.sock")
    first.close()
    second.close()


def deep(levels):
    request = msgspec.msgpack.encode(DriverRequest(id=1, request=GetStatus()))
    return b"\x01\x83" + request[1:] + b"\xa1x" + b"\x91" * levels


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x01"
        + msgspec.msgpack.encode(
            DriverRequest(id=1, request=AbortRun(uid="", order=AbortOrder(reason="RR", by="")))
        ).replace(b"RR", b"\xff\xfe"),
        deep(5_000),
        deep(40_000),
    ],
    ids=["bad text", "deep", "deep and long"],
)
def test_no_message_however_malformed_ends_the_driver(server, nonsense, busy):
    with server.client() as bad, server.client() as good:
        server.turn()
        server.turn()
        bad.send(nonsense)
        server.turn(busy=busy)
        assert bad.recv(10) == b""
        assert server.ask(good, GetStatus()).id == 7


def test_an_abort_is_carried_out_while_a_run_is_on_however_long_its_reason_is(server):
    abort = AbortRun(uid=UID, order=AbortOrder(reason="r" * 2 * LONG_BYTES, by="t"))
    with server.client() as client:
        server.turn()
        server.ask(client, abort, busy=True)
    assert server.asked[0].request == abort
    assert not server.glances


def test_a_client_that_never_reads_is_dropped_and_holds_nobody_up(server):
    with server.client() as silent, server.client() as good:
        server.turn()
        server.turn()
        silent.setblocking(False)
        packet = b"\x01" + msgspec.msgpack.encode(DriverRequest(id=1, request=GetStatus()))
        for _ in range(5000):
            try:
                silent.send(packet)
            except BlockingIOError:
                pass
            except OSError:
                break
            server.turn()
        assert len(server.commands.filenos()) == 2
        assert server.ask(good, GetStatus()).id == 7


def test_a_fault_of_our_own_is_not_taken_for_the_clients(tmp_path):
    commands = Commands(tmp_path / "driver.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(str(tmp_path / "driver.sock"))
        commands.serve(commands.filenos(), no_space, None)
        client.send(b"\x01" + msgspec.msgpack.encode(DriverRequest(id=1, request=GetStatus())))
        with pytest.raises(OSError, match="No space"):
            commands.serve(commands.filenos(), no_space, None)
    commands.close()


def no_space(_):
    raise OSError(28, "No space left on device")


def test_whoever_has_ended_leaves_no_socket_to_which_nobody_listens(tmp_path):
    commands = Commands(tmp_path / "driver.sock")
    assert (tmp_path / "driver.sock").is_socket()
    commands.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("request_", "is_done"),
    [
        (StartRun(order=order(compiled(wait(1)))), False),
        (Clear(order=ClearOrder(by="me", comment="looked")), False),
        (AbortRun(uid="", order=AbortOrder(reason="smoke", by="me")), True),
        (GoSafe(order=SafeStateOrder(by="me", comment="smoke")), True),
    ],
)
def test_what_its_sender_has_given_up_waiting_for_is_begun_no_more_but_a_stop_is_done(
    server, request_, is_done
):
    with server.client() as client:
        client.send(b"\x01" + msgspec.msgpack.encode(DriverRequest(id=7, request=request_)))
    server.turn()
    server.turn()
    assert [each.request for each in server.asked] == [request_] * is_done
    assert len(server.commands.filenos()) == 1


def test_whoever_sends_the_next_request_before_the_first_is_answered_has_not_hung_up(server):
    with server.client() as client:
        for number in (1, 2):
            sent = DriverRequest(id=number, request=StartRun(order=order(compiled(wait(1)))))
            client.send(b"\x01" + msgspec.msgpack.encode(sent))
        server.turn()
        assert [each.id for each in server.asked] == [1, 2]
