"""What outlives the executor."""

import msgspec

from ald.engine.inputs import OpenRun, RecordRoom
from ald.engine.state import Pulsing, phases
from ald.engine.trace import open_run
from unit.engine.programs import (
    MS,
    UID,
    S,
    assign,
    flow,
    loop,
    purge,
    together,
    valve,
    wait,
)
from unit.engine.world import World


def test_without_a_run_there_is_nothing_to_keep():
    assert open_run(World().ready().state) is None


def test_the_leaf_under_way_and_the_pulse_that_is_open_are_kept():
    world = World().ready().start(flow(20.0), loop(3, purge(300), valve("tma", 400)))
    world.run_for(1200 * MS)
    found = open_run(world.state)
    assert found is not None
    assert (found.run.uid, found.ordinal, found.leaves_done, found.pulses) == (UID, 5, 4, 1)
    assert (found.step, found.iterations, found.leaf_ended) == ("dose-tma", ((2, 3),), False)
    assert found.pulse is not None
    assert found.pulse.valve == "tma"


def test_a_run_whose_steps_are_all_done_has_no_leaf_open():
    world = World().ready().start(flow(20.0))
    world.run_for(5 * MS)
    found = open_run(world.state)
    assert found is not None
    assert found.leaf_ended


def test_it_survives_its_encoding():
    world = World().ready().start(wait(1000))
    found = open_run(world.state)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=OpenRun) == found


def refused(world):
    world.fates.append(lambda w: "refuse" if getattr(w.target, "bits", ()) == (True,) else None)
    return world


def is_failing(phase):
    return isinstance(phase, Pulsing) and bool(phase.error)


def test_a_run_is_not_taken_up_when_a_step_has_failed_and_only_the_closing_of_its_valve_is_waited_for():
    world = refused(World(round_trip_ns=20 * MS).ready()).start(purge(300), valve("tma", 100))
    for _ in range(500):
        if world.state.run is not None and any(is_failing(p) for p in phases(world.state.run)):
            break
        world.run_for(MS)
    found = open_run(world.state)
    assert found is not None
    assert found.pulse is not None, "its closing is on its way"
    assert not found.resumable


def test_a_run_is_not_taken_up_when_a_branch_has_failed_and_another_still_has_a_valve_open():
    world = refused(World().ready())
    world.fates.insert(0, lambda w: "ok" if getattr(w.target, "address", 0) == 11 else None)
    world.start(purge(300), together([valve("tma", 40), wait(100)], [valve("vent", 2000)]))
    world.run_for(1 * S)
    assert world.open_valves == {"vent"}
    found = open_run(world.state)
    assert found is not None
    assert not found.resumable


def test_a_run_is_not_taken_up_when_a_value_has_not_come_and_a_valve_is_still_open():
    world = World().ready()
    world.overrides["heater.setpoint"] = 0.0
    world.start(purge(300), assign(50.0), valve("tma", 2000)).run_for(1 * S)
    assert world.open_valves == {"tma"}
    found = open_run(world.state)
    assert found is not None
    assert not found.resumable


def test_held_between_two_cycles_a_run_is_in_the_one_that_its_last_step_was_in():
    world = World().ready().start(purge(300), loop(3, valve("tma", 20), wait(100)))
    world.run_for(370 * MS)
    world.give(RecordRoom(at_ns=world.now, ok=False))
    world.run_for(500 * MS)
    assert world.machine == "Held"
    found = open_run(world.state)
    assert found is not None
    assert (found.step, found.iterations, found.leaf_ended) == ("wait", ((1, 3),), True)
    world.abort()
    world.run_until_ended()
    assert world.state.last_run is not None
    assert (world.state.last_run.step, world.state.last_run.iterations) == ("wait", ((1, 3),))
