import struct
import uuid

import numpy as np
import pytest

from ald.records.scan import SIGNALS_MAX
from ald.store import samples
from unit.store.feeds import RUN, SECOND, WALL, scan

FEED = "feed"


def row(position=7, first_id=4096, ids=(1, 2, 3), **changes):
    return samples.ScanRow(
        position=position,
        session="s",
        scan=scan(**changes),
        parameter_ids=np.array(ids, np.int32),
        transaction_id=samples.transaction_id(FEED, position),
        first_id=first_id,
    )


def unpack(block, names):
    """Read a binary COPY the slow way."""
    assert block[:19] == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    at, found = 19, []
    while (fields := struct.unpack_from(">h", block, at)[0]) != -1:
        assert fields == len(names)
        at += 2
        values = {}
        for name in names:
            (length,) = struct.unpack_from(">i", block, at)
            at += 4
            values[name] = None if length < 0 else block[at : at + length]
            at += max(0, length)
        found.append(values)
    assert at + 2 == len(block)
    return found


def test_a_block_holds_every_field_of_every_sample():
    table = samples.rows([row(values=[1.5, 2.0, -3.0], qualities=[2, 1, 2])])
    first, second, third = unpack(samples.block(table, samples.HISTORY), samples.HISTORY)
    assert struct.unpack(">d", first["value"]) == (1.5,)
    assert struct.unpack(">d", third["value"]) == (-3.0,)
    assert [struct.unpack(">q", r["id"])[0] for r in (first, second, third)] == [4096, 4097, 4098]
    assert struct.unpack(">i", second["parameter_id"]) == (2,)
    assert struct.unpack(">h", second["quality"]) == (1,)
    assert struct.unpack(">q", first["feed_position"]) == (7,)
    assert uuid.UUID(bytes=first["transaction_id"]) == samples.transaction_id(FEED, 7)
    microseconds = struct.unpack(">q", first["timestamp"])[0]
    assert microseconds + 946_684_800_000_000 == WALL // 1000


def test_a_value_that_is_no_number_is_null():
    table = samples.rows([row(values=[1.0, float("nan"), 3.0])])
    values = [r["value"] for r in unpack(samples.block(table, samples.HISTORY), samples.HISTORY)]
    assert values == [struct.pack(">d", 1.0), struct.pack(">d", 3.0), None]


def test_an_infinite_value_is_a_value():
    table = samples.rows([row(values=[float("inf"), 0.0, 0.0])])
    first, *_ = unpack(samples.block(table, samples.HISTORY), samples.HISTORY)
    assert struct.unpack(">d", first["value"]) == (float("inf"),)


def test_points_carry_the_run_of_their_scan():
    table = samples.rows([row(), row(position=8, run=RUN)])
    assert table["in_run"].tolist() == [False] * 3 + [True] * 3
    points = unpack(samples.block(table[table["in_run"]], samples.POINTS), samples.POINTS)
    assert {uuid.UUID(bytes=p["process_id"]) for p in points} == {uuid.UUID(RUN)}


def test_no_scan_is_an_empty_block():
    assert unpack(samples.block(samples.rows([]), samples.HISTORY), samples.HISTORY) == []


def test_the_same_record_always_has_the_same_transaction():
    assert samples.transaction_id("a", 1) == samples.transaction_id("a", 1)
    assert samples.transaction_id("a", 1) != samples.transaction_id("a", 2)
    assert samples.transaction_id("a", 1) != samples.transaction_id("b", 1)


def test_the_ids_of_one_scan_fit_into_its_block():
    assert samples.BLOCK_OF_IDS >= SIGNALS_MAX


@pytest.mark.parametrize(("values", "bad"), [([1.0, 2.0], 0), ([float("nan"), 2.0], 1)])
def test_missing_values_are_counted(values, bad):
    assert samples.bad_count(scan(values=values)) == bad


def test_a_rejected_sample_is_readable():
    table = samples.rows([row(values=[42.0, float("nan"), 0.0], run=RUN)])
    first, second = samples.detail(table[0]), samples.detail(table[1])
    assert (first["value"], first["parameter_id"], first["process_id"]) == ("42.0", 1, RUN)
    assert second["value"] is None
    assert first["timestamp_us"] == WALL // 1000
    assert samples.detail(samples.rows([row(wall_ns=SECOND)])[0])["process_id"] is None
