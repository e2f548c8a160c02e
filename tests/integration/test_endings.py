"""Each part told to end in the middle of its work, or failing as nobody expects: it ends in time and holds nothing, and the record is whole.

Told to end are all parts of one system in turn, while a run is on: the logger in the middle of a batch, the front with a long poll open and
with records that nobody has read. What follows takes up where they were.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import psycopg
import pytest

from ald.gateway.front import app as front_app
from ald.gateway.front.service import WAITING_MAX
from ald.gateway.holder import Holder, holder_name
from ald.gateway.ring import EVENT, RingReader
from ald.records.event import RunEnded, RunOutcome, SessionEnded
from ald.wire import GatewayStatus
from fixtures.driver_process import Driver
from fixtures.front import Front
from fixtures.processes import END_S_MAX, RECIPE, Part, Processes
from fixtures.records import pulse_done, session_started
from fixtures.run_order import order_of
from fixtures.simulator import Simulator
from fixtures.wait import eventually
from fixtures.whole_record import check_whole
from integration.driver_runs import LONG, idle, idle_bench, looped
from integration.endings import FAULTY, TOLD, check_told, family, tell
from integration.orders import driver_is, until
from integration.system_runs import under_way

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SHORT_FAREWELL = """
from ald.gateway.front import app
app.FAREWELL_S = 2.0
raise SystemExit(app.main())
"""
"""A front that waits for a driver that goes on for two seconds instead of the product's twenty-five."""

POLL_S = 20.0
"""Longest wait of a poll: longer than such a front lives."""

STATE_FILES = {"holder", "feed.holder", "feed.db", "plant.bin", "runs.bin", "reserved.bin"}
RUN_FILES = {"ring", "driver.alive", "run.state"}

MANY_CYCLES = 500
"""A run that is longer than its test."""


@pytest.fixture
def system(unstarted: Processes) -> Processes:
    """The system with a directory of its own for temporary files, not started."""
    temporary(unstarted).mkdir()
    for part in unstarted.parts:
        part.environment = part.environment | {"TMPDIR": str(temporary(unstarted))}
    return unstarted


def temporary(system: Processes) -> Path:
    return system.directory / "tmp"


def told(number: signal.Signals, *parts: Part) -> list[int]:
    """Tell parts to end, all at once, and return how each did; nothing of them runs on."""
    leaders = [part.pid for part in parts]
    for leader in leaders:
        tell(leader, number)
    codes = [part.ended() for part in parts]
    assert [family(leader) for leader in leaders] == [set()] * len(parts)
    return codes


def check_left(system: Processes) -> None:
    """A gateway that has ended holds neither machine nor journal, and leaves only files that its successor reads."""
    assert system.simulator.state()["connections"]["open"] == 0
    for name in ("holder", "feed.holder"):
        path = system.state_dir / name
        assert holder_name(path) == "", "nobody is told of a holder that has let go"
        Holder(path, "the test").release()
    assert {file.name for file in system.state_dir.iterdir()} <= STATE_FILES
    assert {file.name for file in (system.directory / "run").iterdir()} <= RUN_FILES
    assert list(temporary(system).iterdir()) == []


def check_flushed(system: Processes) -> None:
    """Every record of the driver's has gone from the ring into the journal."""
    ring = RingReader(system.directory / "run" / "ring")
    assert ring.read(1) == []
    ring.close()


def check_goes_on(system: Processes, uid: str, outcome: RunOutcome) -> None:
    """The run is over on record, all of it in the history, once; and the next one works."""
    system.ready()
    assert system.operator.ended(uid, within_s=20).outcome is outcome
    following = system.operator.completed(RECIPE, within_s=30, cycles=2)
    for each in (uid, following):
        check_whole(system, each)
    assert system.simulator.overlaps() == []


def sessions(system: Processes) -> int:
    """Return how many connections of the logger the database has."""
    return system.count(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'ald-logger'"
    )


@contextlib.contextmanager
def amid_a_batch(system: Processes) -> Iterator[None]:
    """Keep the logger in the middle of storing a batch."""
    with psycopg.connect(system.dsn) as connection:
        connection.execute("LOCK TABLE scans IN EXCLUSIVE MODE")
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'ald-logger' AND wait_event_type = 'Lock'"
        )
        eventually(lambda: system.count(waiting) > 0, within_s=20)
        yield


@pytest.mark.requirement("RC-01")
@pytest.mark.requirement("RC-02")
@pytest.mark.parametrize("number", TOLD)
def test_told_to_end_in_the_middle_of_a_run_each_part_ends_and_its_successor_takes_up(
    system: Processes, number: signal.Signals
):
    system.start()
    uid = under_way(system, MANY_CYCLES)

    with amid_a_batch(system):
        assert told(number, system.logger) == [0]
        eventually(lambda: sessions(system) == 0, within_s=10)

    # As at the end of a pod: both at once.
    assert told(number, system.driver, system.front) == [0, 0]
    assert system.open_valves() == []
    check_flushed(system)
    check_left(system)

    for part in system.parts:
        part.start()
    check_goes_on(system, uid, RunOutcome.SHUTDOWN)
    assert "Traceback" not in "".join(part.log_file.read_text() for part in system.parts)


@pytest.mark.requirement("RC-01")
def test_an_executor_told_to_end_in_mid_pulse_shuts_the_valve_and_its_supervisor_ends_too(
    simulator, start_driver
):
    driver, simulator, plant = idle_bench(simulator, start_driver)
    supervisor = driver.supervisor_pid
    assert driver.run(order_of(plant, looped(10, *LONG), 42)).error is None
    eventually(lambda: simulator.state()["open_valves"] == ["tma"], within_s=10)
    os.kill(driver.executor_pid, signal.SIGTERM)
    eventually(lambda: family(supervisor) == set(), within_s=END_S_MAX)
    assert [line["status"] for line in driver.log if line["event"] == "driver_stopped"] == [0]
    check_driver_left(driver, simulator)


def check_driver_left(driver: Driver, simulator: Simulator) -> None:
    """It ended in good order: the valve was shut by it and not by the watchdog, its record has an end, and the machine is free."""
    found = simulator.state()
    assert found["open_valves"] == []
    assert found["watchdog"]["trips"] == 0
    assert found["connections"]["open"] == 0
    assert driver.of(RunEnded)[-1].outcome is RunOutcome.SHUTDOWN
    assert len(driver.of(SessionEnded)) == 1
    Holder(driver.directory / "state" / "holder", "the test").release()


@pytest.mark.requirement("RC-01")
@pytest.mark.requirement("RC-02")
@pytest.mark.parametrize("number", TOLD)
async def test_a_front_whose_driver_goes_on_answers_and_ends_when_its_patience_does(
    idle_front: Front, number: signal.Signals
):
    front = idle_front
    front.program = ("-c", SHORT_FAREWELL)
    front.start()
    front.ring.append(EVENT, session_started("session-a"))
    eventually(lambda: front.metric("ald_feed_position") == 1.0, within_s=10)
    leader = front.pid
    async with front.client("operator") as operator:
        await until(lambda: driver_is(operator, up=True))
        poll = f"/v1/status?seen={(await operator.status()).revision}&wait={POLL_S}"

        async def is_refused() -> bool:
            return any(each.done() for each in polls)

        async with asyncio.TaskGroup() as group:
            polls = [group.create_task(operator.call("GET", poll)) for _ in range(WAITING_MAX + 1)]
            # One is too many, so all others wait.
            await until(is_refused)
            os.kill(leader, number)
            eventually(lambda: '"front_ending"' in front.log, within_s=10)
            # What comes after it was told to end is kept, too.
            front.ring.append(EVENT, pulse_done())
    answers = [body for code, body in (each.result() for each in polls) if code == 200]
    assert len(answers) == WAITING_MAX
    assert {msgspec.json.decode(body, type=GatewayStatus).feed_position for body in answers} == {2}
    assert await asyncio.to_thread(front.ended, END_S_MAX) == 0
    assert family(leader) == set()
    assert front.ring.used == 0
    Holder(front.directory / "state" / "feed.holder", "the test").release()
    assert "Traceback" not in front.log


def test_a_front_has_ended_within_half_a_minute_whatever_it_waits_for():
    assert front_app.FAREWELL_S + 2 * front_app.HANDLERS_S < END_S_MAX


def plan(system: Processes, part: Part) -> Path:
    """Return the file that makes this part fail; see `fixtures.faulty`."""
    return system.directory / f"{part.name}.plan"


def may_fail(system: Processes, part: Part, place: str) -> None:
    part.program = (FAULTY, plan(system, part), place, part.module)


def failed(system: Processes, part: Part) -> None:
    """Have a part fail, and see that it says so and ends, with nothing left that runs."""
    leader = part.pid
    plan(system, part).touch()
    assert part.ended() == 1
    assert family(leader) == set()
    check_told(part.said(f"{part.name}_crashed"))


@pytest.mark.requirement("RC-04")
def test_a_fault_in_logger_front_or_executor_is_told_and_the_successor_takes_up(system: Processes):
    # Behind every row of a batch, and before its end.
    may_fail(system, system.logger, "ald.store.batch:_Writer._extend_segments")
    may_fail(system, system.front, "ald.gateway.front.board:Board.answered")
    may_fail(system, system.driver, "ald.gateway.driver.executor:Executor._news")
    system.start()
    uid = under_way(system, MANY_CYCLES)

    failed(system, system.logger)
    eventually(lambda: sessions(system) == 0, within_s=10)
    system.logger.start()

    failed(system, system.front)
    Holder(system.state_dir / "feed.holder", "the test").release()
    system.front.start()

    supervisor, executor = system.driver.pid, system.executor_pid
    plan(system, system.driver).touch()
    eventually(lambda: bool(system.driver.said("executor_crashed")), within_s=10)
    check_told(system.driver.said("executor_crashed"))
    eventually(lambda: executor not in family(supervisor), within_s=10)
    eventually(lambda: system.open_valves() == [], within_s=10)
    check_goes_on(system, uid, RunOutcome.GATEWAY_RESTARTED)
    assert system.simulator.state()["connections"]["open"] == 1
    assert list(temporary(system).iterdir()) == []


@pytest.mark.requirement("RC-04")
def test_a_fault_in_the_journals_thread_is_told_and_costs_no_record(idle_front: Front):
    front, faults = idle_front, idle_front.directory / "plan"
    front.program = (FAULTY, faults, "ald.gateway.front.feed:Feed.store", "ald.gateway.front")
    front.start()
    front.ring.append(EVENT, session_started("session-a"))
    eventually(lambda: front.metric("ald_feed_position") == 1.0, within_s=10)
    leader = front.pid
    faults.touch()
    front.ring.append(EVENT, pulse_done())
    assert front.ended(END_S_MAX) == 1
    assert family(leader) == set()
    check_told([json.loads(line) for line in front.log.splitlines() if "front_crashed" in line])
    Holder(front.directory / "state" / "feed.holder", "the test").release()
    front.start()
    eventually(lambda: front.metric("ald_feed_position") == 2.0, within_s=10)
    assert front.ring.used == 0


@pytest.mark.requirement("RC-04")
def test_a_supervisor_that_fails_in_mid_pulse_ends_its_executor_in_good_order(
    simulator, start_driver, tmp_path: Path
):
    faults = tmp_path / "plan"
    program = (FAULTY, faults, "os:waitpid", "ald.gateway.driver")
    driver, simulator, plant = idle_bench(simulator, partial(start_driver, program=program))
    supervisor = driver.supervisor_pid
    assert driver.run(order_of(plant, looped(10, *LONG), 42)).error is None
    eventually(lambda: simulator.state()["open_valves"] == ["tma"], within_s=10)
    faults.touch()
    eventually(lambda: family(supervisor) == set(), within_s=END_S_MAX)
    check_told([line for line in driver.log if line["event"] == "driver_crashed"])
    check_driver_left(driver, simulator)
    driver.stop()
    driver.start().load(plant)
    idle(driver)
