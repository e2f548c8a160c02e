"""Whether connections, channels and files are given back: however often they are used, cut and made again, as many are open after as before.

Six hours of one query or read a second are 21,600 of them, here as fast as they go.
"""

import asyncio
import json

import pytest

from ald.errors import StoreError
from ald.plant.model import Table
from ald.plc.request import ReadRegisters
from ald.store.database import Database, DatabaseSettings
from fixtures import growth
from fixtures.history import TODAY, value
from fixtures.logger import Relay
from fixtures.processes import only_child
from fixtures.simulator import MACHINE as REACTOR
from fixtures.wait import eventually
from integration.link_loop import loop
from integration.test_logger import filled, until
from unit.store.feeds import MACHINE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

OPERATIONS = 21_600
CLIENTS = 8
POOL_MAX = 3
CUTS = 10
READS_A_CUT = OPERATIONS // 20
WINDOW = 16
CLOSE_WAIT, ESTABLISHED = "08", "01"

OURS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.mark.requirement("CL-01")
async def test_database_connections_are_as_many_after_thousands_of_queries_as_before(
    database, postgres
):
    before = growth.handles()
    store = Database(DatabaseSettings(url=database, pool_max=POOL_MAX))
    await store.prepare(TODAY)
    await store.open()

    errors: list[StoreError] = []

    async def ask(count: int) -> None:
        for number in range(count):
            if number % 500 == 0:
                with pytest.raises(StoreError) as told:
                    async with store._connection("failing") as connection:
                        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
                # Its traceback knows the connection, for as long as somebody knows the error.
                errors.append(told.value)
            elif number % 10 == 0:
                await store.open_feed(MACHINE, "feed-1")
            else:
                await store.endpoints("test")

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(ask(OPERATIONS // CLIENTS))
    assert value(database, OURS) <= POOL_MAX
    assert store.pool.size <= POOL_MAX
    assert store.pool.waiting == 0
    await store.close()
    await until(lambda: value(database, OURS) == 0, within_s=20)
    assert len(errors) >= CLIENTS
    assert growth.in_state(postgres.port, CLOSE_WAIT) == 0
    assert growth.handles() == before


@pytest.mark.requirement("CL-02")
def test_plc_connections_are_as_many_after_thousands_of_reads_and_many_cuts_as_before(simulator):
    request, before = ReadRegisters(Table.HOLDING, 3000, 4), growth.handles()
    with loop(simulator.port, timeout_s=30, window=WINDOW) as driver:
        driver.up()
        opened = growth.handles()
        for _ in range(OPERATIONS // READS_A_CUT):
            for _ in range(READS_A_CUT // WINDOW):
                tokens = {driver.ask(request) for _ in range(WINDOW)}
                driver.until(lambda wanted=tokens: driver.done.keys() >= wanted, within_s=30)
                driver.done.clear()
            assert simulator.state()["connections"]["open"] == 1
            connects = driver.link.counters.connects
            simulator.faults(drop=True)
            driver.until(lambda at=connects: driver.link.counters.connects > at, within_s=30)
            assert growth.handles() == opened
            assert growth.in_state(simulator.port, CLOSE_WAIT) == 0
        assert driver.link.counters.reconnects == OPERATIONS // READS_A_CUT
    assert growth.handles() == before
    eventually(lambda: simulator.state()["connections"]["open"] == 0, within_s=10)


@pytest.fixture
async def api_relay(definitions, tmp_path):
    """A way to the API server that can be cut, and a kubeconfig that leads over it."""
    made = Relay(definitions.port)
    await made.open()
    document = json.loads(definitions.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{made.port}"
    (tmp_path / "kubeconfig").write_text(json.dumps(document))
    yield made
    await made.close()


@pytest.mark.requirement("CL-03")
async def test_watches_and_feeds_are_as_many_after_ten_reconnects_as_before(
    play_gateway, make_logger, database, namespace, api_relay, tmp_path, definitions
):
    gateway, feed = await play_gateway(namespace=namespace, name="reactor"), filled(2)
    gateway.add(feed.batch())
    stream = Relay(gateway.port)
    await stream.open()
    document = json.dumps({**REACTOR, "metadata": {"name": "reactor"}})
    done = definitions.kubectl("-n", namespace, "create", "-f", "-", input=document)
    assert done.returncode == 0, done.stderr
    logger = make_logger(
        database,
        ALD_NAMESPACES=namespace,
        KUBECONFIG=str(tmp_path / "kubeconfig"),
        ALD_GATEWAY_URL_TEMPLATE=f"https://127.0.0.1:{stream.port}",
    )
    logger.start()
    relays = (stream, api_relay)

    def channels() -> list[int]:
        return [growth.in_state(relay.port, ESTABLISHED) for relay in relays]

    def is_back() -> bool:
        return gateway.committed[-1:] == [("feed-1", feed.position)] and min(channels()) > 0

    await until(is_back)
    pid = only_child(logger._guard.pid)
    before, open_before = channels(), growth.handles(pid)
    for _ in range(CUTS):
        accepted = [relay.accepted for relay in relays]
        for relay in relays:
            await relay.close()
            await relay.open()
        feed.scan()
        gateway.add(feed.batch())
        await until(lambda: is_back() and channels() == before)
        assert all(r.accepted > was for r, was in zip(relays, accepted, strict=True))
        assert [growth.in_state(relay.port, CLOSE_WAIT) for relay in relays] == [0, 0]
    assert growth.handles(pid) <= open_before + POOL_MAX
    assert logger.get("/readyz")[0] == 200
    logger.stop()
    await stream.close()
