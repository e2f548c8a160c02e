"""Answers as broken devices give them."""

from random import Random

import pytest

from ald.simulator.spoil import Spoil, Spoiled, spoiled

FRAME = bytes.fromhex("0007 0000 0005 01 03 02 1234")


@pytest.mark.parametrize(
    ("spoil", "sent"),
    [
        (Spoil.NOTHING, Spoiled(FRAME)),
        (Spoil.TRUNCATED, Spoiled(bytes.fromhex("0007 0000 0004 01 03 02 12"))),
        (Spoil.OVERSIZED, Spoiled(bytes.fromhex("0007 0000 012d 01 03 02 1234") + bytes(296))),
        (Spoil.TRANSACTION, Spoiled(bytes.fromhex("0008 0000 0005 01 03 02 1234"))),
        (Spoil.UNIT, Spoiled(bytes.fromhex("0007 0000 0005 00 03 02 1234"))),
        (Spoil.FUNCTION, Spoiled(bytes.fromhex("0007 0000 0005 01 0b 02 1234"))),
        (Spoil.FAILED, Spoiled(bytes.fromhex("0007 0000 0003 01 83 04"))),
        (Spoil.STALL, Spoiled(FRAME[:5], is_mute=True)),
        (Spoil.LOSE, Spoiled(b"")),
        (Spoil.CLOSE, Spoiled(b"", is_closed=True)),
        (Spoil.RESET, Spoiled(b"", is_closed=True, is_reset=True)),
    ],
)
def test_each_is_sent_as_it_says(spoil, sent):
    assert spoiled(spoil, FRAME, Random(1)) == sent


def test_garbage_is_never_a_frame_and_the_same_again_from_the_same_seed():
    first, again = (spoiled(Spoil.GARBAGE, FRAME, Random(7)) for _ in range(2))
    assert first == again
    assert first.data[2:4] != b"\0\0"
    assert len(first.data) == len(FRAME)
