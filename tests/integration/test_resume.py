"""A run whose executor was killed goes on with the next whole cycle: what the PLC saw, what is on record, what the history says."""

import os
import signal

import pytest

from ald.records.event import RunOutcome
from ald.store.report import Wanted, read_report
from fixtures.processes import RECIPE, Processes
from fixtures.wait import eventually
from fixtures.whole_record import audited, check_feed, check_samples

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CYCLES = 8
KILLS = 2


def pulsed(system: Processes) -> int:
    return sum(1 for edge in system.simulator.trace() if edge["valve"] and edge["state"])


@pytest.mark.requirement("RC-03")
def test_a_run_killed_twice_does_every_cycle_once_but_for_those_that_were_cut_short(
    running: Processes,
):
    operator = running.operator
    uid = operator.start(RECIPE, cycles=CYCLES)
    reached = []
    for attempt in range(1, KILLS + 1):
        before = pulsed(running)
        eventually(lambda: pulsed(running) >= before + 4, within_s=30)  # noqa: B023 -- asked at once
        os.kill(running.executor_pid, signal.SIGKILL)
        cut = operator.ended(uid, within_s=10)
        assert (cut.outcome, cut.attempt) == (RunOutcome.GATEWAY_RESTARTED, attempt)
        assert cut.resumable, cut.message
        reached.append(cut.reached.iterations[-1][0])
        operator.idle()
        again = operator.resume(RECIPE, cut, cycles=CYCLES)
        status = operator.status().driver
        assert status is not None
        assert status.run is not None
        assert (status.run.outcome, status.run.attempt) == (None, again.attempt)
    done = operator.ended(uid, within_s=60)
    assert done.outcome is RunOutcome.COMPLETED, done.message
    assert (done.attempt, done.leaves_done <= done.leaves_total) == (KILLS + 1, True)

    running.stored(uid)
    with running.snapshot() as history:
        check_feed(history)
        check_samples(history)
        pulses = history.sql(
            "SELECT target, iterations[1], count(*) FROM recipe_execution_audit"
            " WHERE process_id = %s AND operation_type = 'valve' GROUP BY 1, 2",
            uid,
        )
        rows = history.sql(
            "SELECT outcome, attempts, end_time > start_time, pulses FROM process_executions WHERE id = %s",
            uid,
        )
        numbers = history.sql(
            "SELECT count(*), max(step_number) FROM step_execution_history WHERE process_id = %s",
            uid,
        )
        begun = history.sql(
            "SELECT body->>'attempt', body ? 'program' FROM machine_events WHERE process_id = %s"
            " AND kind = 'run-started' ORDER BY feed_position",
            uid,
        )
    assert {count for _, _, count in pulses} == {1}, "no pulse of a cycle is done twice"
    for valve in ("tma", "water"):
        cycles = {cycle for target, cycle, _ in pulses if target == valve}
        assert cycles | set(reached) == set(range(1, CYCLES + 1))
    assert sum(audited(running, uid).values()) == done.pulses
    # Killed between record and wire, a pulse is on record of which the PLC has seen nothing.
    assert 0 <= done.pulses - pulsed(running) <= KILLS
    assert rows == [("Completed", KILLS + 1, True, done.pulses)]
    assert numbers[0][0] == numbers[0][1], "steps are numbered through"
    assert begun == [("1", False), ("2", True), ("3", True)]
    assert running.simulator.state()["watchdog"]["trips"] == 0

    report = read_report(running.dsn, Wanted(name=uid), pulses=False)
    assert report.run.attempts == KILLS + 1
    assert report.loops[0].begun == CYCLES
