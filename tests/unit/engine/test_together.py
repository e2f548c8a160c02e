"""Branches side by side: each on its own schedule, joined at the end, and ended together whatever happens."""

import pytest
from msgspec.structs import replace

from ald.engine.inputs import ActionAsked, ConfirmAsked, RecordRoom, RunGiven
from ald.engine.status import driver_status
from ald.engine.trace import open_run
from ald.errors import RefusedError
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.records.event import (
    HoldEnded,
    HoldStarted,
    RunOutcome,
    StateChanged,
    StepEnded,
    StepStarted,
    Written,
)
from ald.wire import RunAction
from unit.engine.programs import (
    MS,
    UID,
    S,
    assign,
    compiled,
    flow,
    loop,
    order,
    prompt,
    purge,
    ramp,
    together,
    valve,
    wait,
    wait_for,
)
from unit.engine.world import World

NEVER = ("value('heater.temperature') > 400.0", ("heater.temperature",))


def running(*steps, cleanup=(), for_ns=0, **options):
    world = World(**options).ready().start(*steps, cleanup=cleanup)
    return world.run_for(for_ns) if for_ns else world


def ask(world, action):
    world.give(ActionAsked(at_ns=world.now, uid=UID, action=action, by="anna", reason="r"))


def errors(world):
    return {event.ordinal: event.error for event in world.events(StepEnded)}


def test_branches_run_at_the_same_time_and_the_next_step_waits_for_the_longest():
    world = running(together([wait(500), wait(200)], [wait(100)]), assign(7.0))
    begun = world.now
    world.run_until_ended()
    starts = {e.ordinal: e.at_ns - begun for e in world.events(StepStarted)}
    assert starts == {1: 0, 2: 0, 3: 500 * MS, 4: 700 * MS}
    assert world.outcome is RunOutcome.COMPLETED
    assert world.events(StepEnded)[-1].ordinal == 4


def test_pulses_of_groups_apart_overlap_and_each_has_its_width():
    world = running(
        flow(20.0), purge(300), together([valve("tma", 300)], [wait(50), valve("vent", 100)])
    )
    world.run_until_ended()
    edges = [(address, bit) for _, address, bit in world.trace]
    assert edges == [(8, True), (11, True), (11, False), (8, False)]
    assert {p.valve: p.closed_sent_ns - p.opened_sent_ns for p in world.pulses} == {
        "tma": 300 * MS,
        "vent": 100 * MS,
    }
    assert world.outcome is RunOutcome.COMPLETED


def test_a_loop_of_branches_joins_them_each_time():
    world = running(loop(3, together([wait(30), wait(30)], [wait(100)])))
    begun = world.now
    ended = world.run_until_ended()
    assert (ended.outcome, ended.leaves_done) == (RunOutcome.COMPLETED, 9)
    assert world.events(StepEnded)[-1].at_ns - begun == 300 * MS


def test_every_leaf_has_a_number_of_its_own_on_record():
    world = running(together([assign(50.0), wait(10)], [flow(20.0), purge(100)]))
    world.run_until_ended()
    started = [event.ordinal for event in world.events(StepStarted)]
    assert started == [1, 2, 3, 4]
    assert sorted(errors(world)) == [1, 2, 3, 4]
    by = {event.target: event.ordinal for event in world.events(Written) if event.run}
    assert by == {"heater.setpoint": 1, "mfc.setpoint": 2}


def test_the_status_shows_the_step_that_the_branches_belong_to():
    world = running(together([wait(500)], [wait(100)]), for_ns=200 * MS)
    run = driver_status(world.state, NO_LINK, NO_SCAN).run
    assert run is not None
    assert (run.step, run.leaves_done, run.leaves_total) == ("both", 1, 2)


def test_the_estimated_end_follows_the_longest_branch_alone():
    world = running(together([wait(300)], [wait(100)]), wait(100))
    run = world.state.run
    assert run is not None
    world.run_for(350 * MS)
    assert world.state.run is not None
    # The programs of these tests have an estimate of 0, so all of the time is a slip but what is shortest.
    assert world.state.run.slip_ns == 0


def test_two_branches_that_touch_one_group_are_refused_by_the_gateway_too():
    world = World().ready()
    bad = compiled(purge(300), together([valve("tma", 40)], [purge(300), valve("water", 40)]))
    with pytest.raises(RefusedError, match="exclusion group precursors"):
        world.give(RunGiven(at_ns=world.now, order=order(bad)))


# Failure.


def test_a_leaf_that_fails_ends_the_waiting_of_the_others_and_the_cleanup_follows():
    long = wait_for(*NEVER, 0, 600_000)
    short = wait_for(*NEVER, 0, 300)
    world = running(together([long], [short]), cleanup=(assign(25.0),))
    ended = world.run_until_ended(2 * S)
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert ended.message.startswith("step both: settle: not true")
    assert errors(world)[1].startswith("given up: settle")
    assert world.value("heater.setpoint") == 25.0


def test_a_pulse_is_finished_and_a_purge_gives_its_flow_back_before_the_cleanup():
    world = running(
        purge(300),
        together([valve("tma", 900)], [purge(5000, 10.0, "Ar")], [wait_for(*NEVER, 0, 300)]),
        cleanup=(assign(25.0),),
    )
    ended = world.run_until_ended(3 * S)
    assert ended.outcome is RunOutcome.STEP_FAILED
    (pulse,) = world.pulses
    assert pulse.closed_sent_ns - pulse.opened_sent_ns == 900 * MS
    assert errors(world)[2] == ""
    assert errors(world)[3].startswith("given up")
    assert world.value("mfc-2.setpoint") == 0.0
    cleanup = next(e for e in world.events(StateChanged) if e.reason == "StepFailed")
    assert cleanup.at_ns >= pulse.closed_ack_ns


def test_no_branch_begins_a_leaf_after_another_has_failed():
    world = running(together([wait(400), assign(99.0)], [wait_for(*NEVER, 0, 300)]))
    world.run_until_ended()
    assert world.value("heater.setpoint") == 0.0


def test_a_set_point_that_is_not_read_back_brings_all_branches_to_their_end():
    world = World().ready()
    world.overrides["heater.setpoint"] = 1.0
    world.start(together([assign(50.0), wait(5000)], [wait(9000)]))
    ended = world.run_until_ended(2 * S)
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert "heater.setpoint reads 1" in ended.message


def test_a_failure_in_the_cleanup_is_the_end():
    world = running(wait(10), cleanup=(together([wait_for(*NEVER, 0, 100)], [wait(5000)]),))
    ended = world.run_until_ended(2 * S)
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert "in the cleanup" in ended.message
    assert sorted(errors(world)) == [1, 2, 3]


def test_a_valve_that_may_not_open_ends_the_run_with_every_valve_shut():
    # No purge before it: the proof would have refused it, and the engine does.
    world = running(together([valve("vent", 2000)], [wait(50), valve("tma", 40)]))
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.SAFETY_VIOLATION
    assert world.open_valves == set()
    assert {p.valve for p in world.pulses} == {"vent"}


# Abort, stop, pause, hold.


def test_an_abort_shuts_the_valves_of_all_branches_and_ends_each_leaf_on_record():
    world = running(
        purge(300),
        together([valve("tma", 2000)], [valve("vent", 2000)], [wait(9000)]),
        for_ns=800 * MS,
    )
    assert world.open_valves == {"tma", "vent"}
    world.abort(by="anna")
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.ABORTED
    assert world.open_valves == set()
    assert sorted(p.valve for p in world.pulses) == ["tma", "vent"]
    assert sorted(errors(world)) == [1, 2, 3, 4]
    assert sorted({p.ordinal for p in world.pulses}) == [2, 3]


def test_a_stop_lets_each_branch_end_its_leaf_and_leaves_the_rest_out():
    world = running(
        together([wait(300), assign(99.0)], [wait(500), assign(3.0, "heater.power")]),
        cleanup=(flow(5.0),),
        for_ns=100 * MS,
    )
    ask(world, RunAction.STOP)
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STOPPED
    assert len(world.events(StepStarted)) == 3
    assert world.value("mfc.setpoint") == 5.0


def test_a_stop_that_leaves_nothing_out_is_a_success():
    world = running(together([wait(300)], [wait(100)]), for_ns=200 * MS)
    ask(world, RunAction.STOP)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_pause_waits_for_the_pulse_of_every_branch_and_time_stands_still_for_all():
    world = running(
        purge(300),
        together([valve("tma", 400), wait(100)], [wait(2000)]),
        for_ns=500 * MS,
    )
    ask(world, RunAction.PAUSE)
    world.run_for(100 * MS)
    assert world.machine == "Execute"
    world.run_for(400 * MS)
    assert world.machine == "Held"
    assert world.open_valves == set()
    world.run_for(10 * S)
    assert len(world.events(StepStarted)) == 3
    ask(world, RunAction.RUN)
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.COMPLETED
    held, went_on = world.events(HoldStarted)[0].at_ns, world.events(HoldEnded)[0].at_ns
    began, over = (
        next(e.at_ns for e in world.events(kind) if e.ordinal == 3)
        for kind in (StepStarted, StepEnded)
    )
    # On record it begins a round trip after it was due, and ends when it was due to.
    assert 0 <= 2000 * MS + went_on - held - (over - began) < 10 * MS


def test_a_run_that_was_to_pause_and_need_not_goes_on_in_every_branch():
    world = running(
        purge(300),
        together([wait(100), wait(100)], [valve("tma", 800)]),
        for_ns=350 * MS,
    )
    ask(world, RunAction.PAUSE)
    world.run_for(200 * MS)
    assert len(world.events(StepStarted)) == 3
    ask(world, RunAction.RUN)
    assert len(world.events(StepStarted)) == 4
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.events(HoldStarted) == []


def test_an_obstacle_holds_all_branches_between_two_leaves_and_lets_them_go():
    world = running(together([wait(100), wait(100)], [wait(300), wait(100)]), for_ns=50 * MS)
    world.give(RecordRoom(at_ns=world.now, ok=False))
    world.run_for(1 * S)
    assert world.machine == "Held"
    assert len(world.events(StepStarted)) == 2
    assert len(world.events(StepEnded)) == 2
    world.give(RecordRoom(at_ns=world.now, ok=True))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_purge_without_flow_holds_the_other_branches_before_their_next_leaf():
    world = World(follow_flow=False).ready()
    world.overrides["mfc.flow"] = 0.0
    world.start(together([purge(300), valve("tma", 40)], [wait(400), wait(100)]))
    world.run_for(2 * S)
    assert world.machine == "Held"
    assert len(world.events(StepStarted)) == 2
    world.overrides["mfc.flow"] = 20.0
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_prompt_holds_all_branches_until_it_is_confirmed():
    world = running(together([prompt()], [wait(200), wait(100)], [prompt("second?")]))
    world.run_for(5 * S)
    assert world.machine == "Held"
    assert [e.ordinal for e in world.events(StepEnded)] == [1]
    assert [e.ordinal for e in world.events(StepStarted)] == [1, 2]
    world.give(ConfirmAsked(at_ns=world.now, target=f"{UID[:8]}-2", by="anna", comment=""))
    world.run_for(1 * S)
    run = driver_status(world.state, NO_LINK, NO_SCAN).run
    assert run is not None
    assert run.prompt_message == "second?"
    world.give(ConfirmAsked(at_ns=world.now, target=run.prompt_id, by="anna", comment=""))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_purge_that_comes_to_its_end_does_not_end_the_hold_of_a_prompt():
    world = running(together([wait(50), prompt()], [purge(300), valve("tma", 40)]))
    world.run_for(2 * S)
    assert world.machine == "Held"
    assert world.pulses == []


def test_a_purge_short_of_flow_beside_a_prompt_says_so_once_the_prompt_is_answered():
    world = running(together([wait(50), prompt()], [purge(300), valve("tma", 40)]))
    world.scanning = False
    world.run_for(2 * S)
    assert [e.reason for e in world.events(HoldStarted)] == ["Prompt"]

    world.give(ConfirmAsked(at_ns=world.now, target=f"{UID[:8]}-3", by="anna", comment=""))
    assert [e.reason for e in world.events(HoldStarted)] == ["Prompt", "PurgeFlowLow"]
    assert world.machine == "Held"

    world.scanning = True
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_ramp_and_a_purge_beside_it_both_reach_their_ends():
    world = running(together([ramp(10.0, 5.0)], [purge(300), valve("tma", 40), purge(300)]))
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.COMPLETED
    assert world.value("heater.setpoint") == 10.0


@pytest.mark.parametrize("after_ms", range(0, 900, 30))
def test_whenever_the_gateway_dies_the_next_one_ends_every_open_leaf(after_ms):
    world = running(
        purge(300),
        together([valve("tma", 200), wait(50)], [valve("vent", 300)], [assign(5.0), wait(50)]),
        for_ns=after_ms * MS + 1,
    )

    found = open_run(world.state)
    if found is None:
        assert world.state.run is None
        return
    begun = {e.ordinal for e in world.events(StepStarted)}
    over = {e.ordinal for e in world.events(StepEnded)}
    after = World(open_run=replace(found))
    assert {e.ordinal for e in after.events(StepEnded)} == begun - over
    opened = {p.valve for p in after.pulses}
    after.connect()
    after.run_for(S)
    assert after.open_valves == set()
    assert opened == world.state.open_valves
