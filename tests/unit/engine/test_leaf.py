"""Whatever kind a leaf is, its beginning and its end are on record, and a broken rule undoes what it began."""

import pytest

from ald.engine.leaf import KINDS
from ald.records.event import RunOutcome, StepEnded, StepStarted, Written
from unit.engine.programs import (
    MS,
    assign,
    prompt,
    purge,
    ramp,
    together,
    valve,
    wait,
    wait_for,
)
from unit.engine.world import World

LEAVES = {
    "valve": valve("vent", 40),
    "purge": purge(100),
    "set": assign(5.0),
    "ramp": ramp(5.0, 5.0),
    "wait": wait(100),
    "waitFor": wait_for("value('heater.temperature') < 1.0", ("heater.temperature",), 0, 1000),
    "prompt": prompt(timeout_ms=100),
}


def test_every_kind_of_leaf_has_a_word():
    assert set(KINDS.values()) == set(LEAVES)
    assert set(KINDS) == {type(each) for each in LEAVES.values()}


@pytest.mark.parametrize("kind", LEAVES)
def test_each_kind_begins_and_ends_on_record(kind):
    world = World().ready().start(LEAVES[kind])
    world.run_until_ended()
    (begun,), (ended,) = world.events(StepStarted), world.events(StepEnded)
    assert (begun.step, begun.ordinal, ended.ordinal) == (kind, 1, 1)
    assert bool(ended.error) is (kind == "prompt")


def test_a_broken_rule_undoes_what_the_leaf_began():
    world = World().ready().start(assign(501.0))
    assert world.run_until_ended().outcome is RunOutcome.SAFETY_VIOLATION
    assert [event for event in world.events(Written) if event.by == "assign"] == []


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (assign(501.0), "501"),
        (ramp(5.0, 5.0), "nowhere to start"),
        (purge(100), "give it its value back"),
        (valve("tma", 40), "needs 250ms more purge"),
    ],
)
@pytest.mark.parametrize("is_beside", [False, True])
@pytest.mark.parametrize("is_last", [False, True])
def test_a_leaf_that_fails_as_it_begins_has_its_end_and_the_reason_on_record(
    step, why, is_beside, is_last
):
    world = World().ready()
    world.overrides |= {"heater.setpoint": None, "mfc.setpoint": None}
    world.run_for(200 * MS)
    steps = [together([step], [wait(50)])] if is_beside else [step]
    world.start(*([] if is_last else steps), cleanup=steps if is_last else ())
    world.run_until_ended()
    begun = {event.ordinal for event in world.events(StepStarted)}
    ends = {event.ordinal: event.error for event in world.events(StepEnded)}
    assert (set(ends), len(world.events(StepEnded))) == (begun, len(begun))
    assert why in ends[1]
