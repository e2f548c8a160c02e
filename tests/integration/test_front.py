"""The front as a process: real TLS, a real ring, and a driver that the test plays."""

import asyncio
import contextlib
import signal
import socket
import ssl
import time

import aiohttp
import msgspec
import pytest

from ald.gateway.ring import EVENT, SCAN
from ald.kit import tls
from ald.plant.model import digest
from ald.program import model as program_model
from ald.program.model import Estimate, Program, Pulse
from ald.records.event import RunIdentity
from ald.wire import (
    PROTOCOL,
    AbortOrder,
    AbortRun,
    Clear,
    ClearOrder,
    ErrorReply,
    FeedBatch,
    LoadPlant,
    PlantPush,
    RunOrder,
    StartRun,
    ValuesReply,
)
from fixtures.certificates import Authority
from fixtures.driver import IDLE
from fixtures.front import GATEWAY, OWNER
from fixtures.plants import small_plant
from fixtures.records import plant_loaded, pulse_done, scan_of, session_ended, session_started
from fixtures.wait import POLL_INTERVAL_S, eventually

pytestmark = pytest.mark.integration

PLANT = small_plant()
PUSH = PlantPush(protocol=PROTOCOL, plant=PLANT, digest=digest(PLANT))
PROGRAM = Program(
    recipe="al2o3",
    recipe_uid="recipe-uid",
    recipe_generation=1,
    plant_digest=digest(PLANT),
    inputs={"cycles": 3, "scale": 2.0, "dose": "40ms", "fast": True},
    instructions=(Pulse(path="spec.steps[0]", name="tma", valve="tma", open_ns=40_000_000),),
    cleanup=1,
    estimate=Estimate(leaves=1, minimum_ns=40_000_000, maximum_ns=40_000_000, openings={"tma": 1}),
    separations=(),
)
RUN = RunOrder(
    protocol=PROTOCOL,
    run=RunIdentity(namespace="lab", name="run-1", uid="uid-1"),
    recipe_source="{}",
    program=PROGRAM,
    program_digest=program_model.digest(PROGRAM),
)
ABORT = AbortOrder(reason="looks wrong", by="me")


def refusal(body):
    return msgspec.json.decode(body, type=ErrorReply)


async def until(fact, within_s=10.0):
    deadline = time.monotonic() + within_s
    while not await fact():
        assert time.monotonic() < deadline, f"still not so after {within_s} s: {fact}"
        await asyncio.sleep(POLL_INTERVAL_S)


async def test_orders_reach_the_driver_and_its_status_comes_back(front):
    async with front.client("operator") as operator:
        clear = ClearOrder(by="me", comment="seen")
        orders: list[tuple[str, str, object, object]] = [
            ("PUT", "/v1/plant", PUSH, LoadPlant(push=PUSH, confirmed=True)),
            ("POST", "/v1/runs", RUN, StartRun(order=RUN)),
            ("POST", "/v1/runs/uid-1/abort", ABORT, AbortRun(uid="uid-1", order=ABORT)),
            ("POST", "/v1/clear", clear, Clear(order=clear)),
        ]
        await until(lambda: journal_is_ok(operator))
        for method, path, body, expected in orders:
            code, reply = await operator.call(method, path, body)
            assert code == 200, reply
            assert front.driver.orders()[-1] == expected
        status = await operator.status()
        assert (status.protocol, status.driver) == (PROTOCOL, IDLE)


async def journal_is_ok(client):
    return (await client.status()).journal_ok


async def test_a_refusal_of_the_driver_is_handed_on(front):
    front.driver.error = ErrorReply(reason="Busy", message="a run is on", violations=("x",))
    async with front.client("operator") as operator:
        code, body = await operator.call("PUT", "/v1/plant", PUSH)
    assert (code, refusal(body)) == (409, front.driver.error)


@pytest.mark.requirement("SEC-01")
@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("operator", {"plant", "runs", "abort", "clear", "status", "values"}),
        ("monitor", {"status", "values"}),
        ("logger", {"status", "feed", "committed"}),
    ],
)
async def test_a_role_may_do_what_is_its_own_and_nothing_else(front, role, allowed):
    requests = {
        "plant": ("PUT", "/v1/plant"),
        "runs": ("POST", "/v1/runs"),
        "abort": ("POST", "/v1/runs/u/abort"),
        "clear": ("POST", "/v1/clear"),
        "status": ("GET", "/v1/status"),
        "values": ("GET", "/v1/values"),
        "feed": ("GET", "/v1/feed"),
        "committed": ("POST", "/v1/feed/committed"),
    }
    async with front.client(role) as client:
        codes = {
            name: (await client.call(method, path, b"{}" if method != "GET" else None))[0]
            for name, (method, path) in requests.items()
        }
    assert {name for name, code in codes.items() if code != 403} == allowed
    assert not front.driver.orders()
    counted = (
        front.metric('ald_front_requests_total{route="/v1/plant",status="403"}')
        if ("plant" not in allowed)
        else 1.0
    )
    assert counted == 1.0


@pytest.mark.requirement("SEC-01")
@pytest.mark.parametrize(
    "uris",
    [["ald://other/operator"], [GATEWAY], [], ["ald://test/operator", "ald://test/logger"]],
)
async def test_a_certificate_without_exactly_one_role_may_do_nothing(front, uris):
    context = front.credentials(*uris).client_context(GATEWAY)
    connector = aiohttp.TCPConnector(ssl=context)
    url = f"https://127.0.0.1:{front.https_port}/v1/status"
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as reply:
        assert reply.status == 403
        assert refusal(await reply.read()).reason == "Forbidden"


def handshake(front, context):
    with (
        socket.create_connection(("127.0.0.1", front.https_port), timeout=10) as raw,
        context.wrap_socket(raw) as wrapped,
    ):
        # In TLS 1.3 the server's refusal arrives after the client believes to be done.
        wrapped.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        return wrapped.recv(1)


@pytest.mark.requirement("SEC-01")
@pytest.mark.parametrize("kind", ["none", "foreign", "expired"])
def test_no_foreign_or_expired_certificate_gets_through_the_handshake(front, tmp_path, kind):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if kind != "none":
        authority = Authority() if kind == "foreign" else front.authority
        lifetime_s = -1 if kind == "expired" else 3600
        uri = tls.client_uri(OWNER.installation, "operator")
        leaf = authority.issue(tmp_path / kind, uri, lifetime_s=lifetime_s)
        context.load_cert_chain(leaf / "tls.crt", leaf / "tls.key")
    with contextlib.suppress(ssl.SSLError, ConnectionResetError):
        assert handshake(front, context) == b"", "an answer came instead of a hang-up"
    eventually(lambda: front.metric("ald_front_handshakes_refused_total") == 1.0, within_s=10)


def test_plain_http_and_old_tls_are_refused(front):
    with socket.create_connection(("127.0.0.1", front.https_port), timeout=10) as raw:
        raw.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert not raw.recv(1000).startswith(b"HTTP")
    eventually(lambda: front.metric("ald_front_handshakes_refused_total") == 1.0, within_s=10)


@pytest.mark.requirement("SEC-01")
async def test_certificates_are_renewed_without_a_restart(front):
    following = Authority()
    old = front.authority
    async with front.client("operator") as operator:
        await operator.status()
    following.issue(front.directory / "tls", GATEWAY, lifetime_s=60)
    front.authority = following

    async def taken_over():
        async with front.client("operator") as operator:
            try:
                return (await operator.status()).protocol == PROTOCOL
            except aiohttp.ClientError:
                return False

    await until(taken_over, within_s=tls.REFRESH_S + 5)
    front.authority = old
    async with front.client("operator") as left_behind:
        with pytest.raises(aiohttp.ClientError):
            await left_behind.status()


def changed(body, **fields):
    return msgspec.structs.replace(body, **fields)


OTHER_IDENTITY = changed(PLANT, identity=changed(PLANT.identity, uid="other"))


@pytest.mark.requirement("SEC-02")
@pytest.mark.parametrize(
    ("method", "path", "body", "code", "reason", "says"),
    [
        ("PUT", "/v1/plant", b"{", 400, "InvalidInput", "$"),
        ("PUT", "/v1/plant", b'{"protocol": "a"}', 400, "InvalidInput", "$.protocol"),
        ("PUT", "/v1/plant", b" " * (8 * 1024 * 1024 + 1), 413, "RequestEntityTooLarge", ""),
        ("PUT", "/v1/plant", changed(PUSH, protocol=2), 400, "InvalidInput", "$.protocol"),
        ("PUT", "/v1/plant", changed(PUSH, digest="0"), 400, "InvalidInput", "$.digest"),
        ("PUT", "/v1/plant", changed(PUSH, plant=OTHER_IDENTITY), 409, "ForeignMachine", ""),
        ("POST", "/v1/runs", changed(RUN, protocol=0), 400, "InvalidInput", "$.protocol"),
        ("POST", "/v1/runs", changed(RUN, program_digest="0"), 400, "InvalidInput", "$.program"),
        (
            "POST",
            "/v1/runs",
            changed(RUN, run=changed(RUN.run, namespace="other")),
            409,
            "ForeignMachine",
            "",
        ),
        (
            "POST",
            "/v1/clear",
            b'{"by": "", "comment": "", "more": 1}',
            400,
            "InvalidInput",
            "$.more",
        ),
        ("GET", "/v1/status?seen=-1", None, 400, "InvalidInput", "query.seen"),
        ("GET", "/v1/status?wait=soon", None, 400, "InvalidInput", "query.wait"),
        ("GET", "/v1/status?wait=nan", None, 400, "InvalidInput", "query.wait"),
        ("GET", "/v2/status", None, 404, "NotFound", ""),
        ("DELETE", "/v1/plant", None, 405, "MethodNotAllowed", ""),
        ("HEAD", "/v1/status", None, 405, None, ""),
    ],
)
async def test_what_cannot_be_taken_is_refused_in_plain_words(
    front, method, path, body, code, reason, says
):
    async with front.client("operator") as operator:
        got, reply = await operator.call(method, path, body)
        assert got == code, reply
        if reason is not None:
            assert refusal(reply).reason == reason
            assert all(v.startswith(says) for v in refusal(reply).violations)
            assert bool(says) == bool(refusal(reply).violations)
        await operator.status()
    assert not front.driver.orders()


async def test_a_silent_driver_is_a_503_in_time_and_shows_in_the_status(front):
    front.driver.silent = True
    async with front.client("operator") as operator:
        begin = time.monotonic()
        code, body = await operator.call("POST", "/v1/runs/u/abort", ABORT)
        assert time.monotonic() - begin < 4
        assert (code, refusal(body).reason) == (503, "DriverAway")
        await until(lambda: driver_is(operator, up=False))
        assert front.metric("ald_driver_up") == 0.0
        front.driver.silent = False
        await until(lambda: driver_is(operator, up=True))


async def driver_is(client, *, up):
    return ((await client.status()).driver is not None) == up


@pytest.mark.requirement("INT-19")
async def test_who_holds_the_machine_instead_of_our_driver_is_said(front):
    front.driver.close()
    (front.directory / "state" / "holder").write_text("gateway-of-another-node/17")
    async with front.client("operator") as operator:

        async def waiting():
            return (await operator.status()).waiting_for == "gateway-of-another-node/17"

        await until(waiting)


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


async def test_a_status_is_waited_for_until_it_changes(front):
    async with front.client("operator") as operator:
        await until(lambda: journal_is_ok(operator))
        await until(lambda: driver_is(operator, up=True))
        seen = (await operator.status()).revision
        waiting = asyncio.ensure_future(operator.status(f"?seen={seen}&wait=20"))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        front.driver.status = changed(IDLE, plant_confirmed=False)
        assert (await waiting).revision > seen


async def test_long_polls_are_bounded(front):
    async with front.client("monitor") as monitor:
        await until(lambda: driver_is(monitor, up=True))
        await until(lambda: journal_is_ok(monitor))
        seen = (await monitor.status()).revision
        async with asyncio.TaskGroup() as group:
            polls = [
                group.create_task(monitor.call("GET", f"/v1/status?seen={seen}&wait=2"))
                for _ in range(40)
            ]
    codes = [poll.result()[0] for poll in polls]
    assert (codes.count(200), codes.count(429)) == (32, 8)


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
    assert front.process is not None
    front.process.send_signal(signal.SIGTERM)
    eventually(lambda: '"front_ending"' in front.log, within_s=10)
    assert front.plain("/livez")[0] == 200
    assert front.process.poll() is None
    front.ring.append(EVENT, pulse_done())
    front.ring.append(EVENT, session_ended("session-a"))
    assert front.process.wait(10) == 0
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
        "ald_signals_bad": 7,
        "ald_plc_connected": 1,
        "ald_plc_requests_total": 1,
        "ald_plc_timeouts_total": 2,
        "ald_plc_reconnects_total": 3,
        "ald_plc_worst_valve_wait_seconds": 0.004,
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
    first, first_port = front.process, front.plain_port
    assert first is not None
    front.start()
    eventually(lambda: "is held by" in front.plain("/readyz")[1], within_s=10)
    assert front.plain_port != first_port
    first.kill()
    first.wait(10)
    eventually(lambda: front.plain("/readyz")[0] == 200, within_s=10)


async def test_a_batch_says_which_feed_it_is_of(front):
    async with front.client("logger") as logger:
        await until(lambda: journal_is_ok(logger))
        batch: FeedBatch = await logger.feed()
        assert batch.feed == (await logger.status()).feed != ""
