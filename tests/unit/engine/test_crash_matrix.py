"""The driver killed before and after every write to the record and every write to the PLC of a small recipe, one life for each."""

from __future__ import annotations

import pytest
from typing_extensions import override

from ald.program.model import Program
from ald.records.event import (
    PulseDone,
    RunEnded,
    RunOutcome,
    SessionStarted,
    StepEnded,
    StepStarted,
)
from unit.engine.programs import MS, assign, compiled, flow, purge, together, valve, wait
from unit.engine.simulated_kills import UID, Killed, everywhere


class Small(Killed):
    """Every kind of step that writes, and two side by side."""

    @override
    def program(self) -> Program:
        self.widest_ns.update({"tma": 40 * MS, "vent": 60 * MS, "water": 30 * MS})
        return compiled(
            assign(50.0),
            purge(260, 30.0),
            together([valve("tma", 40), purge(260)], [valve("vent", 60), wait(20)]),
            valve("water", 30),
            cleanup=[flow(5.0)],
            plant=self.plant,
        )


def judge(life: Killed) -> None:
    """The end of the run is on record once, at the place where it was, and says how far it had come."""
    journal = life.journal
    (ended,) = [each for each in journal if isinstance(each, RunEnded) and each.run == UID]
    at = journal.index(ended)
    if not life.was_killed or ended.outcome is RunOutcome.COMPLETED:
        assert ended.outcome is RunOutcome.COMPLETED
        return
    assert ended.outcome is RunOutcome.GATEWAY_RESTARTED
    again = max(i for i, each in enumerate(journal[:at]) if isinstance(each, SessionStarted))
    before = [each for each in journal[:again] if getattr(each, "run", "") == UID]
    begun = [each for each in before if isinstance(each, StepStarted)]
    done = [each for each in before if isinstance(each, StepEnded) and not each.error]
    whole = [each for each in before if isinstance(each, PulseDone)]
    found = [each for each in journal[again:at] if isinstance(each, PulseDone)]
    number = begun[-1].ordinal if begun else 0
    assert f"was number {number}," in ended.message
    assert (ended.leaves_done, ended.pulses) == (len(done), len(whole) + len(found))
    closed = {each.ordinal for each in journal[again:at] if isinstance(each, StepEnded)}
    over = {each.ordinal for each in before if isinstance(each, StepEnded)}
    assert closed == {each.ordinal for each in begun} - over


@pytest.mark.requirement("RC-03")
def test_wherever_the_driver_is_killed_the_next_one_knows_exactly_how_far_the_run_was():
    assert len(everywhere(Small, judge)) > 40
