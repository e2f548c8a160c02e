import typing

import msgspec
import pytest

from ald.records.event import (
    Event,
    InputsTaken,
    PulseDone,
    PulseTiming,
    RunIdentity,
    RunOutcome,
    RunStarted,
    StateChanged,
    WriteOutcome,
    run_of,
)
from ald.store.events import STATUS, Place, statements
from ald.store.model import utc
from unit.store.feeds import PLANT, PROGRAM, RUN, WALL

PLACE = Place(machine_id=1, feed="f", position=9, session="s")
VALUES = {"run": RUN, "plant": PLANT, "program": PROGRAM, "recipe_source": "{}", "iterations": ()}
VALUES["timing"] = PulseTiming()
VALUES["readings"] = {"gauge.pressure": 812.5, "broken": None}


def made(kind, **changes):
    """Return an event of this kind with something in every field."""
    values = {}
    for field in msgspec.structs.fields(kind):
        if field.name in VALUES:
            values[field.name] = VALUES[field.name]
        elif isinstance(field.type, type) and issubclass(field.type, (int, float, str)):
            values[field.name] = field.type(1)
        else:
            values[field.name] = next(iter(field.type))
    if kind is RunStarted:
        values["run"] = RunIdentity(namespace="lab", name="r", uid=RUN)
    return kind(**values | changes)


@pytest.mark.parametrize(
    "kind", [k for k in typing.get_args(Event) if k is not InputsTaken], ids=lambda k: k.__name__
)
def test_every_kind_of_event_leaves_a_row(kind):
    found = statements(made(kind), PLACE)
    assert found
    for statement in found:
        assert statement.sql.count("%s") == len(statement.parameters)


def test_large_parts_are_not_kept_twice():
    *_, record = statements(made(RunStarted), PLACE)
    body = msgspec.json.decode(str(record.parameters[-1]))
    assert not {"program", "recipe_source"} & body.keys()
    assert body["run"]["uid"] == RUN


def test_an_event_knows_its_run():
    assert run_of(made(RunStarted)) == RUN
    assert run_of(made(StateChanged)) == RUN


def test_monotonic_times_become_utc_by_the_event_s_own_two_clocks_and_nought_is_unknown():
    event = made(
        PulseDone,
        at_ns=5_000_000_000,
        wall_ns=WALL,
        due_ns=4_000_000_000,
        closed_ack_ns=0,
        outcome=WriteOutcome.CONFIRMED,
    )
    (statement,) = statements(event, PLACE)
    assert utc(WALL - 1_000_000_000) in statement.parameters
    assert None in statement.parameters


def test_every_outcome_has_a_status():
    assert {STATUS.get(o, "failed") for o in RunOutcome} == {"completed", "aborted", "failed"}


def test_what_the_engine_was_told_stays_in_the_feed():
    event = InputsTaken(
        at_ns=1, wall_ns=2, run=RUN, events=3, checkpoint=b"c", inputs=b"i", seal="s"
    )
    assert statements(event, PLACE) == ()
