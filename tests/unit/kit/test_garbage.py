import gc

import pytest

from ald.kit.garbage import WHOLE_NS, Garbage

LITTLE, SOME, ALL = 0, 1, 2


@pytest.fixture
def garbage():
    made = Garbage()
    made.begin(is_automatic=False)
    yield made
    gc.unfreeze()
    gc.enable()


@pytest.fixture
def looked_through():
    """Give the generations that were, in order."""
    generations = []

    def note(phase, info):
        if phase == "start":
            generations.append(info["generation"])

    gc.callbacks.append(note)
    yield generations
    gc.callbacks.remove(note)


def test_everything_is_looked_through_once_a_minute_where_the_process_may_pause(
    garbage, looked_through
):
    for now_ns in (0, 1, WHOLE_NS - 1, WHOLE_NS, WHOLE_NS + 1, 3 * WHOLE_NS):
        garbage.collect(now_ns, may_pause=True)
    assert looked_through == [ALL, SOME, SOME, ALL, SOME, ALL]


def test_where_it_may_not_never_more_than_what_is_new_is(garbage, looked_through):
    for now_ns in (0, WHOLE_NS, 2 * WHOLE_NS):
        garbage.collect(now_ns, may_pause=False)
    assert looked_through == [LITTLE] * 3
    garbage.collect(2 * WHOLE_NS + 1, may_pause=True)
    assert looked_through[-1] == ALL


@pytest.mark.parametrize("is_automatic", [False, True])
def test_what_was_there_before_is_never_looked_through(garbage, is_automatic):
    gc.unfreeze()
    gc.enable()
    garbage.begin(is_automatic=is_automatic)
    assert gc.get_freeze_count() > 0
    assert gc.isenabled() is is_automatic
