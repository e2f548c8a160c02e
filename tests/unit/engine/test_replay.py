"""The same inputs give the same effects."""

from ald.engine.inputs import AbortAsked, ClearAsked
from ald.engine.replay import replay
from unit.engine.programs import MS, UID, S, flow, loop, purge, valve
from unit.engine.world import World


def test_a_session_replayed_gives_the_same_effects_and_ends_in_the_same_state():
    world = World().ready().start(flow(20.0), loop(5, purge(300), valve("tma", 40)))
    world.run_for(700 * MS)
    world.disconnect()
    world.connect()
    world.run_for(1 * S)
    replayed = list(replay(world.inputs))
    assert [e for _, _, effects in replayed for e in effects] == world.log
    assert replayed[-1][1] == world.state


def test_a_refused_request_is_an_input_without_effects():
    world = World().ready()
    inputs = [*world.inputs, ClearAsked(at_ns=world.now, by="me", comment="")]
    *_, (_, state, effects) = replay(inputs)
    assert effects == ()
    assert state == world.state


def test_a_replay_goes_on_from_any_state():
    world = World().ready()
    half = world.state
    count = len(world.inputs)
    world.start(purge(300))
    world.give(AbortAsked(at_ns=world.now, uid=UID, by="t", reason="r"))
    world.run_for(1 * S)
    *_, (_, state, _) = replay(world.inputs[count:], half)
    assert state == world.state
