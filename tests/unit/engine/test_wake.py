"""When the engine wants to be called, and when an edge is due."""

from ald.engine.state import Pulsing
from ald.engine.wake import edge_ns, wake_ns
from unit.engine.programs import MS, S, flow, loop, purge, together, valve, wait
from unit.engine.world import World


def test_an_idle_engine_wants_nothing():
    state = World().ready().state
    assert wake_ns(state) is None
    assert edge_ns(state) is None


def test_an_open_valve_wakes_at_its_closing_edge():
    world = World().ready().start(flow(20.0), purge(300), valve("tma", 400))
    world.run_for(350 * MS)
    state = world.state
    assert state.run is not None
    assert isinstance(state.run.phase, Pulsing)
    due = state.run.phase.opened_sent_ns + 400 * MS
    assert wake_ns(state) == edge_ns(state) == due


def test_before_a_pulse_the_end_of_the_step_is_an_edge_also_across_a_loop():
    world = World().ready().start(wait(500), loop(2, valve("vent", 10), wait(500)))
    assert edge_ns(world.state) == wake_ns(world.state) == world.now + 500 * MS
    world.run_for(600 * MS)
    assert edge_ns(world.state) is not None
    world.run_for(500 * MS)
    assert edge_ns(world.state) is None


def test_a_purge_that_waits_for_its_flow_is_no_edge():
    world = World(follow_flow=False).ready()
    world.overrides["mfc.flow"] = 0.0
    world.start(purge(300), valve("tma", 10))
    assert edge_ns(world.state) is None
    world.run_for(1 * S)
    assert world.machine == "Held"
    assert edge_ns(world.state) is None


def test_a_safe_state_on_its_way_wakes_at_its_deadline():
    world = World()
    assert wake_ns(world.state) == world.now + 10 * S
    world.run_for(11 * S)
    assert wake_ns(world.state) is None


def test_the_first_edge_of_all_branches_keeps_scans_away():
    world = (
        World()
        .ready()
        .start(purge(300), together([valve("tma", 400)], [wait(100), valve("vent", 40)]))
    )
    world.run_for(340 * MS)
    opened = world.now
    edge = edge_ns(world.state)
    assert edge is not None
    assert edge <= opened + 100 * MS
    world.run_for(200 * MS)
    edge = edge_ns(world.state)
    assert edge is not None
    assert edge > opened + 200 * MS


def test_a_pulse_that_begins_a_branch_is_an_edge_at_the_end_of_the_step_before():
    world = World().ready().start(wait(300), together([valve("vent", 40)], [wait(100)]))
    assert edge_ns(world.state) == world.now + 300 * MS


def test_a_pulse_behind_the_branches_is_an_edge_at_their_end():
    world = World().ready().start(together([wait(300)], [wait(200)]), valve("vent", 40))
    world.run_for(250 * MS)
    assert edge_ns(world.state) == world.now + 50 * MS
