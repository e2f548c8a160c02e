import asyncio

import pytest

from ald.errors import PeerError
from ald.gateway.front import driver as driver_module
from ald.gateway.front.driver import Driver
from ald.wire import AbortOrder, AbortRun, GetStatus
from fixtures.driver import IDLE, FakeDriver
from fixtures.wait import eventually


@pytest.fixture
def peer(tmp_path):
    fake = FakeDriver(tmp_path / "driver.sock")
    yield fake
    fake.close()


@pytest.fixture
def driver(tmp_path):
    made = Driver(tmp_path / "driver.sock")
    yield made
    made.close()


async def test_the_driver_is_asked_and_answers(peer, driver):
    reply = await driver.ask(GetStatus())
    assert reply.status == IDLE
    assert peer.asked == [GetStatus()]


async def test_a_message_longer_than_a_packet_arrives_whole(peer, driver):
    order = AbortRun(uid="u", order=AbortOrder(reason="x" * 1_000_000, by="me"))
    await driver.ask(order)
    assert peer.asked == [order]


async def test_answers_find_their_questions_when_many_are_asked_at_once(peer, driver):
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(driver.ask(GetStatus())) for _ in range(6)]
    assert sorted(task.result().id for task in asked) == [1, 2, 3, 4, 5, 6]


async def test_one_connection_serves_one_request_after_the_other(peer, driver):
    for _ in range(5):
        await driver.ask(GetStatus())
    assert peer.connections == 1


async def test_after_many_requests_at_once_only_some_connections_are_kept(peer, driver):
    peer.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(driver.ask(GetStatus()))
        await asyncio.to_thread(eventually, lambda: len(peer.asked) == 6, within_s=10)
        peer.may_answer.set()
    for _ in range(3):
        await driver.ask(GetStatus())
    assert peer.connections == 6
    assert len(driver._idle) == driver_module.IDLE_MAX


async def test_the_successor_of_a_driver_that_is_gone_is_asked_once(peer, driver, tmp_path):
    await driver.ask(GetStatus())
    peer.close()
    after = FakeDriver(tmp_path / "driver.sock")
    order = AbortRun(uid="u", order=AbortOrder(reason="enough", by="me"))
    await driver.ask(order)
    assert peer.asked == [GetStatus()]
    assert after.asked == [order]
    after.close()


async def test_a_connection_without_an_answer_is_not_used_again(peer, driver, monkeypatch):
    await driver.ask(GetStatus())
    peer.silent = True
    with monkeypatch.context() as impatient:
        impatient.setattr(driver_module, "ANSWER_TIMEOUT_S", 0.05)
        with pytest.raises(PeerError, match="did not answer"):
            await driver.ask(GetStatus())
    peer.silent = False
    assert (await driver.ask(GetStatus())).id == 3
    assert peer.connections == 2


async def test_a_driver_that_is_away_is_told_at_once(driver):
    with pytest.raises(PeerError, match="the driver is away: No such file"):
        await driver.ask(GetStatus())


async def test_a_driver_that_does_not_answer_is_given_up_in_time(peer, driver, monkeypatch):
    monkeypatch.setattr(driver_module, "ANSWER_TIMEOUT_S", 0.05)
    peer.silent = True
    with pytest.raises(PeerError, match=r"did not answer within 0\.05 s"):
        await driver.ask(GetStatus())


async def test_an_answer_to_another_question_is_refused(peer, driver):
    peer.wrong_id = True
    with pytest.raises(PeerError, match="answered request 2 instead of 1"):
        await driver.ask(GetStatus())
