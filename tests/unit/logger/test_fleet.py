import asyncio

from ald.logger.board import Board
from ald.logger.fleet import Fleet
from ald.logger.metrics import Metrics
from ald.store.database import Endpoint


def endpoint(name, url="https://x"):
    return Endpoint(namespace="lab", name=name, url=url)


async def test_gateways_are_followed_while_they_are_there():
    followed: list[str] = []

    async def follow(endpoint):
        followed.append(f"+{endpoint.name}{endpoint.url[8:]}")
        try:
            await asyncio.Event().wait()
        finally:
            followed.append(f"-{endpoint.name}{endpoint.url[8:]}")

    board = Board(Metrics())
    async with asyncio.TaskGroup() as group:
        fleet = Fleet(group, board, follow)
        fleet.set([endpoint("a"), endpoint("b")])
        await asyncio.sleep(0)
        assert sorted(followed) == ["+ax", "+bx"]
        fleet.set([endpoint("b"), endpoint("a")])
        await asyncio.sleep(0)
        assert len(followed) == 2
        fleet.set([endpoint("b", "https://y")])
        await asyncio.sleep(0)
        assert sorted(followed[2:]) == ["+by", "-ax", "-bx"]
        assert list(board.gateways) == ["lab/b"]
        assert fleet.endpoints == [endpoint("b", "https://y")]
        fleet.set([])
    assert followed[-1] == "-by"
