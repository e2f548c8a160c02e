"""Simulator, driver, front, logger and PostgreSQL as real processes: one run, counted at both ends."""

import asyncio
import contextlib
import io
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import aiohttp
import msgspec
import psycopg
import pytest

from ald.api.parse import parse_recipe
from ald.kit import tls
from ald.plant.model import digest
from ald.program.compile.recipe import RecipeSource, compile_recipe
from ald.program.model import digest as program_digest
from ald.records.event import RunIdentity, RunOutcome
from ald.wire import PROTOCOL, GatewayStatus, PlantPush, RunOrder
from fixtures.driver_process import Driver, plant_of
from fixtures.logger import INSTALLATION

pytestmark = pytest.mark.integration

CYCLES = 5
RUN = RunIdentity(namespace="lab", name="counted", uid=str(uuid.UUID(int=77)))
RECIPE = {
    "apiVersion": "ald.dev/v1alpha1",
    "kind": "Recipe",
    "metadata": {"name": "short"},
    "spec": {
        # The small reactor's PLC has a cycle of 10 ms, too long for these pulses; what is counted here does not depend on it.
        "timing": {"shortPulses": "Allow"},
        "steps": [
            {"name": "carrier", "set": {"gas": "N2", "value": 20}},
            {"name": "clear", "purge": {"gas": "N2", "flow": 20, "duration": "500ms"}},
            {
                "name": "deposit",
                "loop": {
                    "count": CYCLES,
                    "steps": [
                        {"name": "tma", "valve": {"valve": "tma", "open": "200ms"}},
                        {
                            "name": "after-tma",
                            "purge": {"gas": "N2", "flow": 20, "duration": "300ms"},
                        },
                        {"name": "water", "valve": {"valve": "water", "open": "150ms"}},
                        {
                            "name": "after-water",
                            "purge": {"gas": "N2", "flow": 20, "duration": "300ms"},
                        },
                    ],
                },
            },
        ],
    },
}


@contextlib.contextmanager
def front(directory: Path, authority):
    """Run a front beside the driver of this directory; yield its HTTPS port."""
    uri = tls.gateway_uri(INSTALLATION, "lab", "reactor")
    environment = {
        "ALD_INSTALLATION": INSTALLATION,
        "ALD_NAMESPACE": "lab",
        "ALD_MACHINE": "reactor",
        "ALD_MACHINE_UID": "m-uid",
        "ALD_RUN_DIR": str(directory / "run"),
        "ALD_STATE_DIR": str(directory / "state"),
        "ALD_TLS_DIR": str(authority.issue(directory / "tls", uri)),
        "ALD_HTTPS_PORT": "0",
        "ALD_PLAIN_PORT": "0",
    }
    guard = Path(__file__).parents[1] / "fixtures" / "guard.py"
    log_file = directory / "front.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, guard, "--", sys.executable, "-m", "ald.gateway.front"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=os.environ | environment,
        )
    assert process.stdin is not None
    try:
        deadline = time.monotonic() + 30
        while '"front_ready"' not in log_file.read_text():
            assert time.monotonic() < deadline, log_file.read_text()
            time.sleep(0.05)
        ready = next(x for x in log_file.read_text().splitlines() if '"front_ready"' in x)
        yield msgspec.json.decode(ready)["https_port"]
    finally:
        process.stdin.close()
        process.wait(40)


class Operator:
    """Orders, as the operator gives them."""

    def __init__(self, session):
        self._session = session

    async def send(self, method, path, body) -> GatewayStatus:
        data = io.BytesIO(msgspec.json.encode(body))
        async with self._session.request(method, path, data=data) as reply:
            assert reply.status == 200, await reply.text()
            return msgspec.json.decode(await reply.read(), type=GatewayStatus)

    async def until(self, fact, *, within_s):
        deadline = time.monotonic() + within_s
        while True:
            async with self._session.get("/v1/status") as reply:
                status = msgspec.json.decode(await reply.read(), type=GatewayStatus)
            if status.driver is not None and fact(status.driver):
                return status
            assert time.monotonic() < deadline, status
            await asyncio.sleep(0.1)


def query(database, sql):
    with psycopg.connect(database, autocommit=True) as connection:
        return connection.execute(sql).fetchall()


async def test_a_run_is_the_same_in_the_program_at_the_plc_and_in_the_history(
    simulator, make_logger, authority, database, tmp_path
):
    plant = plant_of(simulator.machine_file, simulator.port)
    parsed = parse_recipe(RECIPE)
    source = RecipeSource(name="short", uid="r-uid", generation=1)
    program = compile_recipe(parsed.spec, source, plant, digest(plant), {})
    directory = tmp_path / "gateway"
    directory.mkdir()
    driver = Driver(directory=directory).start()
    driver.hang_up()
    operator_tls = tls.Credentials(
        authority.issue(tmp_path / "operator", tls.client_uri(INSTALLATION, "operator")), print
    )
    expected = tls.gateway_uri(INSTALLATION, "lab", "reactor")
    try:
        with front(directory, authority) as port:
            url = f"https://127.0.0.1:{port}"
            logger = make_logger(database, ALD_GATEWAYS=f"lab/reactor={url}")
            logger.start()
            connector = aiohttp.TCPConnector(ssl=operator_tls.client_context(expected))
            async with aiohttp.ClientSession(url, connector=connector) as session:
                operator = Operator(session)
                push = PlantPush(protocol=PROTOCOL, plant=plant, digest=digest(plant))
                await operator.send("PUT", "/v1/plant", push)
                await operator.until(lambda d: d.state.value == "Idle", within_s=20)
                order = RunOrder(
                    protocol=PROTOCOL,
                    run=RUN,
                    recipe_source=msgspec.json.encode(RECIPE["spec"]).decode(),
                    program=program,
                    program_digest=program_digest(program),
                )
                await operator.send("POST", "/v1/runs", order)
                ended = await operator.until(
                    lambda d: d.run is not None and d.run.outcome is not None, within_s=60
                )
            assert ended.driver is not None
            assert ended.driver.run is not None
            assert ended.driver.run.outcome is RunOutcome.COMPLETED, ended.driver.run.message
            deadline = time.monotonic() + 20
            done = "SELECT count(*) FROM process_executions WHERE status = 'completed'"
            await asyncio.to_thread(logger.wait_until_ready)
            while query(database, done) != [(1,)]:
                assert time.monotonic() < deadline, logger.said()
                await asyncio.sleep(0.1)
            await asyncio.to_thread(logger.stop)
    finally:
        driver.stop()
    check_pulses(simulator, database, program)
    check_samples(database, plant)
    assert simulator.overlaps() == []
    assert simulator.state()["connections"]["peak"] == 1


def check_pulses(simulator, database, program):
    """The same pulses in the program, at the PLC and in the history, and the same widths."""
    edges = [e for e in simulator.trace() if e["valve"]]
    opened = [e for e in edges if e["state"]]
    closed = [e for e in edges if not e["state"]]
    counted = {v: sum(e["valve"] == v for e in opened) for v in program.estimate.openings}
    assert counted == program.estimate.openings == {"tma": CYCLES, "water": CYCLES, "spare": 0}
    rows = query(
        database,
        "SELECT target, duration_ns, error_ns, final_status FROM recipe_execution_audit "
        "WHERE operation_type = 'valve' ORDER BY step_sequence",
    )
    assert [row[0] for row in rows] == [e["valve"] for e in opened]
    assert {row[3] for row in rows} == {"Confirmed"}
    for row, begin, end in zip(rows, opened, closed, strict=True):
        at_plc_ns = end["received_ns"] - begin["received_ns"]
        assert abs(at_plc_ns - (row[1] + row[2])) < 2_000_000, "what is on record is what arrived"


def check_samples(database, plant):
    """Rows are scans for every parameter, and every scan of the run is in both tables."""
    assert query(database, "SELECT count(*), sum(gap) FROM feed_segments") == [(1, 0)]
    assert query(database, "SELECT count(*) FROM dead_letters") == [(0,)]
    ((scans, in_run),) = query(database, "SELECT count(*), count(process_id) FROM scans")
    assert in_run > 10
    per_parameter = query(
        database,
        "SELECT count(*), count(DISTINCT transaction_id) FROM parameter_value_history GROUP BY parameter_id",
    )
    assert per_parameter == [(scans, scans)] * (len(plant.parameters) + len(plant.valves))
    twins = (
        "SELECT count(*) FROM process_data_points d JOIN parameter_value_history h "
        "ON h.id = d.id AND h.value IS NOT DISTINCT FROM d.value AND h.transaction_id = d.transaction_id"
    )
    assert query(database, twins) == [(in_run * len(per_parameter),)]
