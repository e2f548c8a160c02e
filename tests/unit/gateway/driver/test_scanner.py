"""Scans on an absolute grid."""

import struct

import pytest

from ald.errors import LinkDownError, ModbusExceptionError
from ald.gateway.driver.scanner import Scanner
from ald.plant.model import Table, digest, signals
from ald.plc.link import Completion, Lane
from ald.plc.request import ReadBits
from ald.records.scan import Quality
from fixtures.plants import plant
from unit.engine.programs import PLANT

MS = 1_000_000
PERIOD = 100 * MS
UID = "0f8fad5b-d9cb-469f-a165-70867728950e"


class Link:
    """Keeps what is asked until `answer` is called."""

    def __init__(self):
        self.connected = True
        self.asked = []

    def submit(self, lane, request, token, now_ns):
        assert lane is Lane.SCAN
        self.asked.append((request, token, now_ns))

    def answer(self, scanner, sent_ns, now_ns, *, error=None, only=None, run=UID):
        """Complete all that was asked; return the scan, if one came of it."""
        asked, self.asked = self.asked, []
        scan = None
        for index, (request, token, _) in enumerate(asked):
            failed = error if only in (None, index) else None
            acked = now_ns if not isinstance(failed, LinkDownError) else 0
            assert scanner.owns(token)
            scan = scanner.completed(
                Completion(
                    token=token,
                    ok=failed is None,
                    error=failed,
                    data=b"" if failed else self._data(request),
                    sent_ns=sent_ns,
                    acked_ns=acked,
                    unknown=False,
                ),
                self,
                run=run,
                now_ns=now_ns,
                wall_ns=now_ns + 7,
            )
        return scan

    def _data(self, request):
        if isinstance(request, ReadBits):
            return bytes((request.count + 7) // 8)
        # 100.0 in word order CDAB, again and again.
        return (struct.pack(">HH", 0, 0x42C8) * request.count)[: 2 * request.count]


def begun(one, link, now_ns=0):
    one.begin(link, now_ns)


def scanner(now_ns=0):
    return Scanner(PLANT, digest(PLANT), -2, now_ns)


def test_a_scan_holds_every_signal_with_its_times_and_its_run():
    one, link = scanner(), Link()
    one.begin(link, 5 * MS)
    scan = link.answer(one, 6 * MS, 9 * MS)
    assert scan is not None
    assert (scan.sequence, scan.started_ns, scan.ended_ns, scan.late_ns) == (
        1,
        6 * MS,
        9 * MS,
        6 * MS,
    )
    assert (scan.run, scan.wall_ns, scan.count) == (UID, 9 * MS + 7, len(signals(PLANT)))
    assert struct.unpack_from("<d", scan.values)[0] == 100.0
    assert one.bad_signals == 0


def test_a_scan_is_as_old_as_its_first_request_in_whatever_order_answers_come():
    one, link = scanner(), Link()
    one.begin(link, 0)
    asked, link.asked = link.asked, []
    assert len(asked) > 1
    scan = None
    for sent_ms, each in reversed(list(enumerate(asked, start=3))):
        link.asked = [each]
        scan = link.answer(one, sent_ms * MS, 20 * MS)
    assert scan is not None
    assert (scan.started_ns, scan.late_ns) == (3 * MS, 3 * MS)


def test_the_grid_does_not_drift_when_scans_are_late():
    one, link = scanner(), Link()
    begun = []
    for now in range(0, 2000 * MS, 7 * MS):
        one.begin(link, now)
        if link.asked:
            begun.append(now)
            link.answer(one, now, now + 3 * MS)
    assert len(begun) == 20
    assert all(now - n * PERIOD < 7 * MS for n, now in enumerate(begun))
    assert one.missed == 0


def test_places_on_the_grid_that_pass_unused_are_counted():
    one, link = scanner(), Link()
    one.begin(link, 0)
    one.begin(link, 350 * MS)
    assert one.missed == 3
    link.answer(one, 1, 360 * MS)
    one.begin(link, 400 * MS)
    assert one.sequence == 1
    assert one.wake_ns == 500 * MS


def test_a_late_scan_is_counted_and_carries_by_how_much():
    one, link = scanner(), Link()
    one.begin(link, 0)
    scan = link.answer(one, 60 * MS, 70 * MS)
    assert scan is not None
    assert (one.late, scan.late_ns) == (1, 60 * MS)


def test_a_block_that_fails_is_bad_and_the_rest_is_good():
    one, link = scanner(), Link()
    one.begin(link, 0)
    failed = ModbusExceptionError(3, 4, "device failure")
    scan = link.answer(one, 1, 2, error=failed, only=0)
    assert scan is not None
    assert 0 < one.bad_signals < scan.count
    assert set(scan.qualities) == {Quality.GOOD, Quality.BAD}
    assert link.asked == []


@pytest.mark.requirement("FI-PF-03")
def test_a_refused_address_costs_only_its_own_signal_and_is_named():
    one, link = scanner(), Link()
    refused = ModbusExceptionError(3, 2, "no such address")
    scan = None
    one.begin(link, 0)
    while link.asked:
        asked = link.asked[0][0]
        is_there = asked.table is Table.HOLDING and asked.address == 0
        link.asked, later = link.asked[:1], link.asked[1:]
        scan = link.answer(one, 1, 2, error=refused if is_there else None)
        link.asked += later
    assert scan is not None
    marks = dict(zip([s.name for s in signals(PLANT)], scan.qualities, strict=True))
    assert [name for name, mark in marks.items() if mark != Quality.GOOD] == ["heater.setpoint"]
    assert (one.refused, one.refusals) == (1, "holding 0 to 1 (heater.setpoint)")
    one.reconnected()
    assert (one.refused, one.refusals) == (0, "")


def test_a_scan_that_the_link_lost_is_missed_and_the_next_one_begins():
    one, link = scanner(), Link()
    one.begin(link, 0)
    assert link.answer(one, 1, 2, error=LinkDownError("gone")) is None
    assert (one.missed, one.sequence) == (1, 0)
    link.connected = False
    one.begin(link, PERIOD)
    assert one.missed == 2
    link.connected = True
    one.begin(link, 2 * PERIOD)
    assert link.answer(one, 1, 2 * PERIOD + 1) is not None


def test_a_plant_without_signals_asks_for_nothing():
    empty = plant()
    one = Scanner(empty, digest(empty), -2, 0)
    link = Link()
    begun(one, link)
    assert link.asked == []
    assert one.wake_ns > 0


def test_the_scanner_of_the_next_plant_counts_on():
    old, link = scanner(), Link()
    old.begin(link, 0)
    assert link.answer(old, 1, 60 * MS) is not None
    new = scanner(100 * MS)
    new.follow(old)
    new.begin(link, 100 * MS)
    scan = link.answer(new, 101 * MS, 102 * MS)
    assert scan is not None
    assert scan.sequence == 2


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_scan_begun_on_a_connection_that_is_gone_is_missed_whatever_has_come_of_it(is_lost):
    one, link = scanner(), Link()
    one.begin(link, 0)
    if is_lost:
        one.disconnected()
    assert (link.answer(one, 1, 2) is None) is is_lost
    assert (one.missed, one.sequence) == ((1, 0) if is_lost else (0, 1))
    one.begin(link, PERIOD)
    assert link.answer(one, PERIOD, PERIOD + 1) is not None
