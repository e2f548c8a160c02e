"""Ramps: steady, at most one write a second, exact at the end."""

import itertools

import msgspec
import pytest

from ald.engine.status import driver_status
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.records.event import MachineState, RunOutcome, StepEnded, Written
from unit.engine.programs import MS, S, assign, limited, ramp
from unit.engine.world import World


def ramped(world):
    return [w for w in world.events(Written) if w.by == "ramp"]


def test_a_ramp_writes_once_a_second_and_ends_exactly():
    world = World().ready().start(ramp(100.0, 10.0))
    began = world.now
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    writes = ramped(world)
    assert [round(w.value) for w in writes] == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert writes[-1].value == 100.0
    assert [w.sent_ns - began for w in writes] == [n * S for n in range(1, 11)]
    assert world.value("heater.setpoint") == 100.0


def test_a_ramp_begins_where_the_set_point_is_and_may_go_down():
    world = World().ready().start(assign(60.0), ramp(30.0, 10.0))
    world.run_until_ended()
    assert [round(w.value, 1) for w in ramped(world)] == [50.0, 40.0, 30.0]


def test_no_two_writes_are_closer_than_a_second_not_even_the_last():
    world = World().ready().start(ramp(35.0, 10.0))
    world.run_until_ended()
    sent = [w.sent_ns for w in ramped(world)]
    assert min(b - a for a, b in itertools.pairwise(sent)) >= 1 * S
    ended = world.events(StepEnded)[-1].at_ns
    assert ended - sent[-1] == 3 * MS


def test_a_way_of_less_than_a_second_takes_one_write_at_its_end():
    world = World().ready().start(ramp(5.0, 10.0))
    began = world.now
    world.run_until_ended()
    (write,) = ramped(world)
    assert (write.value, write.sent_ns - began) == (5.0, 500 * MS)


def test_a_ramp_to_where_it_is_ends_at_once():
    world = World().ready().start(ramp(0.0, 10.0))
    world.run_until_ended()
    assert len(ramped(world)) == 1


def test_a_set_point_that_cannot_be_read_fails_the_step():
    world = World().ready()
    world.overrides["heater.setpoint"] = None
    world.run_for(200 * MS)
    world.start(ramp(100.0, 10.0))
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert "nowhere to start" in ended.message


def test_a_refused_write_ends_the_ramp():
    world = World().ready()
    world.start(ramp(100.0, 10.0))
    world.run_for(2500 * MS)
    world.fates.append(lambda w: "refuse" if w.lane.value == "recipe" else None)
    assert world.run_until_ended().outcome is RunOutcome.STEP_FAILED
    assert world.value("heater.setpoint") == pytest.approx(20.0)


def test_an_abort_stops_a_ramp_where_it_is():
    world = World().ready().start(ramp(100.0, 10.0))
    world.run_for(2500 * MS)
    world.abort(uid="")
    world.run_for(5 * S)
    assert world.value("heater.setpoint") == pytest.approx(20.0)


def test_a_ramp_from_where_nothing_may_be_written_fails_before_it_writes():
    world = World(limited("heater.setpoint", minimum=20.0)).ready().start(ramp(100.0, 10.0))
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    why = "heater.setpoint takes 20 to 500, and stands at 0, so a ramp has nowhere to start"
    assert why in ended.message
    assert ramped(world) == []
    assert world.state.machine is MachineState.IDLE


def test_a_ramp_that_would_never_end_fails_at_once():
    world = World().ready().start(ramp(100.0, 1e-300))
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert "from 0 to 100 takes longer than 720h" in ended.message


@pytest.mark.parametrize("per_second", [4e-5, 1e-9])
def test_the_status_of_a_ramp_however_slow_can_be_sent(per_second):
    world = World().ready().start(ramp(100.0, per_second))
    world.run_for(2 * S)
    assert msgspec.msgpack.encode(driver_status(world.state, NO_LINK, NO_SCAN))
