"""What makes safe reaches whichever driver is there in time."""

import asyncio
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from aiohttp import web
from msgspec.structs import replace

from ald.errors import PeerError, RefusedError, StoreError
from ald.gateway.front.board import Board
from ald.gateway.front.service import ABORTED_MAX, SUCCESSOR_NS, Service
from ald.records.event import RunOutcome
from ald.wire import AbortOrder, AbortRun, DriverReply, RunProgress
from fixtures.driver import IDLE
from fixtures.plants import small_plant
from unit.engine.programs import compiled, order, wait

if TYPE_CHECKING:
    from ald.gateway.front.journal import Journal

STOP = AbortRun(uid="", order=AbortOrder(reason="smoke", by="me"))
RUN = order(compiled(wait(10)))
RUN = replace(RUN, run=replace(RUN.run, namespace=small_plant().identity.namespace))


class Away:
    """A driver that is away the first times that it is asked, and the clock of those who wait for it."""

    def __init__(self, times, each_ns):
        self.asked = []
        self._times = times
        self._each_ns = each_ns
        self._now_ns = 0

    async def ask(self, request):
        self.asked.append(request)
        self._now_ns += self._each_ns
        if len(self.asked) <= self._times:
            raise PeerError("the driver is away: Connection refused")
        return DriverReply(id=1, at_ns=0, status=IDLE)

    def monotonic_ns(self):
        return self._now_ns

    def wall_ns(self):
        return self._now_ns


def service(driver):
    owner = small_plant().identity
    journal = cast("Journal", None)  # what makes safe asks it for nothing
    return Service(owner=owner, driver=driver, journal=journal, board=Board(driver), clock=driver)


async def test_a_stop_reaches_the_successor_of_a_driver_that_has_just_died():
    driver = Away(times=3, each_ns=1)
    reply = await service(driver).make_safe(STOP)
    assert reply.status == 200
    assert driver.asked == [STOP] * 4
    assert msgspec.json.decode(reply.body)["driver"]["state"] == IDLE.state.value


async def test_a_stop_that_no_driver_takes_is_given_up_in_time():
    driver = Away(times=100, each_ns=SUCCESSOR_NS // 2)
    with pytest.raises(PeerError, match="away"):
        await service(driver).make_safe(STOP)
    assert len(driver.asked) == 2


class Sent:
    """A request of which the body comes late, or not whole, or as it is."""

    def __init__(self, body: "bytes | Exception", after_s: float = 0.0):
        self._body = body
        self._after_s = after_s

    async def read(self) -> bytes:
        await asyncio.sleep(self._after_s)
        if isinstance(self._body, Exception):
            raise self._body
        return self._body


def request(*told) -> web.Request:
    return cast("web.Request", Sent(*told))


@pytest.mark.parametrize(
    "told",
    [
        (b"{}", 3600.0),
        (web.RequestPayloadError("of no known encoding"),),
        (ConnectionResetError("gone"),),
    ],
)
async def test_a_stop_is_done_at_once_however_its_body_comes(told):
    driver = Away(times=0, each_ns=1)
    async with asyncio.timeout(1.0):
        reply = await service(driver)._post_stop(request(*told))
    assert reply.status == 200
    (order,) = driver.asked
    assert (order.uid, order.order.by) == ("", "unknown")


async def test_without_a_sound_journal_no_attempt_at_a_run_begins_either():
    cut = RunProgress(
        run=RUN.run,
        program_digest="",
        step="",
        path="",
        iterations=(),
        leaves_done=1,
        leaves_total=2,
        started_wall_ns=0,
        ended_wall_ns=1,
        estimated_end_wall_ns=1,
        pulses=1,
        worst_error_ns=0,
        held="",
        outcome=RunOutcome.GATEWAY_RESTARTED,
        message="",
        resumable=True,
    )
    driver = Away(times=0, each_ns=1)
    asked = service(driver)
    asked._board.answered(DriverReply(id=1, at_ns=0, status=replace(IDLE, run=cut)))
    assert not asked._board.journal_ok
    with pytest.raises(StoreError, match="no run starts without a journal"):
        await asked._post_run(request(msgspec.json.encode(replace(RUN, attempt=2))))
    assert driver.asked == []
    # What has begun is only looked at.
    assert (await asked._post_run(request(msgspec.json.encode(RUN)))).status == 200


async def test_an_abort_told_again_and_again_makes_nobody_forget_another_one(monkeypatch):
    monkeypatch.setattr(Board, "journal_ok", True)
    asked = service(Away(times=0, each_ns=1))
    for uid in (RUN.run.uid, *["another"] * 2 * ABORTED_MAX):
        sent = cast("Any", request(b"{}"))
        sent.match_info = {"uid": uid}
        await asked._post_abort(sent)
    with pytest.raises(RefusedError, match="was aborted before this order"):
        await asked._post_run(request(msgspec.json.encode(RUN)))
