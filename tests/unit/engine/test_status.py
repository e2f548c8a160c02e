"""The driver's status, whole and constant in size."""

import msgspec

from ald.engine.status import driver_status
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.plant.model import digest
from ald.records.event import RunOutcome
from unit.engine.programs import MS, PLANT, UID, flow, loop, prompt, purge, valve, wait
from unit.engine.world import World


def status(world):
    return driver_status(world.state, NO_LINK, NO_SCAN)


def test_before_anything_the_status_says_what_is_missing():
    found = status(World(plant=None))
    assert (found.state.value, found.reason, found.run) == ("Stopped", "NoPlant", None)
    assert (found.plant_digest, found.plant_generation) == ("", 0)


def test_an_active_run_shows_where_it_is_and_when_it_should_end():
    world = World().ready().start(flow(20.0), loop(4, purge(300), valve("tma", 40)))
    world.run_for(1100 * MS)
    run = status(world).run
    assert run is not None
    assert (run.run.uid, run.step, run.iterations) == (UID, "purge", ((4, 4),))
    assert (run.leaves_done, run.leaves_total, run.pulses) == (7, 9, 3)
    assert run.outcome is None
    assert run.started_wall_ns == world.state.wall_offset_ns + world.now - 1100 * MS


def test_the_estimated_end_moves_with_what_the_run_is_late():
    world = World(late_ns=200 * MS).ready().start(wait(100), wait(100), wait(100))
    before = status(world).run
    world.run_for(700 * MS)
    after = status(world).run
    assert before is not None
    assert after is not None
    assert after.estimated_end_wall_ns - before.estimated_end_wall_ns >= 400 * MS


def test_an_ended_run_stays_shown_with_its_outcome():
    world = World().ready().start(wait(10))
    world.run_until_ended()
    found = status(world)
    assert found.plant_digest == digest(PLANT)
    assert (found.state.value, found.plant_confirmed, found.safe_confirmed) == ("Idle", True, True)
    assert found.run is not None
    assert found.run.outcome is RunOutcome.COMPLETED
    assert found.run.ended_wall_ns > found.run.started_wall_ns


def test_the_status_does_not_grow_with_the_cycles():
    short = World().ready().start(purge(300), loop(2, valve("tma", 10)))
    long = World().ready().start(purge(300), loop(1000, valve("tma", 10)))
    for world in (short, long):
        world.run_for(5 * 1000 * MS)
    sizes = [len(msgspec.msgpack.encode(status(world))) for world in (short, long)]
    assert abs(sizes[0] - sizes[1]) < 100


def test_a_held_run_that_is_being_ended_says_so_and_asks_nobody_any_more():
    world = World().ready().start(prompt()).run_for(100 * MS)
    before = status(world).run
    assert before is not None
    assert before.prompt_id
    world.abort(by="anna", reason="smells")
    run = status(world).run
    assert run is not None
    assert (run.outcome, run.message, run.held, run.prompt_id) == (None, "smells", "", "")
    assert (run.hold_reason, run.held_until_wall_ns, run.estimated_end_wall_ns) == ("", 0, 0)
