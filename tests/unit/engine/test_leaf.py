"""Whatever kind a leaf is, its beginning and its end are on record, and a broken rule undoes what it began."""

import pytest

from ald.engine.leaf import KINDS
from ald.records.event import RunOutcome, StepEnded, StepStarted, Written
from unit.engine.programs import (
    assign,
    prompt,
    purge,
    ramp,
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
