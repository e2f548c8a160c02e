"""Stops at the front: nothing that is said with one keeps it from the driver, and nothing but a driver that is away does."""

import pytest

from ald.gateway.packets import WORDS_MAX
from ald.wire import BODY_BYTES_MAX, AbortOrder, GoSafe
from integration.orders import ABORT, driver_is, refusal, until

pytestmark = pytest.mark.integration

PATHS = ("/v1/stop", "/v1/runs/uid-1/abort", "/v1/safe-state")


@pytest.mark.parametrize(
    ("body", "by"),
    [
        (b'{"by": "me", "reason": "smoke", "comment": "smoke", "site": "a newer operator"}', "me"),
        (b"{}", "unknown"),
        (b"", "unknown"),
        (b"STOP", "unknown"),
        (b"\xff\xfe", "unknown"),
        (b"[" * 100_000, "unknown"),
        (b" " * (BODY_BYTES_MAX + 1), "unknown"),
    ],
)
async def test_what_makes_safe_is_done_whatever_is_said_with_it(front, body, by):
    async with front.client("operator") as operator:
        for path in PATHS:
            code, reply = await operator.call("POST", path, body)
            assert code == 200, reply
    stop, abort, safe = front.driver.orders()
    assert (stop.uid, abort.uid) == ("", "uid-1")
    assert isinstance(safe, GoSafe)
    assert [each.order.by for each in (stop, abort, safe)] == [by] * 3


async def test_a_stop_without_a_driver_is_refused_in_time_and_says_so(front):
    front.driver.close()
    async with front.client("stop") as stop:
        code, reply = await stop.call("POST", "/v1/stop", ABORT)
        assert (code, refusal(reply).reason) == (503, "DriverAway")
        await until(lambda: driver_is(stop, up=False))


async def test_a_reason_without_end_is_cut(front):
    async with front.client("stop") as stop:
        code, _ = await stop.call("POST", "/v1/stop", AbortOrder(reason="x" * 1_000_000, by="me"))
    assert code == 200
    (order,) = front.driver.orders()
    assert set(order.order.reason) == {"x"}
    assert len(order.order.reason) == WORDS_MAX
