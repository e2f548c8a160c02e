"""Power lost before and after every write to the record and to the PLC: memory is gone, the volume is not, and the run is taken up by it."""

from __future__ import annotations

import pytest
from typing_extensions import override

from ald.engine.reservation import AHEAD
from ald.program.model import Program
from ald.records.event import RunEnded, RunOutcome, StepStarted
from unit.engine.programs import MS, compiled, flow, loop, named, purge, valve, wait
from unit.engine.simulated_kills import UID, Killed, attempts, everywhere
from unit.engine.simulated_parts import Crash
from unit.engine.simulated_verbs import schedule_looks

CYCLES = 9
STEP = 3
"""Every so many boundaries: a life of nine cycles has many, and each is a life."""


class Unplugged(Killed):
    """With the process its memory is lost; what the volume has stays. Somebody takes the run up as the operator would."""

    over_ms = 9000

    @override
    def program(self) -> Program:
        self.widest_ns.update({"tma": 20 * MS, "water": 20 * MS})
        cycle = (valve("tma", 20), purge(260), valve("water", 20), purge(260))
        steps = (flow(20.0), purge(260), loop(CYCLES, *cycle), wait(10))
        made = named(compiled(*steps, cleanup=[flow(5.0)], plant=self.plant))
        self.wholes[UID] = made
        schedule_looks(self, self.over_ms * MS)
        return made

    @override
    def ask_plant(self) -> None:
        self.push_plant()

    @override
    def pass_boundary(self) -> None:
        try:
            super().pass_boundary()
        except Crash:
            (self.directory / "run.state").unlink()
            self.has_lost_memory = True
            raise


def judge(life: Unplugged) -> None:
    """No pulse is begun twice, and no more cycles are left out than were reserved."""
    journal = life.journal
    ended = [each for each in journal if isinstance(each, RunEnded) and each.run == UID]
    begun = [each for each in journal if isinstance(each, StepStarted) and each.run == UID]
    ordinals = [each.ordinal for each in begun]
    assert ordinals == sorted(set(ordinals))
    pulses = [(each.iterations[0], each.name) for each in begun if each.step == "valve"]
    assert len(set(pulses)) == len(pulses)
    assert pulses == sorted(pulses)
    if not life.was_killed:
        assert ended[-1].outcome is RunOutcome.COMPLETED
        return
    (lost, *later) = ended
    assert lost.outcome is RunOutcome.GATEWAY_RESTARTED
    assert not lost.exact
    assert "may have begun" in lost.message
    whole = {at for at, _ in pulses if sum(other == at for other, _ in pulses) == 2}
    if later:
        assert later[-1].outcome is RunOutcome.COMPLETED
        assert not later[-1].exact
        # The one that was cut short, and all that were reserved behind it.
        assert len(whole) >= CYCLES - 1 - AHEAD


@pytest.mark.requirement("RC-03")
def test_wherever_power_is_lost_nothing_is_done_twice_and_what_is_uncertain_is_bounded():
    lives = everywhere(Unplugged, judge, step=STEP)
    assert sum(attempts(life) - 1 for life in lives) > 10
