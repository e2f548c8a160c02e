"""The front's journal: a real ring into a real file, killed, damaged, foreign, and its farewell."""

import asyncio
import copy
import os
import signal
import time

import msgspec
import pytest

from ald.gateway.ring import EVENT, SCAN
from ald.kit import tls
from ald.wire import (
    AbortRun,
    FeedBatch,
    ValuesReply,
)
from fixtures.front import GATEWAY
from fixtures.records import plant_loaded, pulse_done, scan_of, session_ended, session_started
from fixtures.wait import eventually
from integration.orders import (
    ABORT,
    PLANT,
    RUN,
    journal_is_ok,
    refusal,
    until,
)

pytestmark = pytest.mark.integration


async def test_the_feed_is_resumed_from_a_position_and_waits_for_more(front):
    front.ring.append(EVENT, session_started("session-a"))
    front.ring.append(SCAN, scan_of(PLANT, 1))
    async with front.client("logger") as logger:
        batch = await logger.feed("?after=0&wait=10")
        if len(batch.records) < 2:
            batch = await logger.feed("?after=0&wait=10")
        assert [(r.position, r.kind) for r in batch.records] == [(1, "event"), (2, "scan")]
        assert batch.records[1].body == scan_of(PLANT, 1)
        waiting = asyncio.ensure_future(logger.feed("?after=2&wait=20"))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        front.ring.append(EVENT, pulse_done())
        assert [r.position for r in (await waiting).records] == [3]
        assert await logger.committed(batch.feed, 3) == 204
        assert (await logger.status()).feed_committed == 3
        assert await logger.committed("another feed", 3) == 409
        assert await logger.committed(batch.feed, 4) == 409
        empty = await logger.feed("?after=3&max=1&wait=0.05")
        assert (empty.records, empty.latest) == ((), 3)
    assert front.metric("ald_feed_position") == 3.0
    assert front.metric("ald_spool_records") == 0.0
    assert front.metric("ald_pulses_total") == 1.0


async def test_values_are_those_of_the_last_scan(front):
    async with front.client("monitor") as monitor:

        async def values():
            body = (await monitor.call("GET", "/v1/values"))[1]
            return msgspec.json.decode(body, type=ValuesReply)

        assert (await values()).sequence == 0
        front.ring.append(EVENT, plant_loaded(PLANT))
        front.ring.append(SCAN, scan_of(PLANT, 41, ended_ns=time.monotonic_ns()))

        async def there():
            return (await values()).sequence == 41

        await until(there)
        reply = await values()
        assert [v.name for v in reply.values][:2] == ["heater.temperature", "gauge.pressure"]
        assert all(v.quality == "good" and 0 <= v.age_ms < 10_000 for v in reply.values)


@pytest.mark.requirement("INT-04")
async def test_a_killed_front_loses_and_doubles_nothing(front):
    written = []
    for life in range(4):
        for number in range(200):
            payload = f"{life}/{number}".encode()
            front.ring.append(EVENT, payload)
            written.append(payload)
        assert front.end(signal.SIGKILL) == -signal.SIGKILL
        front.start()
    async with front.client("logger") as logger:
        got: list[bytes] = []
        while len(got) < len(written):
            batch = await logger.feed(f"?after={len(got)}&wait=10")
            assert [r.position for r in batch.records] == [
                len(got) + n + 1 for n in range(len(batch.records))
            ]
            got += [record.body for record in batch.records]
    assert got == written


@pytest.mark.requirement("INT-03")
def test_the_front_stays_until_the_drivers_last_record(front):
    front.ring.append(EVENT, session_started("session-a"))
    eventually(lambda: front.metric("ald_feed_position") == 1.0, within_s=10)
    os.kill(front.pid, signal.SIGTERM)
    eventually(lambda: '"front_ending"' in front.log, within_s=10)
    assert front.plain("/livez")[0] == 200
    assert front.guard is not None
    assert front.guard.poll() is None
    front.ring.append(EVENT, pulse_done())
    front.ring.append(EVENT, session_ended("session-a"))
    assert front.ended(within_s=10) == 0
    assert front.ring.used == 0


def test_without_a_session_the_front_ends_at_once(front):
    eventually(lambda: front.plain("/readyz")[0] == 200, within_s=10)
    begin = time.monotonic()
    assert front.end() == 0
    assert time.monotonic() - begin < 8


@pytest.mark.requirement("FR-01")
async def test_a_foreign_journal_is_refused_but_an_abort_gets_through(idle_front):
    front = idle_front
    front.environment = {"ALD_MACHINE": "reactor-9"}
    front.authority.issue(front.directory / "tls", tls.gateway_uri("test", "lab", "reactor-9"))
    front.start()
    eventually(lambda: front.plain("/readyz")[0] == 200, within_s=10)
    front.end()
    front.environment = {}
    front.authority.issue(front.directory / "tls", GATEWAY)
    front.start()
    eventually(lambda: "reactor-9" in front.plain("/readyz")[1], within_s=10)
    assert front.plain("/readyz")[0] == 503
    assert front.plain("/livez")[0] == 200
    assert front.metric("ald_journal_ok") == 0.0
    async with front.client("operator") as operator:
        status = await operator.status()
        assert not status.journal_ok
        assert "holds the journal of machine test/lab/reactor-9" in status.journal_message
        code, body = await operator.call("POST", "/v1/runs", RUN)
        assert (code, refusal(body).reason) == (503, "JournalUnwritable")
        code, _ = await operator.call("POST", "/v1/runs/uid-1/abort", ABORT)
        assert code == 200
    assert front.driver.orders() == [AbortRun(uid="uid-1", order=ABORT)]
    assert front.end(signal.SIGKILL)


async def test_a_damaged_journal_is_said_and_left_alone(idle_front):
    path = idle_front.directory / "state" / "feed.db"
    path.write_bytes(b"no database" * 1000)
    idle_front.start()
    eventually(lambda: "is damaged" in idle_front.plain("/readyz")[1], within_s=10)
    async with idle_front.client("logger") as logger:
        code, body = await logger.call("GET", "/v1/feed")
    assert (code, refusal(body).reason) == (503, "JournalUnwritable")
    assert path.read_bytes() == b"no database" * 1000


def test_metrics_show_what_the_driver_counts(front):
    eventually(lambda: front.metric("ald_journal_ok") == 1.0, within_s=10)
    eventually(lambda: front.metric("ald_driver_up") == 1.0, within_s=10)
    expected = {
        "ald_scans_total": 10,
        "ald_scans_late_total": 5,
        "ald_scans_missed_total": 6,
        "ald_scan_gaps_total": 4,
        "ald_signals_bad": 7,
        "ald_signals_refused": 8,
        "ald_plc_connected": 1,
        "ald_plc_requests_total": 1,
        "ald_plc_timeouts_total": 2,
        "ald_plc_reconnects_total": 3,
        "ald_plc_worst_valve_wait_seconds": 0.004,
        "ald_plc_desyncs_total": 5,
        "ald_plc_exceptions_total": 6,
        "ald_plc_failed_connects_total": 7,
        "ald_plc_held_back": 1,
        'ald_plc_failures_total{lane="scan",outcome="timed-out"}': 8,
        'ald_plc_io_seconds_bucket{le="0.001",request="read holding 0+4"}': 1,
        'ald_plc_io_seconds_bucket{le="0.002",request="read holding 0+4"}': 3,
        'ald_plc_io_seconds_bucket{le="+Inf",request="read holding 0+4"}': 6,
        'ald_plc_io_seconds_sum{request="read holding 0+4"}': 0.04,
        "ald_journal_ok": 1,
        "ald_feed_committed": 0,
        "ald_spool_lost_scans_total": 0,
    }
    assert {name: front.metric(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("ALD_FEED_KEEP", "soon", "ALD_FEED_KEEP"),
        ("ALD_HTTPS_PORT", "70000", "ALD_HTTPS_PORT"),
        ("ALD_TLS_DIR", "/nowhere", "/nowhere/tls.crt"),
        ("ALD_UNKNOWN", "1", "ALD_UNKNOWN"),
    ],
)
def test_settings_that_cannot_be_are_told_in_plain_words(idle_front, variable, value, says):
    idle_front.environment = {variable: value}
    with pytest.raises(pytest.fail.Exception, match=says):
        idle_front.start()
    assert "Traceback" not in idle_front.log


@pytest.mark.requirement("INT-19")
def test_a_second_front_waits_for_the_first_and_takes_over(front):
    eventually(lambda: front.plain("/readyz")[0] == 200, within_s=10)
    first, first_port = copy.copy(front), front.plain_port
    front.start()
    eventually(lambda: "is held by" in front.plain("/readyz")[1], within_s=10)
    assert front.plain_port != first_port
    first.end(signal.SIGKILL)
    eventually(lambda: front.plain("/readyz")[0] == 200, within_s=10)


async def test_a_batch_says_which_feed_it_is_of(front):
    async with front.client("logger") as logger:
        await until(lambda: journal_is_ok(logger))
        batch: FeedBatch = await logger.feed()
        assert batch.feed == (await logger.status()).feed != ""
