"""What is said of a run that a dead executor has left."""

import msgspec

from ald.engine.effects import Reservation
from ald.engine.lost import known, position
from ald.wire import Reached
from unit.engine.programs import MS, UID, loop, purge, valve
from unit.engine.test_attempts import begun, left
from unit.engine.world import World

CYCLE = (valve("tma", 40), purge(300))


def reserved(**changes):
    made = Reservation(
        run=UID,
        attempt=1,
        begun=Reached(step="deposit/tma", iterations=((35, 100),)),
        reached=Reached(step="deposit/tma", iterations=((40, 100),)),
        ordinal=170,
        leaves_done=140,
        pulses=70,
        is_over=False,
    )
    return msgspec.structs.replace(made, **changes)


def found(**changes):
    return msgspec.structs.replace(left(begun()), **changes)


def test_where_memory_has_outlived_it_everything_is_known():
    there = found(reservation=reserved())
    assert known(there) is there
    assert "the last step begun was number" in position(there)


def test_by_its_reservation_it_is_bounded_on_both_sides():
    bounded = known(found(is_exact=False, reservation=reserved()))
    assert (bounded.reached.iterations, bounded.begun) == (((40, 100),), 170)
    assert (bounded.leaves_done, bounded.pulses, bounded.resumable) == (140, 70, True)
    assert (bounded.step, bounded.path, bounded.iterations) == ("", "", ())
    text = position(bounded)
    assert "deposit/tma in cycle 35/100 had begun" in text
    assert "all up to deposit/tma in cycle 40/100 may have begun" in text


def test_what_may_be_over_is_not_taken_up():
    over = known(found(is_exact=False, reservation=reserved(is_over=True)))
    assert not over.resumable
    assert "all that follows may have begun" in position(over)


def test_without_a_reservation_anything_may_have_begun():
    bare = known(found(is_exact=False))
    assert (bare.reached, bare.resumable) == (Reached(), False)
    assert "any of its" in position(bare)


def test_a_reservation_made_before_the_first_step_says_that_none_is_known():
    text = position(found(is_exact=False, reservation=reserved(begun=Reached())))
    assert "none of its steps is known" in text


def test_a_run_that_was_being_ended_is_not_taken_up():
    world = World().ready().start(purge(300), loop(5, *CYCLE)).run_for(700 * MS)
    there = msgspec.structs.replace(
        left(world), is_exact=False, resumable=False, reservation=reserved()
    )
    assert not known(there).resumable
