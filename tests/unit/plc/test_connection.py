"""The socket under the link, with a PLC at its other end and a clock of the test's own."""

import select
import socket
import struct

import pytest

from ald.errors import LinkTimeoutError
from ald.plant.model import LinkSettings, Table
from ald.plc.connection import Connection
from ald.plc.link import Lane, Link
from ald.plc.request import ReadRegisters

MS = 1_000_000
TIMEOUT = 500 * MS
PATIENCE_S = 30


@pytest.fixture
def at_both_ends():
    """Give the link, its connection, and the PLC's end of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        link = Link(LinkSettings(host="127.0.0.1", port=port, timeout_ns=TIMEOUT), lambda: 0.5)
        connection = Connection(link, lambda: 0)
        connection.flush(0)
        plc, _ = server.accept()
        with plc:
            if not link.connected:
                number = connection.fileno()
                assert number is not None
                assert select.select([], [number], [], PATIENCE_S)[1]
                connection.on_writable(0)
            yield link, connection, plc
            connection.close()


def test_an_answer_that_lies_ready_when_the_loop_was_away_is_taken_in(at_both_ends):
    link, connection, plc = at_both_ends
    link.submit(Lane.SCAN, ReadRegisters(Table.HOLDING, 0, 1), 7, 0)
    connection.flush(0)
    transaction, *_ = struct.unpack(">HHHB", plc.recv(260)[:7])
    plc.sendall(struct.pack(">HHHBBBH", transaction, 0, 5, link.settings.unit, 3, 2, 42))
    assert select.select([connection.fileno()], [], [], PATIENCE_S)[0]
    # A disk has held the loop up for four time-outs; the PLC has answered in time.
    connection.flush(4 * TIMEOUT)
    (done,) = link.completions()
    assert (done.ok, done.data, done.acked_ns) == (True, b"\0*", 4 * TIMEOUT)
    assert link.connected


def test_a_plc_that_has_not_answered_within_the_time_out_is_left(at_both_ends):
    link, connection, plc = at_both_ends
    link.submit(Lane.SCAN, ReadRegisters(Table.HOLDING, 0, 1), 7, 0)
    connection.flush(0)
    assert plc.recv(260)
    connection.flush(TIMEOUT - 1)
    assert link.connected
    connection.flush(TIMEOUT)
    (done,) = link.completions()
    assert isinstance(done.error, LinkTimeoutError)
    assert (link.connected, connection.fileno()) == (False, None)
