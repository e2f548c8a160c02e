"""Whether any process grows with what it does: batches stored, cycles run, requests answered, and all of it at once.

Six hours of one operation a second are 21,600 operations. What is quick is done as often: inputs of the engine, records that
are stored. Of requests it is a ninth, of whole runs more than a hundred cycles. What each process holds is counted from within: bytes
and blocks allocated, objects by type, and from outside: memory in pages, and open files.
"""

import itertools
import tracemalloc
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from ald.kit import tls
from ald.logger.follower import Follower, Parts
from ald.records.event import RunOutcome
from ald.wire import AbortOrder, ActionOrder, ClearOrder, RunAction
from benchmarks.bench_engine import Bench
from benchmarks.bench_gateway import machine
from benchmarks.master import as_the_driver
from fixtures import growth
from fixtures.front import Client
from fixtures.growth import Growth, Watch
from fixtures.history import value
from fixtures.processes import Processes, watched
from unit.logger.played import make
from unit.store.feeds import MACHINE, PLANT, RUN, Feed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

OPERATIONS = 21_600
WARM_UP = 2
"""Samples before the first that counts."""

BATCH = 60
"""Records."""

CYCLES_OF_ENGINE = 140
"""Between two samples; of each cycle the engine takes some twenty inputs."""

REQUESTS = OPERATIONS // 9
SAMPLES = 10

QUIET = 0.25
"""Share of the slack where nothing else goes on in the process."""

PAUSE_MS = 40
CYCLES = 16
RUNS = 8


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_what_goes_on_growing_is_told_and_what_is_filled_once_is_not():
    growing, filled = Growth("growing"), Growth("filled")
    for number in range(20):
        growing.take(100 * number, {"blocks": 1000 + 100 * number})
        filled.take(100 * number, {"blocks": 1000 + 300 * min(number, 6)})
    assert [trend.partition(" an ")[0] for trend in growing.trends()] == [
        "growing: blocks grows by 1"
    ]
    assert filled.trends() == []


@pytest.mark.requirement("ML-01")
async def test_storing_batch_after_batch_leaves_nothing_behind(traced, history, database):
    _, played, _, client = make()
    parts = Parts(
        database=history,
        keeper=played.keeper,
        board=played.board,
        metrics=played.metrics,
        clock=played.clock,
        interval_s=0,
    )
    follower, found, feed = Follower(MACHINE, client, parts), Growth("follower"), Feed(client.feed)
    await follower.round()
    feed.load(PLANT)
    each = OPERATIONS // BATCH // (SAMPLES + WARM_UP)
    for number in range(SAMPLES + WARM_UP):
        for _ in range(each):
            for scan in range(BATCH):
                feed.scan(run=RUN if scan % 2 else "")
            client.add(feed.batch())
            await follower.round()
            client.records.clear()
            client.polls.clear()
            client.committed_to.clear()
        if number >= WARM_UP:
            found.take(number * each, growth.own())
    stored = value(database, "SELECT count(*) FROM scans")
    assert stored == (SAMPLES + WARM_UP) * each * BATCH
    assert "\n".join(found.trends(slack=QUIET)) == ""


@pytest.mark.requirement("ML-02")
def test_the_engine_holds_no_more_after_thousands_of_cycles(traced):
    bench, found = Bench(), Growth("engine")
    with as_the_driver():
        for number in range(SAMPLES + WARM_UP):
            bench.us_a_run(CYCLES_OF_ENGINE)
            if number >= WARM_UP:
                found.take(bench.inputs, growth.own())
    assert bench.inputs > OPERATIONS
    assert "\n".join(found.trends()) == ""


def quick(tmp_path: Path) -> Path:
    """Write the machine of quick cycles; return its file."""
    document = machine(40, "20ms")
    group = document["spec"]["exclusionGroups"][0]
    group["minimumPurge"] = {"duration": f"{PAUSE_MS}ms", "flow": 15}
    file = tmp_path / "machine.yaml"
    file.write_text(yaml.safe_dump(document, allow_unicode=True))
    return file


def recipe() -> dict[str, Any]:
    """Return a recipe of quick cycles."""
    purge = {"name": "purge", "purge": {"gas": "N2", "flow": 20, "duration": f"{PAUSE_MS}ms"}}
    pulses = [
        {"name": valve, "valve": {"valve": valve, "open": "10ms"}} for valve in ("tma", "water")
    ]
    cycle = [pulses[0], purge, pulses[1], {**purge, "name": "purge-again"}]
    return {
        "apiVersion": "ald.dev/v1alpha1",
        "kind": "Recipe",
        "metadata": {"name": "quick"},
        "spec": {
            "timing": {"shortPulses": "Allow"},
            "steps": [
                {"name": "carrier", "set": {"gas": "N2", "value": 20}},
                {"name": "clear", "purge": {"gas": "N2", "flow": 20, "duration": "300ms"}},
                {"name": "deposit", "loop": {"count": CYCLES, "steps": cycle}},
            ],
        },
    }


def counted(tmp_path: Path) -> Path:
    folder = tmp_path / "counted"
    folder.mkdir()
    return folder


def client_of(system: Processes) -> aiohttp.ClientSession:
    """Return a session of the operator's that keeps its connection."""
    own = system.identity
    uri = tls.gateway_uri(own.installation, own.namespace, own.name)
    credentials = tls.Credentials(system.directory / "operator-tls", print)
    connector = aiohttp.TCPConnector(ssl=credentials.client_context(uri))
    port = system.front.environment["ALD_HTTPS_PORT"]
    return aiohttp.ClientSession(f"https://127.0.0.1:{port}", connector=connector)


@pytest.mark.requirement("ML-03")
@pytest.mark.requirement("CL-04")
async def test_orders_and_questions_leave_nothing_behind_in_front_and_driver(unstarted, tmp_path):
    system = unstarted
    found = Watch(system, counted(tmp_path))
    system.start()
    found.settle()
    stop = ActionOrder(action=RunAction.STOP, reason="enough", by="me")
    asked: list[tuple[str, str, object, int]] = [
        ("GET", "/v1/status", None, 200),
        ("GET", "/v1/values", None, 200),
        ("POST", "/v1/runs/none/action", stop, 200),
        ("POST", "/v1/runs/none/abort", AbortOrder(reason="enough", by="me"), 200),
        ("POST", "/v1/clear", ClearOrder(by="me", comment="seen"), 409),
        ("POST", "/v1/runs", {"protocol": 0}, 400),
    ]
    requests = itertools.cycle(asked)
    each = REQUESTS // (SAMPLES + WARM_UP)
    async with client_of(system) as session:
        client = Client(session)
        for number in range(SAMPLES + WARM_UP):
            for method, path, body, expected in itertools.islice(requests, each):
                code, reply = await client.call(method, path, body)
                assert code == expected, (path, reply)
            if number >= WARM_UP:
                found.take(number * each)
    assert "\n".join(found.trends()) == ""


@pytest.mark.requirement("ML-01")
@pytest.mark.requirement("ML-02")
@pytest.mark.requirement("ML-04")
@pytest.mark.requirement("CL-04")
def test_run_after_run_leaves_nothing_behind_in_any_process(tmp_path, database):
    with watched(tmp_path, database, quick(tmp_path)) as system:
        system.logger.environment["ALD_BATCH_INTERVAL_MS"] = "20"
        found = Watch(system, counted(tmp_path))
        system.start()
        for number in range(RUNS + WARM_UP):
            if number == WARM_UP:
                found.settle()
            uid = system.operator._started(recipe(), 30)
            run = system.operator.ended(uid, within_s=60)
            assert run.outcome is RunOutcome.COMPLETED, run.message
            system.stored(uid)
            if number >= WARM_UP:
                found.take(number * CYCLES)
    assert "\n".join(found.trends()) == ""
