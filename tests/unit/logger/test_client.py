import pytest

from ald.errors import PeerError
from ald.logger.client import check_order, item
from ald.records.event import LinkChanged, encode_event
from ald.records.scan import encode_scan
from ald.store.model import Undecodable
from ald.wire import FeedRecord
from unit.store.feeds import scan


def record(kind="event", body=b"", position=1):
    return FeedRecord(position=position, session="s", kind=kind, body=body)


def test_scans_and_events_are_decoded_and_keep_their_bytes():
    event = LinkChanged(at_ns=1, wall_ns=2, connected=True, message="m")
    assert item(record("scan", encode_scan(scan()))).content == scan()
    found = item(record("event", encode_event(event)))
    assert (found.content, found.body) == (event, encode_event(event))


@pytest.mark.parametrize(
    "odd",
    [record("scan", b"short"), record("event", b"\xc1"), record("riddle", b"?")],
    ids=lambda r: r.kind,
)
def test_what_cannot_be_decoded_keeps_its_bytes_and_says_why(odd):
    found = item(odd)
    assert isinstance(found.content, Undecodable)
    assert found.content.reason
    assert found.body == odd.body


def test_positions_ascend_gaps_allowed():
    check_order([record(position=p) for p in (4, 5, 9)], after=3)


@pytest.mark.parametrize("positions", [(3,), (5, 5), (6, 5)])
def test_positions_that_do_not_ascend_are_no_feed(positions):
    with pytest.raises(PeerError, match="follows"):
        check_order([record(position=p) for p in positions], after=3)
