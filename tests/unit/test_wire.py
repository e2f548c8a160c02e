"""What processes say to each other."""

import msgspec
import pytest

from ald import wire
from ald.records.event import RunIdentity


def test_a_request_to_the_driver_reads_back_as_itself() -> None:
    order = wire.AbortOrder(reason="User", by="anna")
    request = wire.DriverRequest(id=7, request=wire.AbortRun(uid="u", order=order))
    data = msgspec.msgpack.encode(request)
    assert msgspec.msgpack.decode(data, type=wire.DriverRequest) == request


def test_a_feed_batch_reads_back_as_itself() -> None:
    record = wire.FeedRecord(position=1, session="s", kind="scan", body=b"\x00")
    batch = wire.FeedBatch(feed="f", latest=1, dropped_to=0, records=(record,))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(batch), type=wire.FeedBatch) == batch


def test_a_body_of_the_wrong_shape_is_refused_with_its_path() -> None:
    body = b'{"protocol": 1, "run": {"namespace": "n", "name": 5, "uid": "u"}}'
    with pytest.raises(msgspec.ValidationError, match=r"\$\.run\.name"):
        msgspec.json.decode(body, type=wire.RunOrder)
    assert RunIdentity(namespace="n", name="x", uid="u").name == "x"
