"""What is under way in a run, one leaf or several."""

from ald.engine.state import Pulsing, Waiting, phases
from unit.engine.programs import MS, together, valve, wait
from unit.engine.world import World


def test_a_run_has_one_phase_or_one_for_each_branch_that_is_not_between_leaves():
    world = World().ready().start(wait(100), together([wait(50)], [valve("vent", 200)]))
    run = world.state.run
    assert run is not None
    (waiting,) = phases(run)
    assert isinstance(waiting, Waiting)
    world.run_for(120 * MS)
    assert world.state.run is not None
    assert [type(phase) for phase in phases(world.state.run)] == [Waiting, Pulsing]
    world.run_for(100 * MS)
    assert world.state.run is not None
    assert [type(phase) for phase in phases(world.state.run)] == [Pulsing]
