from hypothesis import given
from hypothesis import strategies as st

from ald.store.batch import segments
from ald.store.model import Item, Undecodable


def items(positions):
    return [
        Item(position=p, session="", kind="scan", body=b"", content=Undecodable(reason=""))
        for p in positions
    ]


def shown(after, positions):
    return [(gap, [i.position for i in found]) for gap, found in segments(after, items(positions))]


def test_positions_without_a_gap_are_one_segment():
    assert shown(3, [4, 5, 6]) == [(0, [4, 5, 6])]


def test_each_gap_begins_a_segment_and_is_counted():
    assert shown(3, [6, 7, 10]) == [(2, [6, 7]), (2, [10])]


@given(st.integers(0, 100), st.sets(st.integers(101, 200), min_size=1))
def test_segments_and_gaps_account_for_every_position(after, positions):
    found = segments(after, items(sorted(positions)))
    assert [i.position for _, part in found for i in part] == sorted(positions)
    assert sum(gap for gap, _ in found) + len(positions) == max(positions) - after
