"""The logger as a process between played gateways and a real PostgreSQL."""

import asyncio
import datetime
import json
import time
from pathlib import Path

import psycopg
import pytest
from aiohttp import web

from ald.store.database import Database, DatabaseSettings, Endpoint
from ald.wire import FeedRecord
from fixtures.kubeconfig import kubeconfig
from fixtures.simulator import MACHINE as REACTOR
from unit.store.feeds import PLANT, RUN, Feed

pytestmark = pytest.mark.integration

VALUES = "SELECT count(*) FROM parameter_value_history"


async def until(fact, *, within_s=60.0):
    """Wait without blocking the played gateways' loop."""
    deadline = time.monotonic() + within_s
    while not await asyncio.to_thread(fact):
        assert time.monotonic() < deadline, f"still not so after {within_s} s"
        await asyncio.sleep(0.02)


async def ready(logger):
    await asyncio.to_thread(logger.wait_until_ready)


def value(database, sql):
    with psycopg.connect(database, autocommit=True) as connection:
        row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def filled(scans=5, name="feed-1"):
    feed = Feed(name)
    feed.load(PLANT)
    for n in range(scans):
        feed.scan(run=RUN if n % 2 else "")
    return feed


async def test_what_a_gateway_has_is_stored_and_then_confirmed(play_gateway, make_logger, database):
    t0, gateway = time.time(), await play_gateway()
    gateway.add(filled(5).batch())
    logger = make_logger(database, gateway)
    logger.start()
    await until(lambda: gateway.committed[-1:] == [("feed-1", 6)])
    assert value(database, VALUES) == 15
    assert value(database, "SELECT count(*) FROM process_data_points") == 6
    assert await asyncio.to_thread(logger.metric, "ald_logger_samples_total") == 15
    assert await asyncio.to_thread(logger.metric, "ald_logger_batch_seconds_count") == 1
    assert await asyncio.to_thread(logger.metric, "ald_logger_feed_lag_records") == 0
    assert await asyncio.to_thread(logger.metric, "ald_logger_pool_connections") >= 1
    assert await asyncio.to_thread(logger.metric, "ald_logger_records_total") == 6
    for name in ("ald_logger_gateway_connected", "ald_logger_database_ready"):
        assert await asyncio.to_thread(logger.metric, name) == 1
    assert await asyncio.to_thread(logger.metric, "ald_logger_last_stored_timestamp_seconds") > t0


async def test_a_killed_logger_goes_on_where_the_history_ends(play_gateway, make_logger, database):
    gateway = await play_gateway()
    feed = filled(3)
    gateway.add(feed.batch())
    logger = make_logger(database, gateway)
    logger.start()
    await until(lambda: gateway.committed[-1:] == [("feed-1", 4)])
    await asyncio.to_thread(logger.kill)
    feed.scan()
    gateway.add(feed.batch())
    gateway.polls.clear()
    logger.start()
    await until(lambda: gateway.committed[-1:] == [("feed-1", 5)])
    assert gateway.polls[0] == 4
    assert value(database, VALUES) == 12


@pytest.mark.requirement("INT-14")
async def test_a_database_that_is_away_is_waited_for_without_a_storm(
    play_gateway, make_logger, database, relay
):
    gateways = [await play_gateway(name=f"reactor-{n}") for n in range(4)]
    feeds = [filled(2, name=f"feed-{n}") for n in range(4)]
    for n, (gateway, feed) in enumerate(zip(gateways, feeds, strict=True)):
        gateway.feed = f"feed-{n}"
        gateway.add(feed.batch())
    await relay.open()
    url = database.replace(f":{database.rpartition(':')[2].partition('/')[0]}/", f":{relay.port}/")
    await relay.close()
    logger = make_logger(url, *gateways)
    logger.start()
    await until(lambda: logger.get("/readyz")[0] == 503)
    await until(lambda: "does not serve" in logger.get("/readyz")[1])
    await relay.open()
    await until(lambda: all(g.committed for g in gateways))
    assert value(database, VALUES) == 24

    await relay.close()
    for gateway, feed in zip(gateways, feeds, strict=True):
        feed.scan()
        gateway.add(feed.batch())
    await until(lambda: logger.get("/readyz")[0] == 503)
    before = relay.accepted
    await relay.open()
    await until(lambda: all(g.committed[-1][1] == 4 for g in gateways))
    assert value(database, VALUES) == 36
    assert relay.accepted - before <= 8, "one prober and a pool of four"
    assert len(logger.said("database_not_ready")) <= 6, "said once per change"
    assert logger.get("/readyz")[0] == 200


async def test_a_wrong_password_is_said_plainly_and_asked_slowly(
    play_gateway, make_logger, database, relay
):
    await relay.open()
    wrong = database.replace("only-on-loopback", "wrong")
    wrong = wrong.replace(f":{wrong.rpartition(':')[2].partition('/')[0]}/", f":{relay.port}/")
    logger = make_logger(wrong, await play_gateway())
    logger.start()
    await until(lambda: "correct the password" in logger.get("/readyz")[1])
    before = relay.accepted
    await asyncio.sleep(3)
    assert relay.accepted - before <= 4
    assert len(logger.said("database_not_ready")) == 1
    assert "wrong@" not in json.dumps(logger.said()), "the password is no log's business"


@pytest.mark.requirement("DB-MIG")
async def test_a_newer_schema_keeps_the_logger_unready_by_name(play_gateway, make_logger, database):
    store = Database(DatabaseSettings(url=database))
    await store.prepare(datetime.date(2023, 11, 14))
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO schema_migrations (version, name, checksum) VALUES (99, 'future', 'x')"
        )
    logger = make_logger(database, await play_gateway())
    logger.start()
    await until(lambda: "schema version 99 (future)" in logger.get("/readyz")[1])
    assert logger.get("/livez")[0] == 200


async def test_a_gap_is_on_record_in_the_log_and_in_the_metrics(
    play_gateway, make_logger, database
):
    gateway = await play_gateway()
    feed = filled(1)
    gateway.add(feed.batch())
    logger = make_logger(database, gateway)
    logger.start()
    await until(lambda: gateway.committed)
    feed.skip(7)
    feed.scan()
    gateway.add(feed.batch())
    await until(lambda: gateway.committed[-1][1] == 10)
    assert value(database, "SELECT sum(gap) FROM feed_segments") == 7
    assert [line["records"] for line in logger.said("feed_gap")] == [7]
    assert await asyncio.to_thread(logger.metric, "ald_logger_feed_gap_records_total") == 7


@pytest.mark.requirement("DI-04")
@pytest.mark.requirement("PLC-BG-03")
async def test_records_that_cannot_be_stored_do_not_hold_up_the_feed(
    play_gateway, make_logger, database
):
    gateway = await play_gateway()
    feed = filled(1)
    feed.add("event", b"\xc1 no event", None)
    feed.add("riddle", b"?", None)
    feed.scan()
    gateway.add(feed.batch())
    logger = make_logger(database, gateway)
    logger.start()
    await until(lambda: gateway.committed[-1:] == [("feed-1", 5)])
    assert value(database, "SELECT count(*) FROM dead_letters WHERE body IS NOT NULL") == 2
    assert value(database, VALUES) == 6
    assert [line["count"] for line in logger.said("records_rejected")] == [2]
    assert await asyncio.to_thread(logger.metric, "ald_logger_dead_letters_total") == 2


async def test_two_loggers_store_everything_once(play_gateway, make_logger, database):
    gateway = await play_gateway()
    feed = filled(1)
    gateway.add(feed.batch())
    loggers = [make_logger(database, gateway, ALD_BATCH_INTERVAL_MS="0") for _ in range(2)]
    for logger in loggers:
        logger.start()
    for logger in loggers:
        await ready(logger)
    for _ in range(100):
        feed.scan(run=RUN)
        gateway.add(feed.batch())
        await asyncio.sleep(0.01)
    await until(lambda: value(database, VALUES) == 303)
    assert value(database, "SELECT count(DISTINCT id) FROM parameter_value_history") == 303
    assert value(database, "SELECT count(*) FROM scans") == 101
    assert value(database, "SELECT count(*) FROM feed_segments") == 1


async def test_a_new_feed_of_the_same_machine_begins_at_its_own_start(
    play_gateway, make_logger, database
):
    gateway = await play_gateway()
    gateway.add(filled(5).batch())
    logger = make_logger(database, gateway)
    logger.start()
    await until(lambda: gateway.committed)
    gateway.records, gateway.latest, gateway.feed = [], 0, "feed-2"
    gateway.add(filled(2, name="feed-2").batch())
    await until(lambda: gateway.committed[-1] == ("feed-2", 3), within_s=30)
    assert value(database, VALUES) == 21


async def test_a_feed_that_went_back_is_refused_and_named(play_gateway, make_logger, database):
    gateway = await play_gateway()
    gateway.add(filled(5).batch())
    logger = make_logger(database, gateway)
    logger.start()
    await until(lambda: gateway.committed)
    await asyncio.to_thread(logger.stop)
    gateway.records, gateway.latest = gateway.records[:2], 2
    gateway.records.append(FeedRecord(position=9, session="", kind="event", body=b""))
    logger.start()
    await until(lambda: "was an old copy of its volume put back" in logger.get("/readyz")[1])
    assert value(database, VALUES) == 15


async def test_a_gateway_with_another_name_is_not_talked_to(play_gateway, make_logger, database):
    gateway = await play_gateway(name_in_certificate="other")
    gateway.add(filled(1).batch())
    logger = make_logger(database, gateway)
    logger.start()
    await until(lambda: "expected ald://test/gateway/lab/reactor" in logger.get("/readyz")[1])
    assert gateway.polls == []
    assert logger.get("/readyz")[0] == 200, "records of others can be stored"


async def test_a_gateway_that_refuses_is_quoted_and_asked_again(
    play_gateway, make_logger, database
):
    gateway = await play_gateway()
    gateway.refusing = "the journal is being repaired"
    gateway.add(filled(1).batch())
    logger = make_logger(database, gateway)
    logger.start()
    await until(lambda: "the journal is being repaired" in logger.get("/readyz")[1])
    gateway.refusing = ""
    await until(lambda: gateway.committed == [("feed-1", 2)])


async def test_it_ends_at_once_when_asked_to_even_in_the_middle_of_a_long_poll(
    play_gateway, make_logger, database
):
    gateway = await play_gateway()
    logger = make_logger(database, gateway)
    logger.start()
    await until(lambda: len(gateway.polls) >= 1)
    begin = time.monotonic()
    assert await asyncio.to_thread(logger.stop) == 0
    assert time.monotonic() - begin < 5
    assert logger.said()[-1]["event"] == "logger_ended"


async def test_settings_that_make_no_sense_end_it_with_the_reason(make_logger, database):
    logger = make_logger(database, ALD_GATEWAYS="reactor=http://x", ALD_TYPO="1")
    logger.start()
    await until(lambda: logger.ended)
    assert logger.stop() == 2
    (line,) = logger.said("settings_refused")
    assert "ALD_TYPO" in line["message"]


@pytest.fixture(scope="session")
def machines(apiserver):
    """An API server that knows Machines."""
    crd = Path(__file__).parents[2] / "crds" / "machines.ald.dev.yaml"
    done = apiserver.kubectl("apply", "--server-side", "-f", str(crd))
    assert done.returncode == 0, done.stderr
    apiserver.has_established(["crd/machines.ald.dev"])
    return apiserver


def machine_document(name):
    return json.dumps({**REACTOR, "metadata": {"name": name}})


def said_ready(logger):
    return [line["message"] for line in logger.said("discovery_ready")]


class TestDiscovery:
    async def test_machines_come_and_go(self, play_gateway, make_logger, database, machines):
        namespace = machines.create_namespace()
        first = await play_gateway(namespace=namespace, name="first")
        second = await play_gateway(namespace=namespace, name="second")
        first.feed, second.feed = "a", "b"
        first.add(filled(1, name="a").batch())
        second.add(filled(1, name="b").batch())
        logger = make_logger(
            database,
            ALD_NAMESPACES=namespace,
            KUBECONFIG=str(machines.kubeconfig),
            ALD_GATEWAY_URL_TEMPLATE="https://127.0.0.1:" + str(first.port),
        )
        self.create(machines, namespace, "first")
        logger.start()
        await until(lambda: first.committed)
        assert "1 machines" in logger.get("/readyz")[1]
        self.create(machines, namespace, "second")
        await until(lambda: f"gateway {namespace}/second" in logger.get("/readyz")[1])
        assert machines.kubectl("-n", namespace, "delete", "machine", "first").returncode == 0
        await until(lambda: f"gateway {namespace}/first" not in logger.get("/readyz")[1])

    async def test_without_an_api_server_the_remembered_gateways_are_followed(
        self, play_gateway, make_logger, database, tmp_path
    ):
        gateway = await play_gateway()
        gateway.add(filled(1).batch())
        store = Database(DatabaseSettings(url=database))
        await store.prepare(datetime.date(2023, 11, 14))
        await store.open()
        await store.remember("test", [Endpoint(namespace="lab", name="reactor", url=gateway.url)])
        await store.close()
        logger = make_logger(database, KUBECONFIG=str(tmp_path / "none"))
        logger.start()
        await until(lambda: gateway.committed == [("feed-1", 2)])
        await until(lambda: logger.get("/readyz")[0] == 200)
        # An attempt to reach the API server later than that changes nothing of it.
        await until(lambda: any("are followed" in message for message in said_ready(logger)))
        assert logger.get("/readyz")[0] == 200

    async def test_what_is_watched_is_remembered(self, make_logger, database, machines):
        namespace = machines.create_namespace()
        self.create(machines, namespace, "kept")
        logger = make_logger(
            database, ALD_NAMESPACES=namespace, KUBECONFIG=str(machines.kubeconfig)
        )
        logger.start()
        await ready(logger)
        await until(
            lambda: value(database, "SELECT count(*) FROM gateways WHERE name = 'kept'") == 1
        )
        assert value(database, "SELECT url FROM gateways") == (
            f"https://kept-gateway.{namespace}.svc:8443"
        )

    def create(self, machines, namespace, name):
        done = machines.kubectl("-n", namespace, "apply", "-f", "-", input=machine_document(name))
        assert done.returncode == 0, done.stderr

    async def test_when_the_watched_version_is_gone_the_list_is_read_again(
        self, make_logger, database, tmp_path
    ):
        listed = 0

        async def machines(request):
            nonlocal listed
            if "watch" in request.query:
                status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
                line = {"type": "ERROR", "object": status}
                return web.Response(text=json.dumps(line) + "\n")
            listed += 1
            names = ["a", "b"][: min(2, listed)]
            items = [{"metadata": {"namespace": "lab", "name": n}} for n in names]
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": items})

        app = web.Application()
        app.router.add_get("/apis/ald.dev/v1alpha1/namespaces/lab/machines", machines)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        file = tmp_path / "kubeconfig"
        server = f"http://127.0.0.1:{runner.addresses[0][1]}"
        file.write_text(kubeconfig({"token": "t"}, server=server))
        logger = make_logger(database, ALD_NAMESPACES="lab", KUBECONFIG=str(file))
        logger.start()
        await until(lambda: "gateway lab/b" in logger.get("/readyz")[1])
        await asyncio.to_thread(logger.stop)
        await runner.cleanup()
        assert listed <= 5, "a server that always says so is not hammered"
