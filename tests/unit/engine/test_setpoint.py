"""Set points: acknowledged, then read back by the scans while the run goes on."""

from ald.records.event import RunOutcome, WriteOutcome, Written
from unit.engine.programs import MS, S, assign, flow, purge, valve, wait
from unit.engine.world import World


def test_a_set_is_on_record_with_its_times():
    world = World().ready().start(assign(120.0))
    world.run_until_ended()
    (written,) = world.events(Written)[-1:]
    assert (written.target, written.value, written.by) == ("heater.setpoint", 120.0, "assign")
    assert written.outcome is WriteOutcome.CONFIRMED
    assert written.ack_ns - written.sent_ns == 3 * MS


def test_the_run_does_not_wait_for_the_read_back_before_its_next_step():
    world = World().ready().start(assign(120.0), flow(20.0), purge(300), valve("tma", 10))
    began = world.now
    world.run_until_ended()
    assert world.pulses[0].due_ns - began < 310 * MS


def test_a_value_that_never_shows_fails_the_step_under_way_after_three_scans():
    world = World().ready()
    world.overrides["heater.setpoint"] = 7.0
    world.start(assign(120.0), wait(10_000), cleanup=[flow(33.0)])
    began = world.now
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert "heater.setpoint reads 7 3 scans after step assign set it to 120" in ended.message
    assert world.now - began < 1 * S
    assert world.value("mfc.setpoint") == 33.0
    mismatch = next(w for w in world.events(Written) if w.outcome is WriteOutcome.MISMATCH)
    assert mismatch.by == "assign"


def test_a_mismatch_found_while_a_valve_is_open_waits_for_the_valve():
    world = World().ready()
    world.overrides["heater.setpoint"] = 7.0
    world.start(flow(20.0), purge(300), assign(120.0), valve("tma", 900), wait(5000))
    assert world.run_until_ended().outcome is RunOutcome.STEP_FAILED
    (pulse,) = world.pulses
    assert pulse.closed_sent_ns - pulse.opened_sent_ns == 900 * MS


def test_a_value_that_shows_late_but_in_time_is_fine():
    world = World().ready()
    world.overrides["heater.setpoint"] = 7.0
    world.start(assign(120.0), wait(1000))
    world.at(250 * MS, world.overrides.clear)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_newer_write_replaces_what_was_expected():
    world = World().ready().start(assign(120.0), assign(80.0), wait(500))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_purge_takes_over_the_set_point_of_its_gas():
    world = World().ready().start(flow(20.0), purge(1000, 40.0))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_the_run_ends_only_when_its_last_value_has_been_read_back():
    world = World().ready().start(assign(120.0))
    world.run_for(5 * MS)
    assert world.state.run is not None
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_refused_write_fails_the_step():
    world = World().ready()
    world.fates.append(lambda w: "refuse" if w.lane.value == "recipe" else None)
    world.start(assign(120.0))
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert world.events(Written)[-1].outcome is WriteOutcome.REFUSED


def test_a_value_outside_the_limits_never_reaches_the_link():
    world = World().ready().start(assign(9999.0))
    world.run_for(1 * S)
    assert world.outcome is RunOutcome.SAFETY_VIOLATION
    assert world.value("heater.setpoint") == 0.0
