"""Events before scans when the ring fills."""

import errno
import io
import os
from unittest import mock

from ald.engine.inputs import Scanned
from ald.gateway.driver.recorder import Recorder
from ald.gateway.ring import CAPACITY_MIN, SCAN, RingReader, RingWriter
from ald.kit.lines import Lines
from ald.records.event import ClockStepped, SessionEnded
from ald.records.scan import decode_scan
from unit.engine.programs import MS, S
from unit.engine.world import World

EVENT = ClockStepped(at_ns=1, wall_ns=2, step_ns=3)


def made(tmp_path):
    ring = RingWriter(tmp_path / "ring", CAPACITY_MIN, "s")
    log = io.StringIO()
    return Recorder(ring, Lines(stream=log)), log


def a_scan():
    world = World().ready()
    world.run_for(1 * S)
    scan = [i for i in world.inputs if isinstance(i, Scanned)][-1].scan
    assert scan.ended_ns > MS
    return scan


def fill(recorder):
    """Add scans until the recorder sees that there is no more room for them."""
    scan = a_scan()
    while recorder.has_room:
        for _ in range(1000):
            recorder.scan(scan)
        recorder.check_room(may_grow=False)


def test_what_is_recorded_comes_out_of_the_ring_in_order(tmp_path):
    recorder, _ = made(tmp_path)
    scan = a_scan()
    assert recorder.scan(scan)
    assert recorder.events([EVENT])
    assert recorder.last_record == 2
    records = RingReader(tmp_path / "ring").read(10)
    assert records[0].kind == SCAN
    assert decode_scan(records[0].payload) == scan


def test_a_ring_that_fills_drops_scans_and_keeps_room_for_events(tmp_path):
    recorder, _ = made(tmp_path)
    fill(recorder)
    dropped = recorder.dropped_scans
    recorder.scan(a_scan())
    assert not recorder.scan(a_scan())
    assert recorder.dropped_scans == dropped + 2
    assert all(recorder.events([EVENT]) for _ in range(1000))


def test_room_is_back_only_when_the_reader_has_come_well_ahead(tmp_path):
    recorder, _ = made(tmp_path)
    fill(recorder)
    reader = RingReader(tmp_path / "ring")
    records = reader.read(1_000_000)
    reader.acknowledge(records[len(records) // 8].sequence)
    assert not recorder.check_room(may_grow=False)
    assert not recorder.has_room
    reader.acknowledge(records[-1].sequence)
    assert recorder.check_room(may_grow=False)
    assert recorder.has_room


def test_an_event_without_room_is_logged_and_told(tmp_path):
    recorder, log = made(tmp_path)
    while recorder.events([EVENT]):
        pass
    assert "events_lost" in log.getvalue()
    assert not recorder.events([EVENT])


def test_the_ring_grows_only_when_it_may_whoever_has_read_it(tmp_path):
    recorder, _ = made(tmp_path)
    recorder.grow(2 * CAPACITY_MIN)
    recorder.events([EVENT])
    recorder.check_room(may_grow=False)
    assert (tmp_path / "ring").stat().st_size < 2 * CAPACITY_MIN
    recorder.check_room(may_grow=True)
    assert (tmp_path / "ring").stat().st_size > 2 * CAPACITY_MIN
    assert len(RingReader(tmp_path / "ring").read(10)) == 1


def test_a_volume_too_small_for_the_wanted_ring_leaves_the_old_one_at_work(tmp_path):
    recorder, log = made(tmp_path)
    recorder.grow(2 * CAPACITY_MIN)
    full = OSError(errno.ENOSPC, "No space left on device")
    with mock.patch.object(os, "posix_fallocate", side_effect=full):
        assert not recorder.check_room(may_grow=True)
    assert recorder.events([EVENT])
    assert "ring_too_small" in log.getvalue()


def test_a_large_record_is_known_beforehand_not_to_fit(tmp_path):
    recorder, _ = made(tmp_path)
    assert recorder.has_room_for(CAPACITY_MIN // 2)
    assert not recorder.has_room_for(CAPACITY_MIN)


def test_the_events_of_one_step_find_room_together_or_not_at_all(tmp_path):
    recorder, _ = made(tmp_path)
    large = SessionEnded(at_ns=1, wall_ns=2, session="s", reason="x" * (CAPACITY_MIN // 2))
    assert not recorder.events([EVENT, large, large])
    assert recorder.last_record == 0
    assert recorder.events([EVENT, large])
    assert not recorder.events([EVENT, large])
    assert recorder.last_record == 2
