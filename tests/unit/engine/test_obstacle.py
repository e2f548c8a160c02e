"""What stops a run at the next hold point: nothing is cut short, no valve is open, and it goes on by itself."""

import pytest
from msgspec.structs import replace

from ald.engine.inputs import RecordRoom, WatchdogSeen
from ald.engine.obstacle import found
from ald.engine.state import State
from ald.engine.status import driver_status
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.records.event import HoldEnded, HoldStarted, RunOutcome
from unit.engine.programs import MS, PLANT, S, flow, purge, valve, wait
from unit.engine.world import World

UNWATCHED = replace(PLANT, allow_without_watchdog=True)
NO_HEARTBEAT = replace(UNWATCHED, heartbeat=None)


def told(world, *, ok=True, is_foreign=False):
    world.give(WatchdogSeen(at_ns=world.now, ok=ok, is_foreign=is_foreign))
    return world


def running(plant=PLANT):
    world = World(plant).ready()
    return world.start(flow(20.0), purge(300), valve("tma", 400), purge(300), valve("water", 40))


@pytest.mark.parametrize(
    ("news", "reason"),
    [({"ok": False}, "WatchdogLost"), ({"is_foreign": True}, "ForeignMaster")],
)
def test_a_run_holds_after_the_step_and_goes_on_when_the_plc_watches_again(news, reason):
    world = running().run_for(500 * MS)
    assert world.open_valves == {"tma"}
    told(world, **news)
    assert world.open_valves == {"tma"}
    world.run_for(2 * S)
    (hold,) = world.events(HoldStarted)
    assert hold.reason == reason
    assert (world.machine, world.open_valves, len(world.pulses)) == ("Held", set(), 1)
    assert world.pulses[0].error_ns == 0
    told(world)
    assert len(world.events(HoldEnded)) == 1
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert len(world.pulses) == 2


def test_it_is_aborted_when_the_plc_does_not_watch_again():
    world = running(replace(PLANT, max_hold_ns=3 * S)).run_for(500 * MS)
    told(world, ok=False)
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.HOLD_TIMEOUT
    assert "heartbeat" in ended.message


def test_a_plant_that_allows_it_runs_on_without_a_watchdog_but_not_beside_another_master():
    world = told(running(UNWATCHED), ok=False)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    world = told(running(UNWATCHED), is_foreign=True).run_for(3 * S)
    assert world.machine == "Held"


def test_without_a_heartbeat_there_is_nothing_to_lose():
    world = running(NO_HEARTBEAT)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert found(State()) is None


def test_a_run_goes_on_only_when_nothing_stands_in_the_way_any_more():
    world = World().ready().start(wait(10), wait(10))
    world.give(RecordRoom(at_ns=world.now, ok=False))
    told(world, ok=False).run_for(100 * MS)
    world.give(RecordRoom(at_ns=world.now, ok=True))
    assert world.machine == "Held"
    told(world)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


def test_a_purge_that_waits_for_its_flow_is_not_let_go_by_a_heartbeat():
    world = running()
    world.follow_flow = False
    world.overrides["mfc.flow"] = 1.0
    world.run_for(2 * S)
    assert world.machine == "Held"
    told(told(world, ok=False))
    assert world.machine == "Held"
    assert not world.pulses


def test_a_cleanup_is_held_like_the_steps():
    world = World().ready().start(wait(10), cleanup=(flow(5.0),))
    told(world, ok=False).run_for(100 * MS)
    assert world.machine == "Held"
    told(world)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert world.value("mfc.setpoint") == 5.0


def test_another_master_is_part_of_the_status_until_the_connection_is_lost():
    world = told(World().ready(), is_foreign=True)
    assert driver_status(world.state, NO_LINK, NO_SCAN).foreign_master
    world.disconnect()
    assert not driver_status(world.state, NO_LINK, NO_SCAN).foreign_master
