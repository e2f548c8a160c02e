"""Long messages cross a sequenced-packet socket whole."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ald.errors import PeerError
from ald.gateway import packets


@given(st.integers(0, 3 * packets.PACKET_BYTES_MAX))
def test_a_message_of_any_length_comes_back_whole(size):
    message = bytes(size)
    joiner = packets.Joiner()
    *first, last = packets.split(message)
    assert all(len(p) <= packets.PACKET_BYTES_MAX for p in (*first, last))
    assert [joiner.add(p) for p in first] == [None] * len(first)
    assert joiner.add(last) == message


def test_two_megabytes_pass_through_a_real_socket():
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        joiner, message = packets.Joiner(), b"x" * 2_000_000
        received = []
        for packet in packets.split(message):
            near.send(packet)
            received.append(joiner.add(far.recv(packets.PACKET_BYTES_MAX)))
    assert received[-1] == message


@pytest.mark.parametrize("packet", [b"", b"\x02abc"])
def test_a_packet_of_another_protocol_is_refused(packet):
    with pytest.raises(PeerError):
        packets.Joiner().add(packet)


def test_a_message_without_end_is_cut_off():
    joiner = packets.Joiner()
    packet = b"\x00" + bytes(packets.PACKET_BYTES_MAX - 1)
    for _ in range(packets.MESSAGE_BYTES_MAX // (packets.PACKET_BYTES_MAX - 1)):
        joiner.add(packet)
    with pytest.raises(PeerError):
        joiner.add(packet)


@pytest.mark.parametrize("packet", [b"\x00", b"\x00x"])
def test_a_message_in_small_pieces_is_refused_however_few_bytes_they_have(packet):
    with pytest.raises(PeerError, match="shorter"):
        packets.Joiner().add(packet)
