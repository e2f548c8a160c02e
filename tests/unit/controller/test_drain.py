import pytest

from ald.controller.drain import PATIENCE_S, SILENT_PATIENCE_S, Drain
from fixtures.played_gateway import gateway_status
from unit.controller.operators import StillClock


@pytest.fixture
def clock():
    return StillClock()


@pytest.fixture
def drain(clock):
    return Drain(clock)


def at(position, committed):
    return gateway_status(None, feed_position=position, feed_committed=committed)


def test_what_was_recorded_at_the_first_look_has_to_be_in_the_history_and_nothing_later(drain):
    drain.see(at(100, 40))
    assert (drain.left, drain.is_drained) == (60, False)
    drain.see(at(120, 90))
    assert (drain.left, drain.is_drained) == (10, False)
    drain.see(at(130, 104))
    assert (drain.left, drain.is_drained) == (0, True)


def test_while_the_history_grows_there_is_patience(drain, clock):
    for committed in range(5):
        drain.see(at(100, committed))
        clock.pass_s(PATIENCE_S - 1)
        assert not drain.is_given_up
    drain.see(at(100, 4))
    clock.pass_s(2)
    assert drain.is_given_up
    assert not drain.is_drained


def test_a_gateway_that_never_said_anything_is_not_waited_for_long(drain, clock):
    drain.see(None)
    drain.see(gateway_status(None, feed=""))
    clock.pass_s(SILENT_PATIENCE_S - 1)
    assert not drain.is_given_up
    clock.pass_s(1)
    assert (drain.is_given_up, drain.left) == (True, None)


def test_a_gateway_that_falls_silent_is_waited_for_as_it_may_come_back(drain, clock):
    drain.see(at(100, 40))
    drain.see(None)
    clock.pass_s(SILENT_PATIENCE_S + 1)
    assert not drain.is_given_up
    clock.pass_s(PATIENCE_S)
    assert drain.is_given_up
