"""The table of the machine's states, row by row."""

import pytest

from ald.engine.transitions import TRANSITIONS, Cause, next_state
from ald.records.event import MachineState


@pytest.mark.parametrize(
    ("state", "cause", "following"),
    [
        ("Stopped", "reset", "Idle"),
        ("Stopped", "abort", "Aborting"),
        ("Idle", "stop", "Stopped"),
        ("Idle", "start", "Execute"),
        ("Idle", "abort", "Aborting"),
        ("Execute", "hold", "Held"),
        ("Execute", "complete", "Completing"),
        ("Execute", "abort", "Aborting"),
        ("Completing", "hold", "Held"),
        ("Completing", "done", "Idle"),
        ("Completing", "abort", "Aborting"),
        ("Held", "unhold", "Execute"),
        ("Held", "complete", "Completing"),
        ("Held", "abort", "Aborting"),
        ("Aborting", "safe", "Stopped"),
        ("Aborting", "latch", "Aborted"),
        ("Aborted", "clear", "Stopped"),
    ],
)
def test_each_cause_leads_where_the_table_says(state, cause, following):
    assert next_state(MachineState(state), Cause(cause)) is MachineState(following)


def test_there_is_no_other_way():
    assert len(TRANSITIONS) == 17
    ways = [(s, c) for s in MachineState for c in Cause if next_state(s, c) is not None]
    assert len(ways) == 17


def test_out_of_aborted_leads_only_clear():
    assert [c for c in Cause if next_state(MachineState.ABORTED, c)] == [Cause.CLEAR]


def test_from_every_state_with_a_run_an_abort_leads_out():
    for state in (MachineState.EXECUTE, MachineState.HELD, MachineState.COMPLETING):
        assert next_state(state, Cause.ABORT) is MachineState.ABORTING
