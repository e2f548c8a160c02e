"""Each part killed while a run is on: the others go on, the machine is safe, and nothing is missing afterwards."""

import os
import signal
import time

import pytest

from ald.records.event import MachineState, RunOutcome
from fixtures.processes import RECIPE, Processes, only_child, watched
from fixtures.wait import eventually
from fixtures.whole_record import check_whole
from integration.system_runs import check_nothing_missing, under_way

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

S = 1_000_000_000
KILLS = 5
CYCLES = 12
OPEN_LONG = {
    **RECIPE,
    "spec": {
        "steps": [
            {"name": "clear", "purge": {"gas": "N2", "flow": 20, "duration": "300ms"}},
            {"name": "tma", "valve": {"valve": "tma", "open": "4900ms"}},
            {"name": "rest", "wait": {"duration": "60s"}},
        ]
    },
}


@pytest.mark.serial
@pytest.mark.requirement("INT-12")
def test_a_killed_executor_leaves_no_valve_open_five_times_in_a_row(running: Processes):
    uids = []
    took_s = []
    for _ in range(KILLS):
        running.operator.idle()
        uid = running.operator.start(OPEN_LONG)
        uids.append(uid)
        eventually(lambda: running.open_valves() == ["tma"], within_s=10)
        killed_ns = time.monotonic_ns()
        os.kill(running.executor_pid, signal.SIGKILL)
        eventually(lambda: running.open_valves() == [], within_s=5)
        closed = [e for e in running.simulator.trace() if e["valve"] and not e["state"]][-1]
        took_s.append((closed["effective_ns"] - killed_ns) / S)
        run = running.operator.ended(uid, within_s=10)
        assert run.outcome is RunOutcome.GATEWAY_RESTARTED
    assert max(took_s) < 2.0, took_s
    running.operator.idle()
    uids.append(running.operator.completed(RECIPE, within_s=30, cycles=2))
    for uid in uids:
        check_whole(running, uid)
    rows = running.sql("SELECT outcome, count(*) FROM process_executions GROUP BY 1 ORDER BY 1")
    assert rows == [("Completed", 1), ("GatewayRestarted", KILLS)]
    assert running.simulator.state()["watchdog"]["trips"] == 0, "each executor's beat is a new one"
    assert running.driver.pid, "the supervisor lived through it all"


@pytest.mark.requirement("INT-04")
def test_a_run_goes_on_without_its_front_which_catches_up(running: Processes):
    uid = under_way(running, CYCLES)
    running.front.kill()
    pulses = len(running.simulator.trace())
    eventually(lambda: len(running.simulator.trace()) > pulses + 4, within_s=10)
    running.front.start()
    check_nothing_missing(running, uid, CYCLES)


@pytest.mark.requirement("INT-04")
def test_a_run_is_recorded_once_although_the_logger_was_killed(running: Processes):
    uid = under_way(running, CYCLES)
    running.logger.kill()
    pulses = len(running.simulator.trace())
    eventually(lambda: len(running.simulator.trace()) > pulses + 4, within_s=10)
    running.logger.start()
    check_nothing_missing(running, uid, CYCLES)


@pytest.mark.requirement("INT-14")
def test_a_run_is_recorded_once_although_the_database_was_away(tmp_path, own_postgres):
    own_postgres.start()
    dsn = own_postgres.server.create_database()
    with watched(tmp_path, dsn) as system:
        system.start()
        uid = under_way(system, CYCLES)
        own_postgres.stop()
        pulses = len(system.simulator.trace())
        eventually(lambda: len(system.simulator.trace()) > pulses + 8, within_s=15)
        eventually(lambda: system.logger.plain("/readyz")[0] == 503, within_s=20)
        assert "database: not ok" in system.logger.plain("/readyz")[1]
        own_postgres.start()
        check_nothing_missing(system, uid, CYCLES)
        assert system.logger.plain("/readyz")[0] == 200
        tries = len(system.logger.said("database_not_ready"))
        assert tries <= 3, "a change is said once"


@pytest.mark.requirement("FI-PF-01")
def test_a_lost_plc_ends_the_run_and_waits_for_somebody_to_look(running: Processes):
    uid = under_way(running, CYCLES)
    running.simulator.kill()
    run = running.operator.ended(uid, within_s=20)
    assert run.outcome is RunOutcome.LINK_LOST
    status = running.operator.wait_for(
        lambda s: s.driver is not None and s.driver.state is MachineState.ABORTED, within_s=20
    )
    assert status.driver is not None
    assert not status.driver.link.connected
    assert running.front.plain("/readyz")[0] == 200, "the PLC is a condition, not a failed probe"
    assert running.logger.plain("/readyz")[0] == 200
    running.stored(uid)
    running.simulator.start()
    running.operator.wait_for(
        lambda s: s.driver is not None and s.driver.link.connected, within_s=20
    )
    back = running.operator.status().driver
    assert back is not None
    assert back.state is MachineState.ABORTED, "nobody has looked yet"
    running.operator.clear()
    running.operator.idle()
    check_whole(running, running.operator.completed(RECIPE, within_s=30, cycles=2))
    check_whole(running, uid)


def test_the_front_may_die_while_the_machine_is_made_safe(running: Processes):
    uid = running.operator.start(OPEN_LONG)
    eventually(lambda: running.open_valves() == ["tma"], within_s=10)
    running.front.kill()
    os.kill(running.executor_pid, signal.SIGKILL)
    eventually(lambda: running.open_valves() == [], within_s=2)
    supervisor = running.driver.pid
    running.front.start()
    run = running.operator.ended(uid, within_s=15)
    assert run.outcome is RunOutcome.GATEWAY_RESTARTED
    assert only_child(supervisor)
    running.operator.idle()
    check_whole(running, uid)
