import msgspec

from ald.plant.model import signals
from ald.store.plants import Known, changes, meaning
from unit.store.feeds import PLANT

SIGNALS = signals(PLANT)
CURRENT = {s.name: Known(id=n, meaning=meaning(s)) for n, s in enumerate(SIGNALS, 1)}


def test_the_first_plant_makes_every_signal():
    assert changes(SIGNALS, {}) == (list(SIGNALS), [])


def test_the_same_plant_changes_nothing():
    assert changes(SIGNALS, CURRENT) == ([], [])


def test_each_part_of_the_meaning_makes_a_new_one_and_ends_the_old():
    for change in ({"unit": "K"}, {"scale": 2.0}, {"offset": 1.0}):
        changed = msgspec.structs.replace(SIGNALS[0], **change)
        assert changes((changed, *SIGNALS[1:]), CURRENT) == ([changed], [1])


def test_an_address_may_move_without_a_new_meaning():
    moved = msgspec.structs.replace(
        SIGNALS[0], point=msgspec.structs.replace(SIGNALS[0].point, address=99)
    )
    assert changes((moved, *SIGNALS[1:]), CURRENT) == ([], [])


def test_a_signal_that_is_gone_ends():
    assert changes(SIGNALS[1:], CURRENT) == ([], [1])
