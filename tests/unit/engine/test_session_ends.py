"""What comes to its end where nothing can be written, or nothing is to be."""

import pytest
from msgspec.structs import replace

from ald.engine.effects import Write
from ald.engine.inputs import ClearAsked, PlantGiven, SafeStateAsked, ShutdownAsked
from ald.engine.trace import open_run, unsafe
from ald.errors import RefusedError
from ald.plant.model import Mode, SafeAction, SafeState, SafeValve, digest
from ald.records.event import SessionEnded
from unit.engine.programs import MS, PLANT, S, purge, valve, wait
from unit.engine.world import World


def test_a_run_left_behind_on_a_volume_without_a_plant_is_given_up_also_in_mode_observe():
    before = World().ready().start(purge(300), valve("tma", 4000))
    before.run_for(500 * MS)
    world = World(None, open_run=open_run(before.state))
    observe = replace(PLANT, mode=Mode.OBSERVE)
    world.give(
        PlantGiven(at_ns=world.now, plant=observe, plant_digest=digest(observe), confirmed=True)
    )
    world.plant = observe
    world.connect()
    world.run_for(11 * S)
    assert world.machine == "Aborted"
    assert not [each for each in world.log if isinstance(each, Write)]
    world.give(ClearAsked(at_ns=world.now, by="t", comment="looked"))
    assert world.machine == "Stopped"


@pytest.mark.parametrize("steps", [(), (wait(1000),)])
def test_where_the_safe_state_keeps_everything_the_session_ends_once(steps):
    kept = tuple(SafeValve(valve=v.name, action=SafeAction.KEEP) for v in PLANT.valves)
    world = World(replace(PLANT, safe_state=SafeState(valves=kept, outputs=()))).ready()
    if steps:
        world.start(*steps)
    world.run_for(100 * MS)
    world.give(ShutdownAsked(at_ns=world.now, reason="SIGTERM"))
    assert world.exited
    assert len(world.events(SessionEnded)) == 1


def test_mode_observe_and_a_restart_do_not_clear_what_somebody_has_to_clear():
    before = World().ready()
    before.give(SafeStateAsked(at_ns=before.now, by="anna", comment="smells"))
    before.run_for(1 * S)
    assert before.machine == "Aborted"
    observe = replace(PLANT, mode=Mode.OBSERVE)
    world = World(observe, unsafe=unsafe(before.state))
    world.connect()
    world.run_for(11 * S)
    assert not [each for each in world.log if isinstance(each, Write)]
    assert world.machine == "Aborted"
    assert unsafe(world.state) == unsafe(before.state)
    world.give(PlantGiven(at_ns=world.now, plant=PLANT, plant_digest=digest(PLANT), confirmed=True))
    world.connect()
    world.run_for(1 * S)
    assert world.machine == "Aborted"
    world.give(ClearAsked(at_ns=world.now, by="anna", comment="aired"))
    world.run_for(1 * S)
    assert world.machine == "Idle"


def test_no_configuration_is_taken_over_by_a_gateway_that_is_going_down():
    world = World(round_trip_ns=60 * MS).ready()
    world.give(ShutdownAsked(at_ns=world.now, reason="SIGTERM"))
    observe = replace(PLANT, mode=Mode.OBSERVE)
    with pytest.raises(RefusedError) as refused:
        world.give(
            PlantGiven(at_ns=world.now, plant=observe, plant_digest=digest(observe), confirmed=True)
        )
    assert refused.value.reason == "ShuttingDown"
    world.run_for(11 * S)
    assert world.exited
