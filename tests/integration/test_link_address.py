"""Whom the link connects to: names with several addresses, names that are told late, and never itself."""

import contextlib
import select
import socket
import threading

import pytest
from typing_extensions import override

from ald.errors import LinkDownError
from ald.plc.link import Lane, State
from ald.plc.request import WriteCoil
from fixtures.ports import free_port
from integration.link_loop import loop
from integration.test_link import READ, Plc, close_after_request, good

pytestmark = pytest.mark.integration


def resolved(monkeypatch, *hosts, gate=None):
    """Let any name have these addresses, told once `gate` is set; return what was asked for."""
    asked: list[str] = []

    def look_up(host, port, **_):
        asked.append(host)
        if gate is not None:
            gate.wait(10)
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, (each, port)) for each in hosts]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_of_a_name_with_several_addresses_the_one_that_serves_is_found_and_kept(monkeypatch):
    resolved(monkeypatch, "127.0.0.3", "127.0.0.2", "127.0.0.1")
    with (
        contextlib.closing(Plc(close_after_request, good)) as plc,
        loop(plc.port, host="plc.example.com") as driver,
    ):
        driver.up()
        assert driver.link.counters.failed_connects == 2
        assert isinstance(driver.result(READ).error, LinkDownError)
        driver.up()
        assert driver.result(READ).ok
        assert driver.link.counters.failed_connects == 2


def test_a_name_that_is_told_between_two_tries_serves_the_next_one(monkeypatch):
    gate = threading.Event()
    asked = resolved(monkeypatch, "127.0.0.1", gate=gate)
    with (
        contextlib.closing(Plc(good)) as plc,
        loop(plc.port, host="plc.example.com") as driver,
    ):
        link, connection = driver.link, driver.connection
        connection.flush(0)
        late_ns = link.settings.timeout_ns
        connection.flush(late_ns)
        assert link.state is State.DOWN
        gate.set()
        assert select.select([connection.fileno()], [], [], 10)[0]
        connection.on_readable(late_ns + 1)
        assert link.state is State.DOWN
        again_ns = link.next_wake_ns(late_ns + 1)
        assert again_ns is not None
        connection.flush(again_ns)
        assert select.select([], [connection.fileno()], [], 10)[1]
        connection.on_writable(again_ns)
        assert link.connected
        assert asked == ["plc.example.com"]


def test_a_connection_to_ourselves_confirms_no_write(monkeypatch):
    port = free_port()

    class FromThatPort(socket.socket):
        """As the kernel makes it now and then, where nobody listens at a port that it deals out."""

        @override
        def connect_ex(self, address):
            self.bind(address)
            return super().connect_ex(address)

    monkeypatch.setattr(socket, "socket", FromThatPort)
    with loop(port) as driver:
        driver.until(
            lambda: driver.link.connected or driver.link.counters.failed_connects,
        )
        opening = driver.result(WriteCoil(15, True), Lane.RECIPE)
        assert (opening.ok, opening.unknown) == (False, False)
        assert "Connection refused" in driver.link.message
