"""Settled writes on record."""

import pytest

from ald.engine import reading
from ald.records.event import WriteOutcome, Written
from unit.engine.programs import S, assign, wait
from unit.engine.world import World


def test_an_acknowledged_write_is_confirmed_and_remembered():
    world = World().ready().start(assign(120.0), wait(50))
    world.run_until_ended()
    (written,) = (w for w in world.events(Written) if w.by == "assign")
    assert written.outcome is WriteOutcome.CONFIRMED
    assert reading.known(world.state, "heater.setpoint") == 120.0


@pytest.mark.parametrize(("fate", "outcome"), [("refuse", WriteOutcome.REFUSED)])
def test_a_refused_write_is_on_record_with_its_error_and_not_remembered(fate, outcome):
    world = World().ready()
    world.fates.append(lambda w: fate if w.lane.value == "recipe" else None)
    world.start(assign(120.0))
    world.run_for(1 * S)
    (written,) = (w for w in world.events(Written) if w.by == "assign")
    assert (written.outcome, written.error) == (outcome, "refused")
    assert reading.known(world.state, "heater.setpoint") == 0.0
