"""Ends of runs, and what the machine is afterwards."""

import itertools

from ald.engine.inputs import ClearAsked
from ald.records.event import RunEnded, RunOutcome, SafeStateReached, StateChanged
from unit.engine.programs import MS, S, purge, valve, wait
from unit.engine.world import World


def abort(world):
    world.abort(by="tester", reason="enough")


def test_the_end_names_who_asked_and_why():
    world = World().ready().start(wait(1000))
    abort(world)
    world.run_for(1 * S)
    (ended,) = world.events(RunEnded)
    assert (ended.by, ended.message) == ("tester", "enough")


def test_valves_and_outputs_are_written_before_the_end_is_on_record():
    world = World().ready().start(purge(300), valve("tma", 400))
    world.run_for(400 * MS)
    abort(world)
    world.run_for(100 * MS)
    kinds = [type(e) for e in world.journal]
    assert kinds.index(RunEnded) < kinds.index(SafeStateReached, kinds.index(RunEnded))
    assert not world.open_valves


def test_a_refused_output_is_tried_again_until_it_is_confirmed():
    world = World().ready().start(wait(1000))
    world.fates.append(lambda w: "refuse" if getattr(w.target, "words", None) else None)
    abort(world)
    world.run_for(1 * S)
    assert world.outcome is RunOutcome.ABORTED
    assert world.machine == "Aborting"
    world.fates.clear()
    world.run_for(1 * S)
    assert world.machine == "Idle"
    assert world.value("mfc.setpoint") == 20.0


def test_a_safe_state_refused_for_long_latches_and_goes_on_being_tried():
    world = World().ready().start(wait(1000))
    world.fates.append(lambda w: "refuse" if getattr(w.target, "words", None) else None)
    abort(world)
    world.run_for(12 * S)
    assert world.machine == "Aborted"
    unconfirmed = [s for s in world.events(SafeStateReached) if not s.confirmed]
    assert len(unconfirmed) == 1
    assert "mfc.setpoint" in unconfirmed[0].detail
    world.fates.clear()
    world.run_for(1 * S)
    assert world.events(SafeStateReached)[-1].confirmed
    world.give(ClearAsked(at_ns=world.now, by="me", comment=""))
    assert world.machine == "Idle"


def test_each_change_of_state_follows_the_one_before():
    world = World().ready().start(wait(100))
    world.run_until_ended()
    changes = world.events(StateChanged)
    for before, after in itertools.pairwise(changes):
        assert after.previous is before.state
