"""What outlives the executor."""

import msgspec

from ald.engine.inputs import OpenRun
from ald.engine.trace import open_run
from unit.engine.programs import MS, UID, flow, loop, purge, valve, wait
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
