"""A run that starts at a cycle, and what a run that ends early remembers of where it was."""

import pytest
from msgspec.structs import replace

from ald.engine.inputs import ActionAsked, RunGiven
from ald.engine.replay import replay_run
from ald.engine.status import driver_status
from ald.engine.trace import open_run
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.program.start_at import start_at
from ald.program.start_place import Start
from ald.records.event import PulseDone, RunOutcome, StateChanged, StepStarted
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
    order,
    purge,
    together,
    valve,
    wait,
)
from unit.engine.recording import positions, recorded
from unit.engine.world import World

CYCLE = (valve("tma", 40), purge(300), valve("water", 25), purge(300))
STEPS = (flow(20.0), assign(150.0), purge(300), loop(3, loop(5, *CYCLE), wait(10)))


def named(program):
    """The program with its inner loop called otherwise than its outer one."""
    made = tuple(
        replace(each, name="loop/inner") if getattr(each, "depth", 0) == 1 else each
        for each in program.instructions
    )
    return replace(program, instructions=made)


def begun(cycle, *outer, cleanup=()):
    name = "loop/inner" if outer else "loop"
    start = Start(step=name, cycle=cycle, outer_cycles=outer)
    return start_at(named(compiled(*STEPS, cleanup=cleanup)), start, PLANT)


def started(program):
    world = World().ready()
    world.give(RunGiven(at_ns=world.now, order=order(program)))
    return world


def progress(world):
    found = driver_status(world.state, NO_LINK, NO_SCAN).run
    assert found is not None
    return found


@pytest.mark.requirement("REC-02")
def test_a_run_from_a_cycle_on_restores_counts_and_ends_as_its_program_says():
    program = begun(4, 2)
    world = started(program)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    steps = [(each.name, each.iterations) for each in world.events(StepStarted)]
    assert [name for name, _ in steps[:4]] == [
        "restore: flow",
        "restore: assign",
        "restore: purge",
        "dose-tma",
    ]
    cycles = [(2, 4), (2, 5), *((3, n) for n in range(1, 6))]
    assert [p.iterations for p in world.events(PulseDone)] == [c for c in cycles for _ in "ab"]
    assert [iterations for name, iterations in steps if name == "wait"] == [(2,), (3,)]
    found = progress(world)
    assert found.leaves_done == found.leaves_total == program.estimate.leaves == len(steps)
    assert found.pulses == sum(program.estimate.openings.values()) == 14
    assert world.value("heater.setpoint") == 150.0
    assert replay_run(positions(recorded(world.inputs)), UID).ended is not None


def test_cycles_are_told_as_the_recipe_counts_them():
    world = started(begun(4, 2)).run_for(320 * MS)
    assert progress(world).iterations == ((2, 3), (4, 5))


def test_nothing_opens_before_what_was_there_is_restored():
    world = started(begun(4, 2))
    world.run_until_ended()
    first = world.events(PulseDone)[0]
    restored = [e.at_ns for e in world.events(StepStarted) if e.name.startswith("restore: ")]
    assert len(restored) == 3
    assert first.due_ns - restored[-1] >= 300 * MS


def ended(world):
    world.run_until_ended()
    return progress(world).reached


@pytest.mark.requirement("REC-03")
def test_a_stopped_run_remembers_its_cycle_over_the_cleanup():
    world = World().ready().start(purge(300), loop(5, *CYCLE), cleanup=(loop(2, wait(10)),))
    world.run_for(1200 * MS)
    world.give(ActionAsked(at_ns=world.now, uid=UID, action=RunAction.STOP, by="a", reason="r"))
    last = world.events(StepStarted)[-1]
    assert last.iterations == (2,)
    assert ended(world) == Reached(step=last.name, iterations=((2, 5),))
    assert progress(world).iterations == ()


def test_an_aborted_run_that_was_held_before_a_cycle_has_not_begun_it():
    world = World().ready().start(purge(300), loop(5, *CYCLE))
    world.run_for(700 * MS)
    world.scanning = False
    world.run_for(500 * MS)
    assert "Held" in [event.state.value for event in world.events(StateChanged)]
    last = world.events(StepStarted)[-1]
    world.abort()
    assert ended(world) == Reached(step=last.name, iterations=((last.iterations[0], 5),))


def test_of_branches_the_step_begun_last_counts():
    both = together([wait(10), wait(500)], [wait(100)])
    world = World().ready().start(loop(3, both)).run_for(50 * MS)
    world.abort()
    assert ended(world).iterations == ((1, 3),)


def test_a_run_that_ended_while_it_was_restored_has_reached_no_cycle():
    world = started(begun(4, 2)).run_for(100 * MS)
    world.abort()
    assert ended(world) == Reached()


def test_the_next_executor_knows_where_the_run_was():
    world = World().ready().start(purge(300), loop(5, *CYCLE)).run_for(1200 * MS)
    left = open_run(world.state)
    assert left is not None
    after = World(open_run=left).ready().run_for(1 * S)
    found = progress(after)
    assert found.outcome is RunOutcome.GATEWAY_RESTARTED
    assert found.reached == left.reached
    assert found.reached.iterations == ((2, 5),)
