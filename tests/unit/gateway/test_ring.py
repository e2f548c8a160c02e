import errno
import itertools
import os
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ald.errors import CorruptRecordError, PeerError, RefusedError, RingFullError
from ald.gateway import ring, ring_file
from ald.gateway.ring import EVENT, SCAN, RingReader, RingRecord, RingWriter, ring_capacity
from ald.plant.model import Table
from ald.records.event import InputsTaken, encode_event
from ald.records.scan import Scan
from fixtures.plants import parameter, plant, small_plant
from unit.engine.programs import flow, loop, purge, valve
from unit.engine.recording import recorded
from unit.engine.world import World

CAPACITY = 8192


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ring"


def test_records_come_out_as_they_went_in(path):
    writer = RingWriter(path, CAPACITY, "session-a")
    reader = RingReader(path)
    assert reader.read(10) == []
    assert writer.append(EVENT, b"one") == 1
    assert writer.append(SCAN, b"") == 2
    assert reader.read(10) == [
        RingRecord(1, "session-a", EVENT, b"one"),
        RingRecord(2, "session-a", SCAN, b""),
    ]
    assert reader.read(10) == []


def test_reads_are_bounded(path):
    writer = RingWriter(path, CAPACITY, "s")
    for number in range(5):
        writer.append(EVENT, bytes([number]))
    reader = RingReader(path)
    assert [r.sequence for r in reader.read(3)] == [1, 2, 3]
    assert [r.sequence for r in reader.read(3)] == [4, 5]


@pytest.mark.requirement("INT-04")
def test_a_new_reader_gets_again_what_the_old_one_did_not_acknowledge(path):
    writer = RingWriter(path, CAPACITY, "s")
    for number in range(5):
        writer.append(EVENT, bytes([number]))
    reader = RingReader(path)
    reader.read(4)
    reader.acknowledge(2)
    reader.close()
    assert [r.sequence for r in RingReader(path).read(10)] == [3, 4, 5]


def test_acknowledging_what_was_not_read_frees_nothing_more(path):
    writer = RingWriter(path, CAPACITY, "s")
    for _ in range(3):
        writer.append(EVENT, b"x")
    reader = RingReader(path)
    reader.read(2)
    reader.acknowledge(99)
    assert [r.sequence for r in reader.read(10)] == [3]
    assert reader.used == writer.used > 0


def test_a_full_ring_refuses_and_goes_on_once_the_reader_caught_up(path):
    writer = RingWriter(path, CAPACITY, "s")
    count = CAPACITY // 576
    for _ in range(count):
        writer.append(SCAN, bytes(500))
    with pytest.raises(RingFullError, match="full"):
        writer.append(SCAN, bytes(500))
    reader = RingReader(path)
    records = reader.read(100)
    assert len(records) == count
    reader.acknowledge(records[0].sequence)
    assert writer.append(SCAN, bytes(500)) == count + 1
    with pytest.raises(RingFullError):
        writer.append(SCAN, bytes(500))


def test_a_record_larger_than_the_ring_is_refused_for_good(path):
    with pytest.raises(RefusedError, match="exceed the ring"):
        RingWriter(path, CAPACITY, "s").append(SCAN, bytes(CAPACITY))


@pytest.mark.parametrize("emptied", [False, True])
def test_a_new_session_goes_on_counting_where_the_last_one_ended(path, emptied):
    first = RingWriter(path, CAPACITY, "session-a")
    for _ in range(3):
        first.append(EVENT, b"x")
    reader = RingReader(path)
    if emptied:
        reader.acknowledge(reader.read(10)[-1].sequence)
    second = RingWriter(path, 4 * CAPACITY, "session-b")
    assert second.capacity == CAPACITY
    assert second.append(EVENT, b"y") == 4
    assert reader.read(10)[-1] == RingRecord(4, "session-b", EVENT, b"y")


def test_even_a_record_as_large_as_can_be_leaves_the_count_in_place(path):
    writer = RingWriter(path, CAPACITY, "s")
    reader = RingReader(path)
    for turn in range(1, 6):
        writer.append(SCAN, os.urandom(CAPACITY - 80))
        assert RingWriter(path, CAPACITY, "t").sequence == turn
        reader.acknowledge(reader.read(1)[0].sequence)


def test_an_unfinished_record_is_not_there_and_is_overwritten(path):
    writer = RingWriter(path, CAPACITY, "s")
    writer.append(EVENT, b"whole")
    # As a SIGKILL between copying and publishing leaves it.
    writer._file.put(writer._file.head, b"\xff" * 300)
    reader = RingReader(path)
    assert [r.payload for r in reader.read(10)] == [b"whole"]
    RingWriter(path, CAPACITY, "t").append(EVENT, b"next")
    assert [r.payload for r in reader.read(10)] == [b"next"]


@pytest.mark.parametrize("offset", [0, 4, 8, 16, 20, 24, 64, 70])
def test_a_damaged_record_is_reported_and_not_guessed_at(path, offset):
    writer = RingWriter(path, CAPACITY, "s")
    writer.append(EVENT, b"1234567890")
    writer._file._map[4096 + offset] ^= 1
    with pytest.raises(CorruptRecordError, match="fails its check"):
        RingReader(path).read(1)


def test_a_reader_before_the_writer_is_told_to_come_back(path):
    with pytest.raises(PeerError, match="has not made"):
        RingReader(path)


@pytest.mark.parametrize("content", [b"", b"x" * 5000])
def test_a_file_that_is_no_ring_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(CorruptRecordError, match="no ring of this version"):
        RingReader(path)
    with pytest.raises(CorruptRecordError, match="no ring of this version"):
        RingWriter(path, CAPACITY, "s")


def test_rings_have_identities(tmp_path):
    for name in ("a", "b"):
        RingWriter(tmp_path / name, CAPACITY, "s")
    first, again = RingReader(tmp_path / "a"), RingReader(tmp_path / "a")
    assert first.identity == again.identity != RingReader(tmp_path / "b").identity


@pytest.mark.parametrize("acknowledged", [0, 2, 6, 7])
@pytest.mark.parametrize("turns", [0, 5, 9])
def test_a_ring_grows_with_what_was_not_acknowledged_and_keeps_identity_and_count(
    path, turns, acknowledged
):
    writer = RingWriter(path, CAPACITY, "s")
    reader = RingReader(path)
    identity = reader.identity
    # To where the records after these go over its end, and a little further.
    for _ in range(turns):
        writer.append(SCAN, bytes(1000))
        reader.acknowledge(reader.read(1)[0].sequence)
    written = [writer.append(SCAN, bytes([n]) * 900) for n in range(7)]
    assert [r.sequence for r in reader.read(6)] == written[:6]
    if acknowledged == 7:
        reader.read(1)
    reader.acknowledge(([turns, *written])[acknowledged])
    writer.grow(4 * CAPACITY)
    writer.grow(CAPACITY)
    assert writer.capacity == 4 * CAPACITY
    assert writer.append(EVENT, b"new") == turns + 8
    # Another one gets what this one has not acknowledged.
    other = RingReader(path)
    assert [r.sequence for r in other.read(10)] == [*written[acknowledged:], turns + 8]
    assert other.identity == identity
    # This one goes on where it was, on whichever ring.
    found: list[RingRecord] = []
    for _ in range(4):
        found += reader.read(10)
        reader.acknowledge(turns + 7 + (reader.capacity > CAPACITY))
    unread = written[6:] if acknowledged < 7 else []
    assert [r.sequence for r in found] == [*unread, turns + 8]
    assert (reader.identity, reader.capacity) == (identity, 4 * CAPACITY)
    assert RingWriter(path, CAPACITY, "t").sequence == turns + 8
    assert writer.used == 0


def test_a_ring_that_grew_twice_before_the_reader_came_gives_each_record_once(path):
    writer = RingWriter(path, CAPACITY, "s")
    reader = RingReader(path)
    for number in range(3):
        writer.append(EVENT, bytes([number]))
        reader.read(1)
        writer.grow((number + 2) * CAPACITY)
    reader.acknowledge(1)
    found = [record.payload[0] for _ in range(4) for record in reader.read(10)]
    assert found == [1, 2]
    reader.acknowledge(3)
    assert writer.used == 0


def test_a_ring_that_cannot_be_mapped_larger_goes_on_as_it_is(path):
    writer = RingWriter(path, CAPACITY, "s")
    writer.append(EVENT, b"old")
    reader = RingReader(path)
    with (
        mock.patch.object(ring_file, "RingFile", side_effect=OSError(errno.ENOMEM, "none")),
        pytest.raises(OSError, match="none"),
    ):
        writer.grow(4 * CAPACITY)
    assert [file.name for file in path.parent.iterdir()] == ["ring"]
    writer.append(EVENT, b"new")
    assert [r.payload for r in reader.read(10)] == [b"old", b"new"]
    reader.acknowledge(2)
    assert reader.read(10) == []
    assert writer.capacity == reader.capacity == CAPACITY


def test_another_ring_in_the_same_place_is_read_from_its_beginning(path):
    first = RingWriter(path, CAPACITY, "s")
    for _ in range(3):
        first.append(EVENT, b"first")
    reader = RingReader(path)
    reader.acknowledge(reader.read(10)[-1].sequence)
    path.unlink()
    RingWriter(path, CAPACITY, "t").append(EVENT, b"second")
    assert reader.read(10) == []
    assert reader.read(10) == [RingRecord(1, "t", EVENT, b"second")]


def mapped_kib(path):
    """Return how many KiB of a file this process has mapped: as many as it wants, and as many as are there."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    assert any(line.endswith(str(path)) for line in lines), "the file is mapped"
    found = dict(line.split(":", 1) for line in itertools.islice(lines, 4))
    return [int(found[name].split()[0]) for name in ("Size", "Rss")]


def test_every_page_is_there_before_the_first_record_on_both_sides(path):
    writer = RingWriter(path, 1 << 20, "s-1")
    assert mapped_kib(path) == [1028, 1028]
    writer.grow(2 << 20)
    assert mapped_kib(path) == [2052, 2052]
    writer.close()
    reader = RingReader(path)
    assert mapped_kib(path) == [2052, 2052]
    reader.close()


@pytest.mark.parametrize("session", ["", "x" * 37])
def test_a_session_without_a_proper_name_is_refused(path, session):
    with pytest.raises(ValueError, match="a session is 1 to 36"):
        RingWriter(path, CAPACITY, session)


def test_the_ring_holds_fifteen_minutes_within_its_bounds():
    # 900 scans of 208 bytes and 36,000 events of 392.
    assert 14_299_200 <= ring_capacity(small_plant()) < 14_299_200 + 4096
    assert ring_capacity(small_plant(scan_period_ns=10**12)) > ring.CAPACITY_MIN
    many = [parameter(f"a.p{n}", Table.HOLDING, 2 * n) for n in range(1000)]
    at_10_hz = plant(*many, scan_period_ns=100_000_000)
    assert 9000 * 9096 < ring_capacity(at_10_hz) < 9000 * 9096 * 1.2
    assert ring_capacity(plant(*many, scan_period_ns=20_000_000)) == ring.CAPACITY_MAX


def drained(reader):
    """Read and acknowledge to the end: the first read that finds nothing goes on to a larger ring."""
    found = []
    while more := reader.read(3) or reader.read(3):
        reader.acknowledge(more[-1].sequence)
        found += more
    return found


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(0, 1500)),
            st.tuples(st.just("read"), st.integers(1, 8)),
            st.just(("acknowledge",)),
            st.just(("grow",)),
            st.just(("restart writer",)),
            st.just(("restart reader",)),
        ),
        max_size=120,
    )
)
def test_every_record_comes_out_once_acknowledged_in_order(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("ring") / "ring"
    writer, written, acknowledged = RingWriter(path, 4096, "s"), [], []
    reader, pending = RingReader(path), []
    for step in steps:
        match step:
            case ("append", size):
                try:
                    payload = os.urandom(size)
                    written.append((writer.append(SCAN, payload), payload))
                except RingFullError:
                    assert writer.used + size + 80 > writer.capacity - 16
            case ("read", count):
                pending += reader.read(count)
            case ("acknowledge",) if pending:
                reader.acknowledge(pending[-1].sequence)
                acknowledged += pending
                pending = []
            case ("grow",):
                writer.grow(writer.capacity + 4096)
            case ("restart writer",):
                writer = RingWriter(path, 4096, "s")
            case ("restart reader",):
                reader, pending = RingReader(path), []
            case _:
                assert not pending, "only acknowledging needs something read"
    acknowledged += pending
    if pending:
        reader.acknowledge(pending[-1].sequence)
    acknowledged += drained(reader)
    # As the feed does: a new reader of a ring that has grown gets again what was acknowledged to the smaller one.
    once = {record.sequence: record for record in acknowledged}
    assert [(r.sequence, r.payload) for r in once.values()] == written
    sequences = [record.sequence for record in acknowledged]
    assert ("restart reader",) in steps or len(sequences) == len(once)


class KilledError(Exception):
    pass


def test_records_that_belong_together_are_all_published_or_none_wherever_the_kill_hits(path):
    writer = RingWriter(path, CAPACITY, "s")
    payloads = [b"a" * 40, b"b", b"c" * 100]
    writer.append(EVENT, b"before")

    def put(*_):
        raise KilledError

    with mock.patch.object(writer._file, "put", put), pytest.raises(KilledError):
        writer.append_all(EVENT, payloads)
    assert [r.payload for r in RingReader(path).read(10)] == [b"before"]
    # Every byte of them is in place, and only the word that publishes them is missing.
    head = writer._file.head
    assert writer.append_all(EVENT, payloads) == 4
    published = writer._file.head
    writer._file.head = head
    assert [r.payload for r in RingReader(path).read(10)] == [b"before"]
    assert RingWriter(path, CAPACITY, "t").sequence == 1
    writer._file.head = published
    assert [r.sequence for r in RingReader(path).read(10)] == [1, 2, 3, 4]


def test_records_that_belong_together_and_do_not_fit_leave_nothing(path):
    writer = RingWriter(path, CAPACITY, "s")
    with pytest.raises(RefusedError):
        writer.append_all(EVENT, [b"x" * (CAPACITY // 2)] * 2)
    assert writer.append_all(EVENT, [b"x", b"y"]) == 2


def test_a_fast_recipe_writes_no_more_than_the_ring_reckons():
    world = World().ready().start(flow(20.0), purge(300), loop(50, valve("tma", 50), purge(150)))
    begun = world.now
    world.run_until_ended()
    events = [each for each in recorded(world.inputs) if not isinstance(each, Scan)]
    first = next(i for i, each in enumerate(events) if isinstance(each, InputsTaken))
    size = sum(len(encode_event(each)) for each in events[first + 1 :])
    per_s = size / (world.now - begun) * 1e9
    assert per_s < ring._EVENTS_PER_S * ring._EVENT_BYTES
