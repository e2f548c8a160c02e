"""Waiting for time and for the plant."""

from ald.engine.inputs import Tick
from ald.records.event import RunOutcome, StepEnded
from unit.engine.programs import MS, S, loop, wait, wait_for
from unit.engine.world import World

HOT = ("value('heater.temperature') > 100.0", ("heater.temperature",))


def heat(world, value):
    world.overrides["heater.temperature"] = value


def test_waits_are_exact_to_the_schedule():
    world = World().ready().start(wait(700), wait(800))
    began = world.now
    world.run_until_ended()
    assert [e.at_ns - began for e in world.events(StepEnded)] == [700 * MS, 1500 * MS]


def test_a_condition_must_be_true_for_its_whole_time():
    world = World().ready().start(wait_for(*HOT, stable_ms=1000, timeout_ms=60_000))
    world.at(500 * MS, lambda: heat(world, 150.0))
    world.at(1200 * MS, lambda: heat(world, 50.0))
    world.at(1400 * MS, lambda: heat(world, 150.0))
    began = world.now
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    took = world.events(StepEnded)[0].at_ns - began
    assert 2400 * MS <= took <= 2600 * MS


def test_a_condition_without_a_time_is_met_by_one_scan():
    world = World().ready()
    heat(world, 150.0)
    world.start(wait_for(*HOT, stable_ms=0, timeout_ms=60_000))
    world.run_for(250 * MS)
    assert world.outcome is RunOutcome.COMPLETED


def test_a_condition_never_met_fails_the_step_at_its_timeout():
    world = World().ready().start(wait_for(*HOT, stable_ms=100, timeout_ms=3000))
    began = world.now
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert "not true for 100ms within 3s" in ended.message
    assert world.events(StepEnded)[0].at_ns - began == 3 * S


def test_a_value_that_is_not_good_makes_the_condition_false_whatever_it_says():
    world = World().ready()
    heat(world, None)
    condition = ("value('heater.temperature') > 100.0 || true", ("heater.temperature",))
    world.start(wait_for(*condition, stable_ms=0, timeout_ms=1000))
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert "not readable: heater.temperature" in ended.message


def test_scans_that_fail_to_come_break_the_time_of_being_true():
    world = World().ready()
    heat(world, 150.0)
    world.start(wait_for(*HOT, stable_ms=1000, timeout_ms=60_000))
    world.at(600 * MS, lambda: setattr(world, "scanning", False))
    world.at(1500 * MS, lambda: setattr(world, "scanning", True))
    began = world.now
    world.run_until_ended()
    assert world.events(StepEnded)[0].at_ns - began >= 2500 * MS


def test_a_set_point_in_a_condition_is_what_was_last_commanded():
    condition = "value('heater.temperature') >= setpoint('heater.setpoint')"
    world = World().ready()
    world.start(
        wait_for(condition, ("heater.temperature", "heater.setpoint"), stable_ms=0, timeout_ms=900)
    )
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_however_short_the_steps_are_one_input_ends_no_more_than_one_of_them():
    world = World().ready().start(loop(2000, wait(0.001)))
    world.late_ns = 20 * MS
    most = 0
    for _ in range(50):
        before = len(world.events(StepEnded))
        world.give(Tick(at_ns=world.now + 20 * MS))
        most = max(most, len(world.events(StepEnded)) - before)
    assert most == 1
