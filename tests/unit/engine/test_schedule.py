"""When a run should end, as its status says it."""

import pytest
from msgspec.structs import replace

from ald.engine.inputs import ActionAsked, ClockStep, RunGiven
from ald.engine.status import driver_status
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.program.estimate import estimate
from ald.wire import RunAction
from unit.engine.programs import (
    MS,
    PLANT,
    UID,
    S,
    assign,
    compiled,
    loop,
    order,
    purge,
    ramp,
    together,
    valve,
    wait,
    wait_for,
)
from unit.engine.world import World

HOT = ("value('heater.temperature') > 40.0", ("heater.temperature",))


def running(*steps, cleanup=(), world=None):
    """Return a world in which a program with its true estimate runs."""
    world = world or World().ready()
    made = compiled(*steps, cleanup=cleanup)
    made = replace(made, estimate=estimate(made.instructions, PLANT))
    world.give(RunGiven(at_ns=world.now, order=order(made)))
    return world


def left_ns(world):
    """Return how long the run should still take, None where nobody can tell."""
    run = driver_status(world.state, NO_LINK, NO_SCAN).run
    assert run is not None
    if not run.estimated_end_wall_ns:
        return None
    return run.estimated_end_wall_ns - world.now - world.state.wall_offset_ns


def lives(world):
    """Yield how wrong what is left was said to be, at every tenth of a second of a run to its end."""
    said = []
    while world.state.run is not None:
        said.append((world.now, left_ns(world)))
        world.run_for(100 * MS)
    over_ns = world.now
    return [at_ns + left - over_ns for at_ns, left in said]


def test_of_steps_that_last_as_long_as_they_say_the_end_is_known_from_the_beginning():
    world = running(purge(300), loop(3, valve("tma", 40), purge(500)), wait(700))
    assert all(abs(wrong) <= 250 * MS for wrong in lives(world))


@pytest.mark.requirement("FI-CK")
@pytest.mark.parametrize("step_ns", [3600 * S, -3600 * S])
def test_a_step_of_the_clock_does_not_change_what_is_left(step_ns):
    world = running(wait(5000), wait(5000)).run_for(1 * S)
    before = left_ns(world)
    world.give(ClockStep(at_ns=world.now, step_ns=step_ns))
    assert left_ns(world) == before == 9 * S


def test_a_ramp_is_counted_from_its_beginning():
    world = running(ramp(100.0, 10.0), wait(1000)).run_for(100 * MS)
    assert left_ns(world) == 10_900 * MS
    assert all(abs(wrong) <= 250 * MS for wrong in lives(world))


def test_of_ramps_side_by_side_the_one_that_ends_last_counts_with_what_follows_it():
    world = running(
        together([ramp(100.0, 10.0), wait(2000)], [wait(5000), wait(1000)]), wait(1000)
    ).run_for(100 * MS)
    assert left_ns(world) == 12_900 * MS
    assert all(abs(wrong) <= 250 * MS for wrong in lives(world))


def test_while_the_plant_is_waited_for_the_end_moves_on_and_never_lies_in_the_past():
    world = World().ready()
    world.overrides["heater.temperature"] = 20.0
    running(wait_for(*HOT, 1000, 600_000), wait(2000), world=world)
    assert left_ns(world) == 3 * S
    for _ in range(20):
        world.run_for(1 * S)
        assert 1900 * MS <= left_ns(world) <= 3 * S
    world.overrides["heater.temperature"] = 50.0
    assert all(wrong >= -1250 * MS for wrong in lives(world))


def test_of_a_run_that_leaves_steps_out_nobody_says_when_it_ends():
    world = running(wait(5000), wait(60_000), cleanup=[wait(9000)]).run_for(1 * S)
    assert left_ns(world) == 73 * S
    stop = ActionAsked(at_ns=world.now, uid=UID, action=RunAction.STOP, by="anna", reason="")
    world.give(stop)
    assert left_ns(world) is None
    world.run_for(6 * S)
    assert world.machine == "Completing"
    assert left_ns(world) is None


def test_of_a_run_that_has_failed_nobody_says_when_it_ends():
    world = World().ready()
    world.fates.append(lambda w: "refuse" if getattr(w.target, "words", None) else None)
    running(assign(50.0), wait(60_000), cleanup=[wait(9000)], world=world).run_for(1 * S)
    assert world.machine == "Completing"
    assert left_ns(world) is None
