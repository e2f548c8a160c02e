"""The same inputs give the same effects."""

import enum

import msgspec
import pytest
from msgspec.structs import replace

from ald.engine.inputs import ClearAsked, ConfirmAsked
from ald.engine.replay import replay, replay_run
from ald.engine.taken import left_out
from ald.engine.trace import open_run
from ald.errors import CorruptRecordError
from ald.records.event import InputsTaken, RunEnded, RunOutcome, RunStarted
from ald.records.scan import Scan
from unit.engine.programs import (
    MS,
    OTHER_UID,
    UID,
    S,
    assign,
    flow,
    loop,
    prompt,
    purge,
    ramp,
    together,
    valve,
    wait,
)
from unit.engine.recording import positions, recorded
from unit.engine.world import World


def test_a_session_replayed_gives_the_same_effects_and_ends_in_the_same_state():
    world = World().ready().start(flow(20.0), loop(5, purge(300), valve("tma", 40)))
    world.run_for(700 * MS)
    world.disconnect()
    world.connect()
    world.run_for(1 * S)
    replayed = list(replay(world.inputs))
    assert [e for _, _, effects in replayed for e in effects] == world.log
    assert replayed[-1][1] == world.state


def test_a_refused_request_is_an_input_without_effects():
    world = World().ready()
    inputs = [*world.inputs, ClearAsked(at_ns=world.now, by="me", comment="")]
    *_, (_, state, effects) = replay(inputs)
    assert effects == ()
    assert state == world.state


def test_a_replay_goes_on_from_any_state():
    world = World().ready()
    half = world.state
    count = len(world.inputs)
    world.start(purge(300))
    world.abort()
    world.run_for(1 * S)
    *_, (_, state, _) = replay(world.inputs[count:], half)
    assert state == world.state


# From the record.


def a_life():
    """Return a world in which a run with a bit of everything came to its end."""
    world = (
        World()
        .ready()
        .start(
            flow(20.0),
            purge(300),
            together([valve("tma", 40), purge(300)], [ramp(4.0, 2.0)], [valve("vent", 100)]),
            prompt(),
            wait(200),
            cleanup=(assign(25.0),),
        )
    )
    world.run_for(4 * S)
    world.give(ConfirmAsked(at_ns=world.now, target=f"{UID[:8]}-7", by="anna", comment="yes"))
    world.run_until_ended()
    return world.run_for(1 * S)


def altered(value):
    """Return another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, enum.Enum):
        others = [each for each in type(value) if each is not value]
        return others[0]
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1]) if value else b"x"
    if isinstance(value, tuple):
        return (*value, 7)
    if isinstance(value, msgspec.Struct):
        name = value.__struct_fields__[0]
        return replace(value, **{name: altered(getattr(value, name))})
    raise AssertionError(value)


@pytest.mark.parametrize("scans", [True, False])
def test_a_recorded_run_replays_to_its_recorded_end(scans):
    world = a_life()
    records = recorded(world.inputs, scans=scans)
    replayed = replay_run(positions(records), UID)
    (ended,) = world.events(RunEnded)
    assert replayed.ended == ended
    assert ended.outcome is RunOutcome.COMPLETED
    begun = next(i for i, each in enumerate(records) if isinstance(each, RunStarted))
    over = next(i for i, each in enumerate(records) if isinstance(each, RunEnded))
    within = [each for each in records[begun:over] if not isinstance(each, Scan)]
    assert replayed.events > len(within)
    assert replayed.inputs > 50


def of_the_run(records):
    """Return where the records of the run begin, and the index behind its last."""
    begun = next(i for i, each in enumerate(records) if isinstance(each, RunStarted))
    last = max(i for i, each in enumerate(records) if isinstance(each, InputsTaken))
    return begun, last + 1


def test_a_record_with_any_field_of_any_event_altered_does_not_replay():
    records = recorded(a_life().inputs)
    begun, behind = of_the_run(records)
    count = 0
    for index in range(begun, behind):
        event = records[index]
        if isinstance(event, Scan):
            continue
        for field in type(event).__struct_fields__:
            if getattr(event, field) is None:
                continue
            other = replace(event, **{field: altered(getattr(event, field))})
            changed = [*records[:index], other, *records[index + 1 :]]
            with pytest.raises(CorruptRecordError) as error:
                replay_run(positions(changed), UID)
            if not isinstance(event, RunStarted | InputsTaken):
                assert f"position {index + 1}" in str(error.value)
            count += 1
    assert count > 300


@pytest.mark.parametrize("change", ["leave out", "twice", "swap"])
def test_a_record_left_out_doubled_or_moved_does_not_replay(change):
    records = recorded(a_life().inputs)
    begun, behind = of_the_run(records)
    for index in range(begun, behind - 1):
        if isinstance(records[index], Scan) or isinstance(records[index + 1], Scan):
            continue
        one, other = records[index : index + 2]
        instead = {"leave out": [other], "twice": [one, one, other], "swap": [other, one]}[change]
        with pytest.raises(CorruptRecordError):
            replay_run(positions([*records[:index], *instead, *records[index + 2 :]]), UID)


def test_a_scan_that_is_not_what_it_was_does_not_replay():
    records = recorded(a_life().inputs)
    begun, behind = of_the_run(records)
    index = next(i for i in range(begun, behind) if isinstance(records[i], Scan))
    scan = records[index]
    assert isinstance(scan, Scan)
    changed = [*records]
    changed[index] = replace(scan, qualities=bytes(len(scan.qualities)))
    with pytest.raises(CorruptRecordError, match="is not what it was"):
        replay_run(positions(changed), UID)
    with pytest.raises(CorruptRecordError, match="is missing"):
        replay_run(positions([*records[:index], *records[index + 1 :]]), UID)


def test_a_run_that_a_crash_cut_off_replays_in_two_parts():
    before = World().ready().start(purge(300), valve("tma", 2000))
    before.run_for(800 * MS)
    after = World(open_run=open_run(before.state))
    records = [*recorded(before.inputs), *recorded(after.inputs)]
    replayed = replay_run(positions(records), UID)
    assert replayed.ended is not None
    assert replayed.ended.outcome is RunOutcome.GATEWAY_RESTARTED


def test_a_run_that_is_on_replays_as_far_as_it_is():
    world = World().ready().start(purge(300), wait(60_000))
    world.run_for(2 * S)
    assert replay_run(positions(recorded(world.inputs)), UID).ended is None


def test_a_run_of_whose_inputs_some_found_no_room_is_not_replayed_and_that_is_said():
    records = recorded(a_life().inputs)
    at = max(i for i, each in enumerate(records) if isinstance(each, InputsTaken))
    found = records[at]
    assert isinstance(found, InputsTaken)
    records[at] = left_out(found)
    with pytest.raises(CorruptRecordError, match="found no room on record"):
        replay_run(positions(records), UID)


def test_without_its_beginning_a_run_is_not_replayed():
    records = recorded(a_life().inputs)
    begun, _ = of_the_run(records)
    with pytest.raises(CorruptRecordError, match="not on record any more"):
        replay_run(positions(records[begun + 9 :]), UID)
    with pytest.raises(CorruptRecordError, match="not on record any more"):
        replay_run(positions(records), OTHER_UID)


def test_only_the_run_that_is_asked_for_is_judged():
    world = a_life()
    world.start(purge(300), uid=OTHER_UID)
    world.run_until_ended()
    records = recorded(world.inputs)
    assert replay_run(positions(records), OTHER_UID).ended == world.events(RunEnded)[1]
    assert replay_run(positions(records), UID).ended == world.events(RunEnded)[0]
