"""A run that the gateway's restart has cut short, taken up by another attempt."""

import msgspec
import pytest

from ald.engine.inputs import ActionAsked, ClearAsked, OpenRun, RunGiven, SafeStateAsked
from ald.engine.replay import Replay, replay_run
from ald.engine.status import driver_status
from ald.engine.trace import open_run
from ald.errors import CorruptRecordError, RefusedError
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.program.resume import resumed
from ald.records.event import PulseDone, RunEnded, RunOutcome, RunStarted, StepStarted
from ald.wire import Reached, RunAction
from unit.engine.programs import (
    MS,
    PLANT,
    UID,
    S,
    assign,
    compiled,
    flow,
    loop,
    named,
    order,
    purge,
    valve,
    wait,
)
from unit.engine.recording import positions, recorded
from unit.engine.world import World

CYCLE = (valve("tma", 40), purge(300), valve("water", 25), purge(300))
WHOLE = named(
    compiled(flow(20.0), assign(150.0), purge(300), loop(5, *CYCLE), cleanup=(flow(5.0),))
)
OTHER = "00000000-0000-4000-8000-000000000002"


def progress(world):
    found = driver_status(world.state, NO_LINK, NO_SCAN).run
    assert found is not None
    return found


def begun(for_ns=1500 * MS, program=WHOLE):
    world = World().ready()
    world.give(RunGiven(at_ns=world.now, order=order(program)))
    return world.run_for(for_ns)


def left(world):
    found = open_run(world.state)
    assert found is not None
    return found


def restarted(found):
    return World(open_run=found, started_uids=(found.run.uid,)).ready().run_for(S)


def rest(world, program=WHOLE):
    reached = progress(world).reached
    return resumed(program, reached.step, reached.iterations, PLANT)


def go_on(world, program, attempt=2):
    world.give(RunGiven(at_ns=world.now, order=order(program, attempt=attempt)))
    return world


@pytest.mark.requirement("RC-03")
def test_it_goes_on_with_the_next_whole_cycle_and_counts_on():
    first = begun()
    found = left(first)
    assert found.reached.iterations == ((2, 5),)
    second = restarted(found)
    cut = progress(second)
    assert (cut.outcome, cut.resumable, cut.attempt) == (RunOutcome.GATEWAY_RESTARTED, True, 1)
    go_on(second, rest(second))
    assert progress(second).leaves_total == cut.leaves_done + rest(second).estimate.leaves
    assert second.run_until_ended().outcome is RunOutcome.COMPLETED
    pulses = [*first.events(PulseDone), *second.events(PulseDone)]
    assert len({(p.name, p.iterations) for p in pulses}) == len(pulses)
    assert [p.iterations for p in second.events(PulseDone)][-6:] == [
        (n,) for n in (3, 4, 5) for _ in "ab"
    ]
    ordinals = [e.ordinal for e in (*first.events(StepStarted), *second.events(StepStarted))]
    assert ordinals == list(range(1, len(ordinals) + 1))
    ended = progress(second)
    assert (ended.attempt, ended.resumable, ended.outcome) == (2, False, RunOutcome.COMPLETED)
    assert ended.pulses == len(pulses)
    assert ended.leaves_done == ended.leaves_total
    assert ended.started_wall_ns == cut.started_wall_ns
    assert second.events(RunStarted)[0].attempt == 2


def test_width_errors_are_those_of_all_attempts():
    first = begun()
    second = restarted(left(first))
    go_on(second, rest(second)).run_until_ended()
    whole = [p for w in (first, second) for p in w.events(PulseDone) if p.closed_ack_ns]
    assert progress(second).timing.whole == len(whole)
    assert progress(second).worst_error_ns == max(abs(p.error_ns) for p in whole)


def test_a_gateway_that_dies_while_it_restores_has_reached_what_it_had_before():
    second = restarted(left(begun()))
    program = rest(second)
    go_on(second, program).run_for(100 * MS)
    assert second.events(StepStarted)[-1].name.startswith("restore: ")
    third = restarted(left(second))
    found = progress(third)
    assert (found.reached.iterations, found.attempt) == (((2, 5),), 2)
    go_on(third, rest(third), attempt=3)
    assert third.run_until_ended().outcome is RunOutcome.COMPLETED
    assert progress(third).attempt == 3


def test_an_attempt_is_begun_once_however_often_it_is_asked_for():
    second = restarted(left(begun()))
    program = rest(second)
    for _ in range(3):
        go_on(second, program)
    second.run_until_ended()
    go_on(second, program)
    go_on(second, WHOLE, attempt=1)
    assert second.state.run is None
    assert len(second.events(RunStarted)) == 1


@pytest.mark.parametrize("attempt", [3, 4])
def test_no_attempt_is_left_out(attempt):
    second = restarted(left(begun()))
    with pytest.raises(RefusedError, match="attempt 1") as refused:
        go_on(second, rest(second), attempt)
    assert refused.value.reason == "NotResumable"
    assert second.state.run is None


def test_only_the_last_run_is_taken_up():
    second = restarted(left(begun()))
    program = rest(second)
    second.give(RunGiven(at_ns=second.now, order=order(compiled(wait(10)), OTHER)))
    second.run_until_ended()
    with pytest.raises(RefusedError, match="another one"):
        go_on(second, program)


@pytest.mark.parametrize("how", [RunAction.STOP, RunAction.PAUSE])
def test_a_run_that_is_being_stopped_is_not_taken_up_but_a_paused_one_is(how):
    first = begun()
    first.give(ActionAsked(at_ns=first.now, uid=UID, action=how, by="a", reason="r"))
    second = restarted(left(first))
    assert progress(second).resumable is (how is RunAction.PAUSE)


def test_a_run_that_is_being_aborted_is_not_taken_up():
    first = begun()
    first.abort()
    found = left(first)
    assert not found.resumable
    second = restarted(found)
    with pytest.raises(RefusedError, match="GatewayRestarted"):
        go_on(second, rest(second))


def test_a_run_whose_steps_were_done_is_not_taken_up():
    first = World().ready().start(wait(10), cleanup=(wait(500),)).run_for(300 * MS)
    assert not left(first).resumable


def test_a_run_whose_position_is_lost_with_power_is_not_taken_up():
    found = msgspec.structs.replace(left(begun()), is_exact=False)
    second = restarted(found)
    assert progress(second).reached == Reached()
    assert not progress(second).resumable


def test_what_an_older_version_has_left_is_not_taken_up():
    old = {"resumable", "begun", "width_counts", "attempt"}
    kept = {k: v for k, v in msgspec.to_builtins(left(begun())).items() if k not in old}
    assert not msgspec.convert(kept, OpenRun).resumable


def test_no_valve_opens_before_the_machine_is_ready_again():
    second = World(open_run=left(begun()), started_uids=(UID,))
    program = rest(second)
    with pytest.raises(RefusedError) as refused:
        go_on(second, program)
    assert refused.value.reason == "NotIdle"
    assert second.state.run is None


def taken_up():
    """Return the record of a run in two attempts, and the index of the record that begins the second one."""
    first = begun()
    second = restarted(left(first))
    go_on(second, rest(second)).run_until_ended()
    records = [*recorded(first.inputs), *recorded(second.inputs)]
    at = max(i for i, each in enumerate(records) if isinstance(each, RunStarted))
    return records, at


def test_a_second_attempt_that_is_said_to_be_another_run_does_not_replay():
    records, at = taken_up()
    started = records[at]
    assert isinstance(started, RunStarted)
    other = msgspec.structs.replace(started.run, uid=OTHER)
    records[at] = msgspec.structs.replace(started, run=other)
    with pytest.raises(CorruptRecordError, match="position"):
        replay_run(positions(records), UID)


def test_a_second_attempt_without_its_beginning_does_not_replay():
    records, at = taken_up()
    with pytest.raises(CorruptRecordError, match="taken up"):
        replay_run(positions([*records[:at], *records[at + 1 :]]), UID)


def test_another_run_after_one_that_was_cut_short_ends_its_replay():
    first = begun()
    second = restarted(left(first))
    other = compiled(purge(300), wait(10))
    second.give(RunGiven(at_ns=second.now, order=order(other, OTHER)))
    second.run_until_ended()
    records = positions([*recorded(first.inputs), *recorded(second.inputs)])
    found = Replay(UID)
    for each in records:
        found.take(each)
    assert found.is_over
    assert found.result().ended is not None
    assert replay_run(records, OTHER).ended == second.events(RunEnded)[-1]


def test_all_attempts_replay_as_one_run():
    first = begun()
    second = restarted(left(first))
    go_on(second, rest(second)).run_until_ended()
    events = positions([*recorded(first.inputs), *recorded(second.inputs)])
    found = replay_run(events, UID)
    assert found.ended is not None
    assert found.ended == second.events(RunEnded)[-1]
    assert found.ended.outcome is RunOutcome.COMPLETED


@pytest.mark.parametrize("how", ["stop", "abort", "safe state"])
def test_a_run_that_was_cut_short_is_not_taken_up_once_somebody_has_stopped_it(how):
    second = restarted(left(begun()))
    if how == "safe state":
        second.give(SafeStateAsked(at_ns=second.now, by="anna", comment="smells"))
        second.run_for(S)
        second.give(ClearAsked(at_ns=second.now, by="anna", comment="aired"))
    else:
        second.abort(uid="" if how == "stop" else UID, by="anna", reason="smells")
    second.run_for(S)
    assert second.machine == "Idle"
    cut = progress(second)
    assert (cut.outcome, cut.resumable) == (RunOutcome.GATEWAY_RESTARTED, False)
    assert "anna" in cut.message
    assert "smells" in cut.message
    with pytest.raises(RefusedError, match="smells") as refused:
        go_on(second, rest(second))
    assert refused.value.reason == "NotResumable"
    assert second.state.run is None


def test_an_abort_of_another_run_keeps_none_from_being_taken_up():
    second = restarted(left(begun()))
    second.abort(uid=OTHER)
    assert progress(second).resumable
