"""The bytes of an event."""

import msgspec
import pytest

from ald.records import event


def test_an_event_read_back_is_the_event_written() -> None:
    written = event.PulseDone(
        at_ns=1,
        wall_ns=2,
        run="r",
        ordinal=3,
        path="spec.steps[0]",
        name="tma",
        iterations=(4, 5),
        valve="tma",
        open_ns=40_000_000,
        due_ns=6,
        opened_sent_ns=7,
        opened_ack_ns=8,
        closed_sent_ns=9,
        closed_ack_ns=10,
        error_ns=-1,
        uncertainty_ns=11,
        outcome=event.WriteOutcome.CONFIRMED,
    )
    assert event.decode_event(event.encode_event(written)) == written


def test_every_kind_of_event_has_a_tag_of_its_own() -> None:
    tags = [kind.__struct_config__.tag for kind in event.Event.__args__]
    assert len(tags) == len(set(tags)) == 21


def test_an_event_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="Invalid value"):
        event.decode_event(msgspec.msgpack.encode({"kind": "party", "at_ns": 1, "wall_ns": 2}))
