"""The driver killed before and after every write to the record and to the PLC of a recipe with a loop, and the run taken up each time."""

from __future__ import annotations

import functools

import pytest
from typing_extensions import override

from ald.program.model import Program
from ald.records.event import PulseOpening, RunEnded, RunOutcome, RunStarted, StepStarted
from unit.engine.programs import (
    MS,
    assign,
    compiled,
    flow,
    loop,
    named,
    purge,
    together,
    valve,
    wait,
)
from unit.engine.simulated_kills import UID, Killed, attempts, everywhere
from unit.engine.simulated_verbs import schedule_looks

CYCLES = 2


class Resumed(Killed):
    """Somebody takes the run up as soon as the machine is ready again, as the operator would."""

    over_ms = 6000

    @functools.cached_property
    def whole(self) -> Program:
        """What is run from its beginning."""
        cycle = (together([valve("tma", 40), purge(260)], [wait(20)]), valve("water", 30))
        return named(
            compiled(
                assign(50.0),
                flow(20.0),
                purge(260),
                loop(CYCLES, *cycle, purge(260)),
                wait(10),
                cleanup=[flow(5.0)],
                plant=self.plant,
            )
        )

    @override
    def program(self) -> Program:
        self.widest_ns.update({"tma": 40 * MS, "water": 30 * MS})
        self.wholes[UID] = self.whole
        schedule_looks(self, self.over_ms * MS)
        return self.whole

    @override
    def ask_plant(self) -> None:
        self.push_plant()


def judge(life: Resumed) -> None:
    """Every cycle is done whole, but for the one that was cut short; nothing is done twice, and nothing comes out of its turn."""
    journal = life.journal
    ended = [each for each in journal if isinstance(each, RunEnded) and each.run == UID]
    started = [each for each in journal if isinstance(each, RunStarted) and each.run.uid == UID]
    assert [each.attempt for each in started] == list(range(1, len(ended) + 1))
    begun = [each for each in journal if isinstance(each, StepStarted) and each.run == UID]
    assert [each.ordinal for each in begun] == list(range(1, len(begun) + 1))
    opened = [
        each.ordinal for each in journal if isinstance(each, PulseOpening) and each.run == UID
    ]
    assert len(set(opened)) == len(opened)
    pulses = [(each.iterations, each.name) for each in begun if each.step == "valve"]
    assert len(set(pulses)) == len(pulses)
    assert pulses == sorted(pulses)
    if ended[-1].outcome is RunOutcome.COMPLETED:
        whole = [n for n in range(1, CYCLES + 1) if sum(at == (n,) for at, _ in pulses) == 2]
        assert len(whole) >= CYCLES - (len(ended) - 1)
    else:
        # In the cleanup: there is nothing left to go on with.
        assert ended[-1].outcome is RunOutcome.GATEWAY_RESTARTED
        assert len(pulses) == 2 * CYCLES


@pytest.mark.requirement("RC-03")
def test_wherever_the_driver_is_killed_the_run_is_taken_up_and_nothing_is_done_twice():
    lives = everywhere(Resumed, judge)
    assert sum(attempts(life) - 1 for life in lives) > 40
