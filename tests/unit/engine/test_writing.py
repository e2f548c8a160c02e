"""Settled writes on record."""

import pytest

from ald.engine import reading
from ald.engine.effects import Lane
from ald.records.event import RunEnded, RunOutcome, WriteOutcome, Written
from unit.engine.programs import MS, UID, S, assign, purge, ramp, wait
from unit.engine.world import World

WRITES = pytest.mark.parametrize(
    ("step", "by", "value"),
    [
        (assign(120.0), "assign", 120.0),
        (ramp(120.0, per_second=1e9), "ramp", 120.0),
        (purge(100, flow=60.0), "purge", 60.0),
    ],
)


def aborted_meanwhile(step, fate, *, of_others=None):
    """Return a world whose run was aborted while the step's write was on its way; the fates are those of it and of other writes."""
    world = World().ready()

    def fate_of(write):
        if write.lane is not Lane.RECIPE:
            return of_others
        world.at(1 * MS, world.abort)
        return fate

    world.fates.append(fate_of)
    world.start(step, wait(50)).run_until_ended()
    return world


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


@WRITES
@pytest.mark.parametrize("fate", ["ok", "unknown"])
def test_a_write_that_was_on_its_way_when_the_run_was_aborted_is_on_record(step, by, value, fate):
    world = aborted_meanwhile(step, fate)
    (ended,) = world.events(RunEnded)
    assert ended.outcome is RunOutcome.ABORTED
    (written,) = (w for w in world.events(Written) if w.by == by)
    assert (written.value, written.run) == (value, UID)
    assert written.outcome is (WriteOutcome.CONFIRMED if fate == "ok" else WriteOutcome.UNKNOWN)
    assert written.at_ns <= ended.at_ns


def test_what_an_abort_takes_back_unsent_is_not_on_record():
    world = World().ready().start(assign(120.0), wait(50))
    world.abort()
    world.run_until_ended()
    assert [w for w in world.events(Written) if w.by == "assign"] == []


@WRITES
@pytest.mark.parametrize("fate", ["mute", "lost"])
def test_a_write_that_was_on_its_way_when_the_connection_was_lost_is_on_record(
    step, by, value, fate
):
    world = World().ready()
    world.fates.append(lambda w: fate if w.lane is Lane.RECIPE else None)
    ended = world.start(step, wait(50)).run_until_ended()
    assert ended.outcome is RunOutcome.LINK_LOST
    (written,) = (w for w in world.events(Written) if w.by == by)
    assert (written.value, written.outcome) == (value, WriteOutcome.UNKNOWN)
    assert written.error == ended.message


@pytest.mark.parametrize("then", ["ok", "unknown"])
def test_it_is_once_on_record_where_the_answer_comes_before_the_connection_is_lost(then):
    # The safe state is never answered.
    world = aborted_meanwhile(assign(120.0), then, of_others="mute")
    (written,) = (w for w in world.events(Written) if w.by == "assign")
    assert written.outcome is (WriteOutcome.CONFIRMED if then == "ok" else WriteOutcome.UNKNOWN)
