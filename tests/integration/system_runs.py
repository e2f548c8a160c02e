"""A run of the whole system that something happens to."""

from ald.records.event import RunOutcome
from fixtures.processes import RECIPE, Processes
from fixtures.wait import eventually
from fixtures.whole_record import audited, check_whole


def under_way(system: Processes, cycles: int) -> str:
    """Start a run and return its uid as soon as it has pulsed."""
    system.simulator.reset_trace()
    uid = system.operator.start(RECIPE, cycles=cycles)
    eventually(lambda: len(system.simulator.trace()) >= 6, within_s=15)
    return uid


def check_nothing_missing(system: Processes, uid: str, cycles: int) -> None:
    """The run went on as if nothing had happened, and all of it is in the history, once."""
    run = system.operator.ended(uid, within_s=60)
    assert run.outcome is RunOutcome.COMPLETED, run.message
    check_whole(system, uid)
    assert audited(system, uid) == {"tma": cycles, "water": cycles}
    opened = [e for e in system.simulator.trace() if e["valve"] and e["state"]]
    assert len(opened) == 2 * cycles
