"""What makes safe reaches whichever driver is there in time."""

from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from ald.errors import PeerError
from ald.gateway.front.board import Board
from ald.gateway.front.service import SUCCESSOR_NS, Service
from ald.wire import AbortOrder, AbortRun, DriverReply
from fixtures.driver import IDLE
from fixtures.plants import small_plant

if TYPE_CHECKING:
    from ald.gateway.front.journal import Journal

STOP = AbortRun(uid="", order=AbortOrder(reason="smoke", by="me"))


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
