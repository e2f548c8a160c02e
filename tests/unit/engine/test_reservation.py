"""How far a run may come before the volume knows of it."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ald.engine import reservation
from ald.engine.effects import Journal, Reserve
from ald.engine.inputs import Reserved, RunGiven
from ald.engine.reservation import AHEAD, AHEAD_MAX, MISSING
from ald.program.model import Pulse
from ald.program.resume import resumed
from ald.program.start_at import RESTORE_MARK
from ald.records.event import (
    HoldEnded,
    HoldStarted,
    PulseDone,
    PulseOpening,
    RunOutcome,
    StepStarted,
)
from ald.wire import Reached
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
    together,
    valve,
    wait,
    wait_for,
)
from unit.engine.world import World
from unit.program.steps import executed

CYCLE = (valve("tma", 40), purge(300))
STEPS = (flow(20.0), purge(300), loop(20, *CYCLE), wait(10))


def started(*steps, cleanup=(), has_disk=True):
    world = World().ready()
    world.has_disk = has_disk
    program = named(compiled(*steps, cleanup=cleanup))
    world.give(RunGiven(at_ns=world.now, order=order(program)))
    return world


def asked(world):
    return [each for each in world.log if isinstance(each, Reserve)]


def cycles(world):
    return [each.iterations[0] for each in world.events(PulseDone)]


@pytest.mark.requirement("RC-03")
def test_a_run_comes_no_further_than_the_volume_knows_and_says_why():
    world = started(*STEPS, has_disk=False).run_for(5 * S)
    assert cycles(world) == [1, 2, 3, 4, 5]
    (held,) = world.events(HoldStarted)
    assert (held.reason, held.message) == (MISSING.reason, MISSING.message)
    assert world.open_valves == set()
    world.give(Reserved(at_ns=world.now, run=UID, attempt=1, cycle=AHEAD + 2))
    world.run_for(5 * S)
    assert cycles(world) == [1, 2, 3, 4, 5, 6, 7]
    assert len(world.events(HoldEnded)) == 1


def test_a_volume_that_takes_nothing_ends_the_run_after_the_longest_hold():
    world = started(*STEPS, has_disk=False)
    assert world.run_until_ended().outcome is RunOutcome.HOLD_TIMEOUT


def test_with_a_disk_a_run_never_waits():
    world = started(*STEPS)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.events(HoldStarted) == []
    numbers = [each.cycle for each in asked(world)]
    assert numbers == sorted(set(numbers))


def test_a_slow_disk_has_the_time_of_two_whole_cycles():
    world = started(*STEPS)
    world.disk_takes_ns = 2 * 340 * MS
    world.run_until_ended()
    assert world.events(HoldStarted) == []


def test_steps_that_are_done_again_anyway_need_no_reservation():
    world = started(*(flow(float(n)) for n in range(1, 20)), purge(300), has_disk=False)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.events(HoldStarted) == []


def test_an_iteration_of_one_step_is_a_cycle_too():
    world = started(loop(20, wait(400)), has_disk=False).run_for(9 * S)
    assert len(world.events(StepStarted)) == AHEAD


def test_a_pulse_outside_all_loops_is_a_cycle_of_its_own():
    doses = [step for _ in range(AHEAD + 1) for step in (valve("vent", 20), wait(400))]
    world = started(*doses, has_disk=False).run_for(5 * S)
    assert len(world.pulses) == AHEAD
    assert world.events(HoldStarted)[0].reason == MISSING.reason


def test_what_another_run_or_attempt_has_reserved_is_not_ours():
    world = started(*STEPS, has_disk=False).run_for(5 * S)
    for run, attempt in (("other", 1), (UID, 2)):
        world.give(Reserved(at_ns=world.now, run=run, attempt=attempt, cycle=100))
    world.run_for(2 * S)
    assert cycles(world) == [1, 2, 3, 4, 5]


def test_the_end_of_the_steps_is_told_before_it_may_come():
    world = started(*STEPS, cleanup=(flow(5.0),))
    world.run_until_ended()
    made = [each.reservation for each in asked(world)]
    assert [each.is_over for each in made] == [False] * (len(made) - 1) + [True]
    last = world.events(PulseDone)[-AHEAD]
    over = next(each for each in world.reservations if each.is_over)
    assert over.begun.iterations[0][0] <= last.iterations[0]


def test_a_run_that_is_being_ended_tells_that_it_is_not_to_be_taken_up():
    world = started(*STEPS).run_for(700 * MS)
    world.abort()
    assert asked(world)[-1].reservation.is_over


def test_of_short_cycles_as_many_are_reserved_as_give_the_disk_its_time():
    world = started(loop(400, valve("vent", 10), wait(20)))
    world.disk_takes_ns = 600 * MS
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.events(HoldStarted) == []
    assert 5 < len(asked(world)) < 50


def test_cycles_without_a_length_of_their_own_are_bounded():
    world = started(loop(1000, assign(100.0)), has_disk=False).run_for(60 * S)
    assert len(world.events(StepStarted)) == AHEAD_MAX


def test_it_is_not_asked_right_before_an_edge():
    world = started(loop(40, valve("vent", 20), wait(300)))
    world.run_until_ended()
    effects = [each for each in world.log if isinstance(each, Reserve | Journal)]
    for before, after in itertools.pairwise(effects):
        if isinstance(after, Reserve):
            assert isinstance(before, Journal)
            assert not isinstance(before.event, PulseOpening)


def test_a_run_whose_step_failed_tells_that_it_is_not_to_be_taken_up():
    world = started(
        wait(10),
        wait_for("value('heater.temperature') > 900.0", ("heater.temperature",), 0, 100),
        *STEPS,
        cleanup=(wait(500),),
    )
    world.run_for(300 * MS)
    assert asked(world)[-1].reservation.is_over


def test_cycles_that_are_nothing_but_edges_are_reserved_all_the_same():
    both = together([valve("vent", 300)], [wait(400)])
    world = started(loop(20, both))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.events(HoldStarted) == []


def test_a_step_that_only_restores_has_reached_nothing_new():
    whole = named(compiled(*STEPS))
    first = whole.instructions[3]
    assert isinstance(first, Pulse)
    rest = resumed(whole, first.name, ((7, 20),), PLANT)
    world = World().ready()
    world.give(RunGiven(at_ns=world.now, order=order(rest)))
    assert world.state.run is not None
    made = reservation.up_to(world.state.run, 0)
    assert made.reached == Reached()


def leaves(depth):
    plain = st.sampled_from(["wait", "purge", "both"])
    if depth == 0:
        return plain
    inner = st.tuples(st.integers(1, 3), st.lists(leaves(depth - 1), min_size=1, max_size=3))
    return st.one_of(plain, inner)


def made_of(tree):
    for each in tree:
        match each:
            case "wait":
                yield wait(5)
            case "purge":
                # Its flow is not measured: many so short ones hold for none.
                yield purge(10, 20.0, "Ar")
            case "both":
                yield together([wait(5)], [wait(5), wait(5)])
            case _:
                count, body = each
                yield loop(count, *made_of(body))


@settings(max_examples=60, deadline=None)
@given(st.lists(leaves(2), min_size=1, max_size=4))
def test_at_any_moment_all_that_has_begun_lies_within_what_the_volume_knows(tree):
    world = started(*made_of(tree))
    assert world.state.run is not None
    known = reservation.first(world.state.run)
    while world.state.run is not None and not known.is_over:
        begun = world.events(StepStarted)
        if begun:
            assert begun[-1].ordinal <= known.ordinal
        outside = [each for each in begun if not is_within(world, known, each)]
        assert outside == []
        world.run_for(1 * MS)
        known = world.reservations[-1] if world.reservations else known
    world.run_until_ended()
    assert world.outcome is RunOutcome.COMPLETED
    assert world.events(HoldStarted) == []


def is_within(world, known, step):
    """Tell whether another attempt behind this reservation would leave this step alone, or is at it once more outside all loops."""
    rest = resumed(world.state.run.program, known.reached.step, known.reached.iterations, PLANT)
    left = [each for each in executed(rest) if not each[0].startswith(RESTORE_MARK)]
    place = (step.name, step.iterations)
    if known.reached.iterations:
        return place not in left
    # The step that may be under way is the first of the rest; of branches it is all of them.
    mark = known.reached.step
    return place not in left or step.name == mark or mark.startswith("both")
