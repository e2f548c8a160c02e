"""What goes on record of the inputs of a run: all that changed anything, and nothing else."""

import pytest
from msgspec.structs import replace

from ald.engine.effects import Effect, Journal
from ald.engine.inputs import PlantGiven, Tick, WatchdogSeen
from ald.engine.step import step
from ald.engine.taken import INPUTS_MAX, Book, checkpoint_of, inputs_of, noted, sealed
from ald.errors import CorruptRecordError
from ald.plant.model import digest
from ald.records.event import InputsTaken, RunStarted, Written
from unit.engine.programs import PLANT, S, assign, wait
from unit.engine.recording import recorded
from unit.engine.world import World


def taken_of(world):
    return [each for each in recorded(world.inputs) if isinstance(each, InputsTaken)]


def test_without_a_run_nothing_is_kept():
    world = World().ready().run_for(60 * S)
    assert taken_of(world) == []


def test_the_first_one_holds_the_state_before_the_run_and_the_others_do_not():
    world = World().ready()
    before = world.state
    world.start(assign(5.0), wait(100)).run_until_ended()
    first, *others = taken_of(world)
    assert checkpoint_of(first) == before
    assert all(each.checkpoint == b"" for each in others)
    records = recorded(world.inputs)
    assert isinstance(records[records.index(first) - first.events], RunStarted)


def test_an_input_that_changes_nothing_is_not_kept():
    world = World().ready().start(wait(60_000))
    given = Tick(at_ns=world.now)
    now, effects = step(world.state, given)
    book, out = noted(Book(), (world.state, given, now), effects, is_scan_recorded=False)
    assert (book.kept, out) == ((), ())


def test_what_brings_no_event_goes_on_record_after_so_many():
    world = World().ready().start(wait(120_000))
    book, state = Book(), world.state
    out: tuple[Effect, ...] = ()
    for number in range(INPUTS_MAX):
        given = WatchdogSeen(at_ns=world.now + number, ok=True)
        now, effects = step(state, given)
        book, out = noted(book, (state, given, now), effects, is_scan_recorded=False)
        state = now
        assert len(out) == (number == INPUTS_MAX - 1)
    (effect,) = out
    assert isinstance(effect, Journal)
    assert isinstance(effect.event, InputsTaken)
    assert (effect.event.events, len(inputs_of(effect.event))) == (0, INPUTS_MAX)
    assert book.kept == ()


def test_a_plant_given_again_is_named_and_not_repeated():
    world = World().ready().start(wait(1000))
    world.give(PlantGiven(at_ns=world.now, plant=PLANT, plant_digest=digest(PLANT), confirmed=True))
    world.run_until_ended()
    _, *others = taken_of(world)
    assert all(len(each.inputs) < 2000 for each in others)


def test_a_seal_depends_on_the_one_before_and_on_every_byte():
    world = World().ready().start(assign(5.0))
    world.run_until_ended()
    assert world.events(Written)
    first, second, *_ = taken_of(world)
    assert sealed(first, "") == first
    assert sealed(second, first.seal) == second
    assert sealed(second, "") != second


@pytest.mark.parametrize("field", ["checkpoint", "inputs"])
def test_what_cannot_be_read_is_said_so(field):
    event = InputsTaken(at_ns=0, wall_ns=0, run="r", events=0, checkpoint=b"", inputs=b"", seal="")
    broken = replace(event, **{field: b"\xc1"})
    with pytest.raises(CorruptRecordError, match="cannot be read"):
        (checkpoint_of if field == "checkpoint" else inputs_of)(broken)
