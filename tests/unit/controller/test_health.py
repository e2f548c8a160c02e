import pytest
from aiohttp.test_utils import TestClient, TestServer

from ald.controller.apply import LEASE
from ald.controller.health import UNSEEN_S_MAX, SelfCheck, application
from ald.controller.metrics import Metrics
from ald.controller.names import Key
from unit.controller import situations as s
from unit.controller.operators import StillClock

KEY = Key("ald-system", "ald-operator")


class Case:
    def __init__(self):
        self.cluster = s.MemoryCluster()
        self.clock = StillClock()
        self.metrics = Metrics()
        self.check = SelfCheck(self.cluster, KEY, self.clock, self.metrics)

    def see(self):
        self.check.see(self.cluster.read("Lease", KEY.name, KEY.namespace))


@pytest.fixture
def case():
    return Case()


async def test_a_touch_that_comes_back_is_life(case):
    assert case.check.unreadiness()
    await case.check.touch()
    assert "watch" in case.check.unreadiness()
    case.clock.pass_s(0.25)
    case.see()
    assert case.check.unreadiness() == ""
    assert b"ald_operator_watch_delay_seconds 0.25" in case.metrics.text()


async def test_a_touch_that_does_not_come_back_is_death_after_a_while(case):
    await case.check.touch()
    case.see()
    await case.check.touch()
    case.clock.pass_s(UNSEEN_S_MAX - 1)
    await case.check.touch()
    assert case.check.deadness() == ""
    case.clock.pass_s(2)
    assert "watch" in case.check.deadness()
    case.see()
    assert case.check.deadness() == ""


async def test_an_api_server_that_is_away_is_no_reason_to_restart(case):
    await case.check.touch()
    case.see()
    case.cluster.away = True
    case.clock.pass_s(3600)
    await case.check.touch()
    assert case.check.deadness() == ""
    assert "does not answer" in case.check.unreadiness()
    case.cluster.away = False
    await case.check.touch()
    assert case.check.unreadiness() == ""


async def test_a_touch_seen_before_its_answer_counts(case):
    case.cluster.after["apply Lease"] = case.see
    await case.check.touch()
    case.clock.pass_s(3600)
    assert case.check.deadness() == ""


async def test_touches_of_another_life_do_not_count(case):
    await case.check.touch()
    SelfCheck(case.cluster, KEY, case.clock, Metrics()).see(
        case.cluster.read("Lease", KEY.name, KEY.namespace)
    )
    case.check.see({"metadata": {}})
    assert case.check.unreadiness()
    assert (await case.cluster.get(LEASE, KEY))["spec"]["renewTime"].endswith("Z")


async def test_the_pages_answer_at_once(case):
    async with TestClient(TestServer(application(case.check, case.metrics))) as client:
        assert (await client.get("/livez")).status == 200
        answer = await client.get("/readyz")
        assert answer.status == 503
        assert "not been reached" in await answer.text()
        await case.check.touch()
        case.see()
        assert (await client.get("/readyz")).status == 200
        case.clock.pass_s(1)
        await case.check.touch()
        case.clock.pass_s(3600)
        assert (await client.get("/livez")).status == 503
        assert "ald_operator" in await (await client.get("/metrics")).text()
