"""What is known of values: read, or written since."""

from ald.engine import reading
from ald.program.condition import Condition
from unit.engine.programs import MS, S, assign, wait
from unit.engine.world import World


def test_a_value_is_known_only_while_it_is_good():
    world = World().ready()
    world.overrides["heater.temperature"] = 80.0
    world.run_for(200 * MS)
    assert reading.good(world.state, "heater.temperature") == 80.0
    world.overrides["heater.temperature"] = None
    world.run_for(200 * MS)
    assert reading.good(world.state, "heater.temperature") is None
    assert reading.good(world.state, "no.such") is None


def test_what_was_written_counts_until_a_later_scan_shows_it():
    world = World().ready().start(assign(120.0), wait(1000))
    world.run_for(5 * MS)
    assert reading.good(world.state, "heater.setpoint") == 0.0
    assert reading.known(world.state, "heater.setpoint") == 120.0
    world.words[0] = world.words[1] = 0
    world.run_for(300 * MS)
    assert reading.known(world.state, "heater.setpoint") == 0.0


def test_after_a_lost_connection_nothing_is_known():
    world = World().ready().start(assign(120.0), wait(1000))
    world.run_for(1 * S)
    world.disconnect()
    assert reading.known(world.state, "heater.setpoint") is None


def test_a_condition_is_judged_on_the_last_scan():
    world = World()
    condition = Condition("value('heater.temperature') > 50.0 && age('heater.temperature') < 1.0")
    assert not reading.holds(world.state, condition, world.now)
    world.ready()
    world.overrides["heater.temperature"] = 80.0
    world.run_for(200 * MS)
    assert reading.holds(world.state, condition, world.now)
    assert not reading.holds(world.state, condition, world.now + 2 * S)


def test_what_may_have_been_written_is_doubtful_until_a_later_scan():
    world = World().ready()
    world.fates.append(lambda w: "unknown" if w.lane.value == "recipe" else None)
    world.start(assign(120.0), cleanup=(wait(1000),))
    world.run_for(5 * MS)
    assert reading.is_doubtful(world.state, "heater.setpoint")
    assert reading.known(world.state, "heater.setpoint") == 0.0
    world.run_for(300 * MS)
    assert not reading.is_doubtful(world.state, "heater.setpoint")
    assert reading.known(world.state, "heater.setpoint") == 120.0
