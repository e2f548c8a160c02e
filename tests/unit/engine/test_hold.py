"""Holds: once, with a reason, and not for ever."""

from msgspec.structs import replace

from ald.engine.inputs import RecordRoom
from ald.engine.status import driver_status
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.records.event import HoldEnded, HoldStarted, RunOutcome, SafeStateReached, Written
from unit.engine.programs import MS, PLANT, S, wait
from unit.engine.world import World


def held(plant=PLANT):
    world = World(plant).ready().start(wait(10), wait(10))
    world.give(RecordRoom(at_ns=world.now, ok=False))
    return world.run_for(100 * MS)


def test_a_hold_is_on_record_once_however_often_it_is_noticed():
    world = held()
    world.give(RecordRoom(at_ns=world.now, ok=False))
    world.run_for(1 * S)
    assert len(world.events(HoldStarted)) == 1
    world.give(RecordRoom(at_ns=world.now, ok=True))
    world.give(RecordRoom(at_ns=world.now, ok=True))
    assert len(world.events(HoldEnded)) == 1


def test_the_status_says_what_is_held_and_why():
    status = driver_status(held().state, NO_LINK, NO_SCAN)
    assert status.state.value == "Held"
    assert status.run is not None
    assert "no room on record" in status.run.held


def test_a_hold_ends_in_an_abort_after_its_maximum():
    world = held(replace(PLANT, max_hold_ns=2 * S))
    world.run_for(3 * S)
    assert world.outcome is RunOutcome.HOLD_TIMEOUT
    assert "maxHold" in world.state.last_run.message
    assert world.events(SafeStateReached)[-1].confirmed
    written = {each.target for each in world.events(Written) if each.by == "safe-state"}
    assert written >= {"valve.tma", "heater.power", "mfc.setpoint"}, "the whole safe state"
