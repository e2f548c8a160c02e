"""Purges by measured flow: what counts, what holds, what is given back."""

import pytest
from msgspec.structs import replace

from ald.engine.effects import Words
from ald.records.event import (
    HoldEnded,
    HoldStarted,
    RunOutcome,
    RunStarted,
    StateChanged,
    Written,
)
from unit.engine.programs import MS, PLANT, S, flow, limited, loop, purge, valve, wait
from unit.engine.world import World


def written(world):
    return [(w.target, w.value) for w in world.events(Written) if w.by == "purge"]


def test_the_set_point_returns_to_its_value_before_the_purge():
    world = World().ready().start(flow(16.0), purge(500, 40.0))
    world.run_for(400 * MS)
    assert world.value("mfc.setpoint") == 40.0
    world.run_until_ended()
    assert world.value("mfc.setpoint") == 16.0
    assert written(world) == [("mfc.setpoint", 40.0), ("mfc.setpoint", 16.0)]


@pytest.mark.parametrize("beyond", [501.0, 1e308])
def test_a_flow_that_may_not_be_written_ends_the_run_before_a_valve_opens(beyond):
    world = World().ready().start(flow(20.0), purge(500, beyond), valve("tma", 40))
    assert world.run_until_ended().outcome is RunOutcome.SAFETY_VIOLATION
    assert written(world) == []
    assert not world.trace


def test_a_flow_that_is_set_already_is_not_written():
    world = World().ready().start(flow(20.0), purge(500, 20.0))
    world.run_until_ended()
    assert written(world) == []


def test_good_flow_needs_no_hold():
    world = World().ready().start(flow(20.0), loop(5, purge(300), valve("tma", 20)))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.events(HoldStarted) == []


def test_low_flow_holds_before_the_next_pulse_with_the_gas_kept_flowing():
    world = World(follow_flow=False).ready()
    world.overrides["mfc.flow"] = 10.0
    world.start(purge(500, 20.0), valve("tma", 40))
    world.run_for(2 * S)
    (hold,) = world.events(HoldStarted)
    assert hold.reason == "PurgeFlowLow"
    assert "precursors" in hold.message
    assert "mfc.flow is 10" in hold.message
    assert world.machine == "Held"
    assert world.value("mfc.setpoint") == 20.0
    assert not world.trace
    world.overrides["mfc.flow"] = 19.0
    world.run_for(1 * S)
    assert len(world.events(HoldEnded)) == 1
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    states = [e.state.value for e in world.events(StateChanged)]
    assert states[-5:] == ["Execute", "Held", "Execute", "Completing", "Idle"]


def test_after_the_flow_is_back_the_whole_minimum_is_purged_before_a_valve_opens():
    world = World(follow_flow=False).ready()
    world.overrides["mfc.flow"] = 0.0
    world.start(purge(300), valve("tma", 40))
    world.run_for(1050 * MS)
    world.overrides["mfc.flow"] = 20.0
    back = world.now
    world.run_until_ended()
    assert world.trace[0][0] - back >= 250 * MS


def test_a_bad_flow_reading_does_not_count():
    world = World().ready()
    world.overrides["mfc.flow"] = None
    world.start(purge(500), valve("tma", 40))
    world.run_for(2 * S)
    assert "not readable" in world.events(HoldStarted)[0].message


def test_a_dip_in_the_middle_takes_back_the_time_since_the_last_good_scan():
    world = World(follow_flow=False).ready()
    world.overrides["mfc.flow"] = 20.0
    world.start(purge(300), valve("tma", 40), purge(300), valve("water", 40))
    world.run_for(450 * MS)
    world.overrides["mfc.flow"] = 0.0
    world.run_for(100 * MS)
    world.overrides["mfc.flow"] = 20.0
    world.run_until_ended()
    first, second = world.pulses
    assert second.opened_sent_ns - first.closed_ack_ns >= 350 * MS


def test_when_the_scans_stop_the_flow_counts_only_as_long_as_the_last_one_speaks_for_it():
    plant = replace(PLANT, groups=(replace(PLANT.groups[0], minimum_purge_ns=2 * S),))
    world = World(plant).ready()
    world.scanning = False
    world.start(flow(20.0), purge(3000), valve("tma", 40))
    world.run_for(10 * S)
    assert world.events(HoldStarted)
    assert not world.trace


def test_a_gas_without_feedback_counts_by_the_clock():
    world = World(follow_flow=False).ready()
    world.overrides["mfc.flow"] = 0.0
    world.start(purge(300, 20.0, "Ar"), valve("tma", 40))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.events(HoldStarted) == []


def test_a_purge_below_the_groups_flow_does_not_count():
    world = World().ready().start(purge(5000, 10.0), valve("tma", 40))
    assert world.run_until_ended().outcome is RunOutcome.SAFETY_VIOLATION
    assert not world.trace


def test_purges_add_up_until_a_valve_of_the_group_opens():
    world = World().ready().start(flow(20.0), purge(150), purge(150), valve("tma", 40))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_purge_of_exactly_the_minimum_is_drawn_out_by_the_round_trip_without_a_hold():
    world = World(round_trip_ns=5 * MS).ready()
    world.start(
        flow(20.0),
        purge(300),
        loop(20, valve("tma", 20), purge(250), valve("water", 20), purge(250)),
    )
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.events(HoldStarted) == []
    gaps = [
        b.opened_sent_ns - a.closed_ack_ns
        for a, b in zip(world.pulses, world.pulses[1:], strict=False)
    ]
    assert min(gaps) >= 250 * MS


def test_a_hold_longer_than_its_maximum_aborts():
    world = World(replace(PLANT, max_hold_ns=5 * S), follow_flow=False).ready()
    world.overrides["mfc.flow"] = 0.0
    world.start(purge(300), valve("tma", 40))
    world.run_for(7 * S)
    assert world.outcome is RunOutcome.HOLD_TIMEOUT
    assert world.machine == "Idle"


def test_a_set_point_that_cannot_be_read_fails_the_step():
    world = World().ready()
    world.overrides["mfc.setpoint"] = None
    world.run_for(200 * MS)
    world.start(purge(300))
    assert world.run_until_ended().outcome is RunOutcome.STEP_FAILED


@pytest.mark.parametrize("nth", [0, 1])
def test_a_refused_write_of_the_flow_fails_the_step(nth):
    world = World().ready()
    seen = []

    def fate(write):
        if getattr(write.target, "words", None) is None:
            return None
        seen.append(write)
        return "refuse" if len(seen) == nth + 1 else None

    world.fates.append(fate)
    world.start(purge(300))
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert "mfc.setpoint was not set" in ended.message


def test_purge_after_purge_does_not_count_on_a_scan_of_long_ago():
    world = World().ready()
    world.start(flow(20.0), loop(20, purge(300), valve("tma", 40), purge(300), valve("water", 40)))
    world.run_for(350 * MS)
    world.scanning = False
    world.run_for(3 * S)
    opened = len([edge for edge in world.trace if edge[2]])
    assert world.events(HoldStarted)
    assert opened <= 2
    world.scanning = True
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_long_gap_between_two_good_scans_does_not_count_whole():
    plant = replace(PLANT, groups=(replace(PLANT.groups[0], minimum_purge_ns=2 * S),))
    world = World(plant).ready()
    world.start(flow(20.0), purge(500), purge(1600), valve("tma", 40))
    world.run_for(400 * MS)
    world.scanning = False
    world.run_for(1500 * MS)
    world.scanning = True
    world.run_until_ended()
    # Of 1.5 s without a scan, 0.3 s count.
    assert world.pulses[0].opened_sent_ns - world.events(RunStarted)[0].at_ns >= 3 * S


def test_a_reading_counts_from_when_it_was_begun_not_from_when_it_was_complete():
    world = World().ready()
    world.scan_takes_ns = 5 * S
    world.start(flow(20.0), purge(300), valve("tma", 40))
    world.run_for(4 * S)
    assert not world.trace


def seldom_read(flow_at_the_scan):
    """A machine that is read once a second, last a fifth of one ago."""
    world = World(replace(PLANT, scan_period_ns=1 * S), follow_flow=False)
    world.overrides["mfc.flow"] = flow_at_the_scan
    world.ready()
    read = world.state.seen_ns
    while world.state.seen_ns == read:
        world.run_for(10 * MS)
    return world.run_for(200 * MS)


def test_a_scan_from_before_the_set_point_moved_says_nothing_of_the_flow():
    world = seldom_read(20.0).start(flow(20.0), flow(0.0), wait(100), purge(300), valve("tma", 40))
    world.overrides["mfc.flow"] = 0.0
    world.run_for(5 * S)
    assert (world.trace, world.machine) == ([], "Held")


def test_a_purge_that_moved_its_set_point_counts_whole_once_a_scan_has_confirmed_it():
    world = seldom_read(20.0).start(purge(300), valve("tma", 40))
    began = world.now
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    # Not before the next scan, and without another purge behind it.
    assert 790 * MS <= world.trace[0][0] - began <= 850 * MS


def test_the_same_value_written_again_moves_nothing():
    world = World(replace(PLANT, scan_period_ns=1 * S)).ready()
    world.start(flow(20.0), wait(2100), flow(20.0), purge(300), valve("tma", 40))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.events(HoldStarted) == []


def test_a_set_point_at_its_limit_is_given_back_however_its_type_rounds_it():
    limit = 20.1
    world = World(limited("mfc.setpoint", maximum=limit)).ready()
    world.start(flow(limit), wait(500), purge(500, 16.0))
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert written(world) == [("mfc.setpoint", 16.0), ("mfc.setpoint", limit)]


def test_a_flow_of_which_nobody_knows_whether_it_was_written_is_written_anew():
    sent = []

    def fate(write):
        if not isinstance(write.target, Words) or write.target.address != 20:
            return None
        sent.append(write)
        return "unknown" if len(sent) == 2 else None

    world = World().ready()
    world.fates.append(fate)
    world.start(
        flow(50.0, "Ar"), purge(300, 20.0, "Ar"), cleanup=(purge(300, 50.0, "Ar"), valve("tma", 40))
    )
    assert world.run_until_ended().outcome is RunOutcome.STEP_FAILED
    assert [value for _, value in written(world)][:2] == [20.0, 50.0]
    assert world.value("mfc-2.setpoint") == 50.0


def test_a_purge_whose_set_point_could_not_be_given_back_fails_before_it_moves_it():
    world = World(limited("mfc.setpoint", minimum=5.0)).ready().start(purge(500, 16.0))
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    why = "mfc.setpoint takes 5 to 500, and stands at 0, so the purge could not give it its value back"
    assert why in ended.message
    assert written(world) == []


def test_of_a_gas_without_feedback_nothing_counts_while_its_set_point_reads_less():
    """A hand on the panel, or the PLC's program, has turned it off: a scan says so, and the purge would be over in time."""
    world = World().ready().start(flow(20.0, "Ar"), purge(500, 20.0, "Ar"), valve("tma", 40))
    address = 20
    kept: list[dict[int, int]] = []

    def turn_off():
        kept.append(dict(world.words))
        world.words[address] = world.words[address + 1] = 0

    world.at(100 * MS, turn_off)
    world.run_for(3 * S)
    (hold,) = world.events(HoldStarted)
    assert hold.reason == "PurgeFlowLow"
    assert "mfc-2.setpoint is 0" in hold.message
    assert not world.trace
    world.words.update({at: kept[0][at] for at in (address, address + 1)})
    back_ns = world.now
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.trace[0][0] - back_ns >= 150 * MS
