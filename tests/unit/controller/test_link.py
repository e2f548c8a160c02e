import asyncio
import contextlib

import pytest

from ald.controller.gateway import IDENTITY_REFUSED
from ald.controller.link import BACKOFF_CAP_S, START_S_MAX, Link
from ald.errors import PeerError, RefusedError
from unit.controller.operators import LoopClock, ScriptedGateway


class Case:
    def __init__(self):
        self.gateway = ScriptedGateway()
        self.changes = 0
        self.link = Link(self.gateway, LoopClock(), self.changed)

    def changed(self):
        self.changes += 1

    def message(self):
        assert self.link.reach.driver is not None
        return self.link.reach.driver.message

    @contextlib.asynccontextmanager
    async def following(self):
        task = asyncio.get_running_loop().create_task(self.link.follow())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.mark.looptime
async def test_a_change_is_seen_by_the_next_poll_and_told_once():
    case = Case()
    async with case.following():
        await asyncio.sleep(1)
        assert case.link.reach.driver == case.gateway.driver
        before = case.changes
        case.gateway.change(message="something else")
        await asyncio.sleep(20)
        assert case.changes == before + 1
        assert case.message() == "something else"


@pytest.mark.looptime
async def test_a_quiet_gateway_is_asked_a_few_times_a_minute():
    case = Case()
    async with case.following():
        await asyncio.sleep(60)
        assert len(case.gateway.sent("status")) <= 6


@pytest.mark.looptime
async def test_a_gateway_that_changes_all_the_time_is_not_asked_all_the_time():
    case = Case()

    async def restless():
        case.gateway.change(message="again")
        case.gateway.before["status"] = restless

    case.gateway.before["status"] = restless
    async with case.following():
        await asyncio.sleep(10)
        assert len(case.gateway.sent("status")) <= 10 / 0.05 + 1


@pytest.mark.looptime
async def test_a_gateway_that_does_not_answer_is_asked_ever_more_slowly():
    case = Case()
    case.gateway.fail["status"] = PeerError("connection refused")
    async with case.following():
        await asyncio.sleep(120)
        assert len(case.gateway.sent("status")) < 2 * 120 / BACKOFF_CAP_S + 12
        assert case.changes <= 3


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("error", "after_s", "reason"),
    [
        (PeerError("refused"), 1, "GatewayStarting"),
        (PeerError("refused"), START_S_MAX + 10, "GatewayUnreachable"),
        (RefusedError(IDENTITY_REFUSED, "another name"), 1, IDENTITY_REFUSED),
    ],
)
async def test_a_gateway_that_has_never_answered_starts_for_a_while(error, after_s, reason):
    case = Case()
    case.gateway.fail["status"] = error
    async with case.following():
        await asyncio.sleep(after_s)
        assert case.link.reach.reason == reason


@pytest.mark.looptime
async def test_a_short_silence_is_no_news_and_a_longer_one_is():
    case = Case()
    async with case.following():
        await asyncio.sleep(1)
        case.gateway.fail["status"] = PeerError("refused")
        case.link.take(case.gateway.change(message="the last word"))
        await asyncio.sleep(2)
        assert case.link.reach.driver is not None
        await asyncio.sleep(30)
        assert case.link.reach.reason == "GatewayUnreachable"
        del case.gateway.fail["status"]
        await asyncio.sleep(10)
        assert case.link.reach.driver is not None


@pytest.mark.looptime
async def test_an_answer_that_was_overtaken_by_that_to_an_order_does_not_count():
    case = Case()
    old = case.gateway.now()
    newer = case.gateway.change(message="newer")

    async def overtaken():
        case.link.take(newer)

    case.gateway.before["status"] = overtaken
    case.gateway.answer = old
    async with case.following():
        await asyncio.sleep(0.01)
        assert case.message() == "newer"
