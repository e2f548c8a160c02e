"""One turn: effects in order, nothing half done."""

import pytest

from ald.engine.effects import Coils, Lane, Write
from ald.engine.transitions import Cause
from ald.engine.turn import Turn
from ald.errors import SafetyError
from ald.records.event import StateChanged
from unit.engine.world import World


def turn():
    world = World().ready()
    return Turn(world.state, world.now)


def test_tokens_are_never_used_twice():
    one = turn()
    shut = Coils(address=8, bits=(False,))
    tokens = [one.write(Lane.SAFE, shut) for _ in range(3)]
    assert tokens == sorted(set(tokens))
    assert [e.token for e in one.effects if isinstance(e, Write)] == tokens


def test_a_forbidden_write_leaves_no_effect():
    one = turn()
    with pytest.raises(SafetyError):
        one.write(Lane.RECIPE, Coils(address=8, bits=(True,)))
    assert one.effects == []


def test_a_rewound_turn_forgets_state_and_effects():
    one = turn()
    mark = one.mark()
    one.write(Lane.SAFE, Coils(address=8, bits=(False,)))
    one.change(reason="other")
    one.rewind(mark)
    assert one.effects == []
    assert one.state is mark[0]


def test_a_change_of_state_is_on_record_with_both_ends():
    one = turn()
    one.move(Cause.STOP, "Because", "of this")
    (effect,) = one.effects
    event = effect.event
    assert isinstance(event, StateChanged)
    assert (event.previous.value, event.state.value) == ("Idle", "Stopped")
    assert event.wall_ns - event.at_ns == one.state.wall_offset_ns
    assert one.state.machine is event.state


def test_a_way_that_the_table_does_not_have_is_our_own_bug():
    with pytest.raises(AssertionError, match="leads nowhere"):
        turn().move(Cause.CLEAR, "", "")
