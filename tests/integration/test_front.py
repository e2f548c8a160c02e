"""The front's commands: who may ask what, over real TLS, with a driver that the test plays."""

import asyncio
import contextlib
import random
import socket
import ssl
import time

import aiohttp
import msgspec
import pytest

from ald.kit import tls
from ald.wire import (
    PROTOCOL,
    AbortRun,
    Clear,
    ClearOrder,
    Confirm,
    DirectRun,
    ErrorReply,
    GoSafe,
    LoadPlant,
    StartRun,
)
from fixtures.certificates import Authority
from fixtures.driver import IDLE
from fixtures.front import GATEWAY, OWNER, Client
from fixtures.wait import eventually
from integration.orders import (
    ABORT,
    CONFIRM,
    PLANT,
    PUSH,
    RUN,
    SAFE,
    STOP,
    driver_is,
    journal_is_ok,
    refusal,
    until,
)

pytestmark = pytest.mark.integration


async def test_orders_reach_the_driver_and_its_status_comes_back(front):
    async with front.client("operator") as operator:
        clear = ClearOrder(by="me", comment="seen")
        orders: list[tuple[str, str, object, object]] = [
            ("PUT", "/v1/plant", PUSH, LoadPlant(push=PUSH, confirmed=True)),
            ("POST", "/v1/runs", RUN, StartRun(order=RUN)),
            ("POST", "/v1/runs/uid-1/abort", ABORT, AbortRun(uid="uid-1", order=ABORT)),
            ("POST", "/v1/stop", ABORT, AbortRun(uid="", order=ABORT)),
            ("POST", "/v1/runs/uid-1/action", STOP, DirectRun(uid="uid-1", order=STOP)),
            ("POST", "/v1/clear", clear, Clear(order=clear)),
            ("POST", "/v1/safe-state", SAFE, GoSafe(order=SAFE)),
            ("POST", "/v1/confirm", CONFIRM, Confirm(order=CONFIRM)),
        ]
        await until(lambda: journal_is_ok(operator))
        for method, path, body, expected in orders:
            code, reply = await operator.call(method, path, body)
            assert code == 200, reply
            assert front.driver.orders()[-1] == expected
        status = await operator.status()
        assert (status.protocol, status.driver) == (PROTOCOL, IDLE)


async def test_an_order_to_start_that_comes_after_the_abort_starts_nothing(front):
    async with front.client("operator") as operator:
        await until(lambda: journal_is_ok(operator))
        code, _ = await operator.call("POST", f"/v1/runs/{RUN.run.uid}/abort", ABORT)
        assert code == 200
        code, body = await operator.call("POST", "/v1/runs", RUN)
        assert (code, refusal(body).reason) == (409, "Aborted")
        assert front.driver.orders()[-1] == AbortRun(uid=RUN.run.uid, order=ABORT)


async def test_a_refusal_of_the_driver_is_handed_on(front):
    front.driver.error = ErrorReply(reason="Busy", message="a run is on", violations=("x",))
    async with front.client("operator") as operator:
        code, body = await operator.call("PUT", "/v1/plant", PUSH)
    assert (code, refusal(body)) == (409, front.driver.error)


@pytest.mark.requirement("SEC-01")
@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (
            "operator",
            {
                "plant",
                "runs",
                "abort",
                "stop",
                "action",
                "clear",
                "confirm",
                "safe-state",
                "status",
                "values",
            },
        ),
        ("monitor", {"status", "values"}),
        ("logger", {"status", "feed", "committed"}),
        ("stop", {"stop", "status"}),
    ],
)
async def test_a_role_may_do_what_is_its_own_and_nothing_else(front, role, allowed):
    requests = {
        "plant": ("PUT", "/v1/plant"),
        "runs": ("POST", "/v1/runs"),
        "abort": ("POST", "/v1/runs/u/abort"),
        "stop": ("POST", "/v1/stop"),
        "action": ("POST", "/v1/runs/u/action"),
        "clear": ("POST", "/v1/clear"),
        "confirm": ("POST", "/v1/confirm"),
        "safe-state": ("POST", "/v1/safe-state"),
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
    # What makes safe is done whatever is said with it; nothing else is.
    made_safe = {"abort", "stop", "safe-state"} & allowed
    assert len(front.driver.orders()) == len(made_safe)
    assert all(isinstance(order, AbortRun | GoSafe) for order in front.driver.orders())
    counted = (
        front.metric('ald_front_requests_total{route="/v1/plant",status="403"}')
        if ("plant" not in allowed)
        else 1.0
    )
    assert counted == 1.0


@pytest.mark.requirement("SEC-01")
@pytest.mark.parametrize(
    "uris",
    [
        ["ald://other/operator"],
        [GATEWAY + "-2"],
        [GATEWAY, GATEWAY + "-2"],
        [],
        ["ald://test/operator", "ald://test/logger"],
    ],
)
async def test_a_certificate_without_exactly_one_role_may_do_nothing(front, uris):
    context = front.credentials(*uris).client_context(GATEWAY)
    connector = aiohttp.TCPConnector(ssl=context)
    url = f"https://127.0.0.1:{front.https_port}/v1/status"
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as reply:
        assert reply.status == 403
        assert refusal(await reply.read()).reason == "Forbidden"


@pytest.mark.requirement("SEC-01")
async def test_the_gateways_own_certificate_may_look_and_nothing_else(front):
    context = front.credentials(GATEWAY).client_context(GATEWAY)
    connector = aiohttp.TCPConnector(ssl=context)
    base = f"https://127.0.0.1:{front.https_port}"
    requests = {
        "/v1/status": "GET",
        "/v1/values": "GET",
        "/v1/feed": "GET",
        "/v1/clear": "POST",
        "/v1/feed/committed": "POST",
    }
    async with aiohttp.ClientSession(base, connector=connector) as session:
        codes = {}
        for path, method in requests.items():
            async with session.request(method, path) as reply:
                codes[path] = reply.status
    assert codes == {
        "/v1/status": 200,
        "/v1/values": 200,
        "/v1/feed": 200,
        "/v1/clear": 403,
        "/v1/feed/committed": 403,
    }


@pytest.mark.requirement("SEC-01")
async def test_its_own_certificate_may_look_and_nothing_else(front):
    context = front.credentials(GATEWAY).client_context(GATEWAY)
    base = f"https://127.0.0.1:{front.https_port}"
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(base, connector=connector) as session:
        client = Client(session)
        for path in ("/v1/status", "/v1/values", "/v1/feed"):
            assert (await client.call("GET", path))[0] == 200
        for path in ("/v1/runs/u/abort", "/v1/feed/committed"):
            assert (await client.call("POST", path))[0] == 403


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


@pytest.mark.requirement("SEC-02")
async def test_nonsense_is_never_an_error_of_ours_and_moves_nothing(front):
    chance = random.Random(11)
    good = [msgspec.json.encode(body) for body in (PUSH, RUN, ABORT)]
    routes = [
        "/v1/plant", "/v1/runs", "/v1/runs/%00/abort", "/v1/runs/%00/action", "/v1/clear", "/v1/feed/committed",
    ]  # fmt: skip
    async with front.client("operator") as operator:
        for turn in range(300):
            body = bytearray(chance.choice(good))
            for _ in range(chance.randrange(1, 8)):
                body[chance.randrange(len(body))] = chance.randrange(256)
            path = routes[turn % len(routes)]
            code, reply = await operator.call(
                "PUT" if "plant" in path else "POST", path, bytes(body)
            )
            assert code in (200, 400, 403, 409), reply
            assert code == 200 or refusal(reply).message
        assert (await operator.status()).driver == IDLE
    # An abort changed in its free text is still an abort; nothing else gets through by chance.
    assert all(isinstance(order, AbortRun) for order in front.driver.orders())
    for path in ("/v1/plant", "/v1/runs", "/v1/status", "/v1/feed"):
        assert front.plain(path)[0] == 404


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


@pytest.mark.requirement("INT-19")
async def test_who_holds_the_machine_instead_of_our_driver_is_said(front):
    front.driver.close()
    (front.directory / "state" / "holder").write_text("gateway-of-another-node/17")
    async with front.client("operator") as operator:

        async def waiting():
            return (await operator.status()).waiting_for == "gateway-of-another-node/17"

        await until(waiting)


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
