import sqlite3

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ald.errors import CorruptRecordError, RefusedError, StoreError
from ald.gateway.front import feed as feed_module
from ald.gateway.front.feed import Feed, Keep
from fixtures.full_volume import files_of_at_most
from fixtures.plants import small_plant
from fixtures.records import plant_loaded, pulse_done, records, scans

OWNER = small_plant().identity
HOUR_NS = 3_600_000_000_000
ALL = Keep(age_ns=24 * HOUR_NS, bytes_max=1 << 30)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "feed.db"


@pytest.fixture
def feed(path):
    opened = Feed(path, OWNER)
    yield opened
    opened.close()


def positions(feed, after=0, count=5000):
    return [record.position for record in feed.read(after, count).records]


def test_records_get_positions_in_order_and_come_back_as_they_were(feed):
    feed.store("ring", records(b"one", (2, b"two")), {}, 1)
    batch = feed.read(0, 10)
    assert [(r.position, r.session, r.kind, r.body) for r in batch.records] == [
        (1, "session-a", "event", b"one"),
        (2, "session-a", "scan", b"two"),
    ]
    assert (batch.feed, batch.latest, batch.dropped_to) == (feed.marks.feed, 2, 0)
    assert positions(feed, after=1) == [2]
    assert positions(feed, after=0, count=1) == [1]


@pytest.mark.requirement("INT-04")
def test_what_the_ring_brings_twice_is_stored_once(feed):
    feed.store("ring", scans(3), {}, 1)
    feed.store("ring", scans(5), {}, 2)
    feed.store("ring", scans(5), {}, 3)
    assert positions(feed) == [1, 2, 3, 4, 5]
    assert feed.marks.ring_sequence == 5


def test_another_ring_counts_from_its_own_beginning(feed):
    feed.store("ring", scans(3), {}, 1)
    feed.store("ring of the next pod", scans(2), {}, 2)
    assert positions(feed) == [1, 2, 3, 4, 5]


def test_everything_is_there_after_opening_again(path, feed):
    feed.store("ring", scans(3), {"session": b"a"}, 1)
    feed.commit(feed.marks.feed, 2)
    before = feed.marks
    feed.close()
    again = Feed(path, OWNER)
    assert again.marks == before
    assert again.note("session") == b"a"
    assert again.note("nothing") == b""
    again.close()


def test_a_batch_is_bounded_in_bytes_but_never_empty(feed, monkeypatch):
    monkeypatch.setattr(feed_module, "BATCH_BYTES_MAX", 250)
    feed.store("ring", scans(3, size=100), {}, 1)
    feed.store("ring", scans(1, first=4, size=1000), {}, 1)
    assert positions(feed) == [1, 2]
    assert positions(feed, after=2) == [3]
    assert positions(feed, after=3) == [4]


def test_a_commit_of_another_feed_or_beyond_the_end_is_refused(feed):
    feed.store("ring", scans(3), {}, 1)
    with pytest.raises(RefusedError, match=r"this is feed .*, not another") as raised:
        feed.commit("another", 1)
    assert raised.value.reason == "ForeignFeed"
    with pytest.raises(RefusedError, match="up to 3, got 4") as raised:
        feed.commit(feed.marks.feed, 4)
    assert raised.value.reason == "UnknownPosition"
    feed.commit(feed.marks.feed, 3)
    feed.commit(feed.marks.feed, 1)
    assert feed.marks.committed == 3


@pytest.mark.requirement("FR-01")
@pytest.mark.parametrize("field", ["installation", "namespace", "name"])
def test_a_volume_of_another_machine_is_refused_and_left_alone(path, feed, field):
    feed.store("ring", scans(1), {}, 1)
    feed.close()
    before = path.read_bytes()
    other = msgspec.structs.replace(OWNER, **{field: "other"})
    with pytest.raises(RefusedError, match="journal of machine test/lab/reactor-1, and") as raised:
        Feed(path, other)
    assert raised.value.reason == "ForeignJournal"
    assert path.read_bytes() == before
    again = Feed(path, msgspec.structs.replace(OWNER, uid="after a restore"))
    assert positions(again) == [1]
    again.close()


def test_a_feed_of_another_version_is_refused(path):
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(RefusedError, match="has version 9"):
        Feed(path, OWNER)


def test_two_feeds_have_two_identities(path, tmp_path, feed):
    other = Feed(tmp_path / "other.db", OWNER)
    assert other.marks.feed != feed.marks.feed
    other.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(path):
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(CorruptRecordError, match="damaged"):
        Feed(path, OWNER)
    assert path.read_bytes() == b"not a database" * 1000


def test_a_record_that_changed_on_disk_is_reported(path, feed):
    feed.store("ring", records(b"a body that can be found"), {}, 1)
    feed.close()
    data = path.read_bytes()
    assert data.count(b"can be found") == 1
    path.write_bytes(data.replace(b"can be found", b"can be faund"))
    again = Feed(path, OWNER)
    with pytest.raises(CorruptRecordError, match="position 1 fails its check"):
        again.read(0, 10)
    again.close()


def test_old_committed_records_go_and_positions_are_never_used_again(path, feed):
    feed.store("ring", scans(4), {}, 0)
    feed.commit(feed.marks.feed, 3)
    feed.prune(ALL, 24 * HOUR_NS)
    assert positions(feed) == [1, 2, 3, 4]
    feed.prune(ALL, 24 * HOUR_NS + 1)
    assert positions(feed) == [4]
    feed.commit(feed.marks.feed, 4)
    feed.prune(ALL, 48 * HOUR_NS)
    assert (feed.marks.dropped_to, feed.marks.lost) == (4, 0)
    feed.close()
    again = Feed(path, OWNER)
    again.store("ring", scans(5), {}, 1)
    assert positions(again) == [5]
    again.close()


def test_past_the_size_committed_records_go_first_then_scans_and_events_never(feed):
    keep = Keep(age_ns=24 * HOUR_NS, bytes_max=400_000)
    feed.store("ring", scans(100, size=2000), {}, 0)
    feed.commit(feed.marks.feed, 50)
    feed.store("ring", records(*[b"e" * 2000] * 100, first=101), {}, 0)
    feed.store("ring", scans(100, first=201, size=2000), {}, 0)
    for _ in range(5):
        feed.prune(keep, 0)
    left = feed.read(0, 5000)
    assert [r.position for r in left.records if r.kind == "event"] == list(range(101, 201))
    kept_scans = [r.position for r in left.records if r.kind == "scan"]
    assert kept_scans
    assert kept_scans == list(range(kept_scans[0], 301))
    assert kept_scans[0] > 51
    assert left.dropped_to == feed.marks.dropped_to == kept_scans[0] - 1
    assert feed.marks.lost == kept_scans[0] - 201 + 50


def kept(feed):
    return [(r.position, r.kind) for r in feed.read(0, 5000).records]


def test_the_plant_of_the_oldest_scan_left_stays_for_readers_that_begin_anew(feed):
    plant = plant_loaded(small_plant())
    feed.store("ring", records(plant, pulse_done(), plant, pulse_done()), {}, 0)
    feed.store("ring", scans(6, first=5), {}, 0)
    feed.store("ring", records(plant, first=11), {}, 0)
    feed.commit(feed.marks.feed, 8)
    feed.prune(ALL, 25 * HOUR_NS)
    feed.prune(ALL, 26 * HOUR_NS)
    assert kept(feed) == [(3, "event"), (9, "scan"), (10, "scan"), (11, "event")]
    assert (feed.marks.dropped_to, feed.marks.lost) == (8, 0)
    feed.commit(feed.marks.feed, 11)
    feed.prune(ALL, 27 * HOUR_NS)
    assert kept(feed) == [(11, "event")]


def test_the_plant_that_stays_does_not_make_the_others_look_small(feed):
    feed.store("ring", records(plant_loaded(small_plant())), {}, 0)
    feed.store("ring", scans(2000, first=2, size=10), {}, 0)
    feed.commit(feed.marks.feed, 2001)
    feed.prune(ALL, 25 * HOUR_NS)
    feed.store("ring", scans(200, first=2002, size=2000), {}, 25 * HOUR_NS)
    # A seventh of what is left is too much; by the positions, 2002 records would seem to share the room.
    feed.prune(Keep(age_ns=24 * HOUR_NS, bytes_max=400_000), 25 * HOUR_NS)
    assert 120 < len(positions(feed)) < 201


def test_past_the_size_the_plant_stays_too(feed):
    feed.store("ring", records(plant_loaded(small_plant())), {}, 0)
    feed.store("ring", scans(200, first=2, size=2000), {}, 0)
    feed.commit(feed.marks.feed, 201)
    for _ in range(5):
        feed.prune(Keep(age_ns=24 * HOUR_NS, bytes_max=100_000), 0)
    left = kept(feed)
    assert left[0] == (1, "event")
    assert 1 < len(left) < 100


def test_uncommitted_events_stay_even_past_the_size(feed):
    feed.store("ring", records(*[b"e" * 2000] * 100), {}, 0)
    feed.prune(Keep(age_ns=0, bytes_max=100_000), HOUR_NS)
    assert positions(feed) == list(range(1, 101))


@pytest.mark.requirement("FI-DF-01")
def test_a_full_volume_refuses_and_goes_on_once_there_is_space(path, feed):
    feed.store("ring", scans(10), {}, 1)
    with files_of_at_most(path.stat().st_size + 200_000):
        with pytest.raises(StoreError, match="takes no more data"):
            feed.store("ring", scans(500, first=11, size=2000), {}, 1)
        assert feed.marks.latest == 10
    feed.store("ring", scans(500, first=11, size=2000), {}, 1)
    assert positions(feed) == list(range(1, 511))


@settings(max_examples=40)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("store"), st.integers(1, 30)),
            st.tuples(st.just("commit"), st.integers(0, 200)),
            st.tuples(st.just("prune"), st.integers(0, 3)),
            st.just(("again",)),
        ),
        max_size=30,
    )
)
def test_a_reader_that_resumes_sees_every_uncommitted_record_once(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("feed") / "feed.db"
    feed, sequence, hours, committed, seen = Feed(path, OWNER), 0, 0, 0, []
    for name, *arguments in steps:
        if name == "store":
            feed.store("ring", scans(arguments[0], first=sequence + 1), {}, hours * HOUR_NS)
            sequence += arguments[0]
        elif name == "commit":
            batch = feed.read(committed, arguments[0]).records if arguments[0] else ()
            seen += [record.position for record in batch]
            committed = seen[-1] if seen else 0
            feed.commit(feed.marks.feed, committed)
        elif name == "prune":
            hours += arguments[0] * 12
            feed.prune(ALL, hours * HOUR_NS)
        else:
            feed.close()
            feed = Feed(path, OWNER)
    seen += positions(feed, after=committed)
    feed.close()
    assert seen == list(range(1, sequence + 1))
