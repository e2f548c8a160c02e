"""Every start order ends with everything ready, nothing is started twice, and nothing is left behind."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ald.records.event import MachineState
from fixtures.processes import RECIPE, ROOT, Processes, is_alive, throughout, watched
from fixtures.wait import eventually
from fixtures.whole_record import check_whole

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

PARTS = ("database", "plc", "driver", "front", "logger")
ALONE_S = 1.5
"""How long each part is alone with those started before it; the requirement's 5 s, shortened."""

GONE_WITHIN_S = 25.0


@pytest.fixture
def bare(tmp_path, own_postgres):
    """The system with nothing at all started, not even its database server."""
    own_postgres.start()
    dsn = own_postgres.server.create_database()
    own_postgres.stop()
    with watched(tmp_path, dsn) as system:
        yield (
            system,
            {
                "database": own_postgres.start,
                "plc": system.simulator.start,
                "driver": system.driver.start,
                "front": system.front.start,
                "logger": system.logger.start,
            },
        )


def answers(system: Processes, name: str) -> Callable[[], bool]:
    """Return the fact by which a part that is alone is seen to be well."""
    return {
        "database": lambda: True,
        "plc": lambda: True,
        "driver": (system.directory / "run" / "driver.alive").exists,
        "front": lambda: system.front.plain("/livez")[0] == 200,
        "logger": lambda: system.logger.plain("/livez")[0] == 200,
    }[name]


@pytest.mark.requirement("INT-02")
@pytest.mark.parametrize(
    "order",
    [*(PARTS[i:] + PARTS[:i] for i in range(len(PARTS))), PARTS[::-1]],
    ids="-".join,
)
def test_in_every_order_all_become_ready_without_a_second_start(bare, order):
    system, start = bare
    for name in order:
        start[name]()
        eventually(answers(system, name), within_s=60)
        throughout(lambda: system.watch() == [], for_s=ALONE_S)
    pids = [part.pid for part in system.parts]
    system.ready()
    assert system.logger.plain("/readyz")[0] == 200, system.logger.plain("/readyz")[1]
    assert system.front.plain("/readyz")[0] == 200
    assert [part.pid for part in system.parts] == pids
    assert len(system.driver.said("executor_started")) == 1
    check_whole(system, system.operator.completed(RECIPE, within_s=30, cycles=1))


@pytest.mark.requirement("FR-01")
def test_an_accepted_configuration_outlives_the_gateway_but_is_confirmed_anew(running: Processes):
    digest = running.operator.idle().plant_digest
    running.driver.stop()
    running.front.stop()
    running.driver.start()
    running.front.start()
    status = running.operator.wait_for(
        lambda s: s.driver is not None and s.driver.link.connected, within_s=20
    )
    assert status.driver is not None
    assert (status.driver.plant_digest, status.driver.plant_confirmed) == (digest, False)
    assert status.driver.state is MachineState.STOPPED
    running.operator.idle()
    check_whole(running, running.operator.completed(RECIPE, within_s=30, cycles=1))


HOLD = """
import sys, pathlib
from fixtures import processes
system = processes.make(pathlib.Path(sys.argv[1]), sys.argv[2]).start()
pids = [part.pid for part in system.parts] + [system.executor_pid]
print(*pids, flush=True)
sys.stdin.read()
"""


@pytest.mark.requirement("HARN-01")
def test_a_killed_test_leaves_no_process_behind(tmp_path: Path, database: str):
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT / "tests",)))}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path, database],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environ,
    ) as test:
        assert test.stdout is not None
        pids = [int(pid) for pid in test.stdout.readline().split()]
        mine = children_of(test.pid)
        assert pids
        assert all(is_alive(pid) for pid in pids)
        os.kill(test.pid, signal.SIGKILL)
    eventually(lambda: not any(is_alive(pid) for pid in [*pids, *mine]), within_s=GONE_WITHIN_S)


def children_of(pid: int) -> list[int]:
    """Return every process below one."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").glob("*"):
            with contextlib.suppress(FileNotFoundError):
                below = [int(child) for child in (task / "children").read_text().split()]
                found += below
                waiting += below
    return found
