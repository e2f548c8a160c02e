"""What the kernel has not taken yet: in its order, whole frames, and taken back only where no byte has left."""

from hypothesis import given
from hypothesis import strategies as st

from ald.plc.leaving import Leaving
from ald.plc.pending import Lane, Pending
from unit.plc.bench import OPEN


def pending(token, lane=Lane.RECIPE):
    return Pending(lane, OPEN, token, 0)


def filled(*frames):
    """Return what holds these frames, each its lane and its bytes, and their requests."""
    leaving, made = Leaving(), []
    for token, (lane, frame) in enumerate(frames):
        made.append(pending(token, lane))
        leaving.append(made[-1], frame)
    return leaving, made


def test_a_request_has_left_with_the_last_byte_of_its_frame():
    leaving, (first, second) = filled((Lane.RECIPE, b"abc"), (Lane.SCAN, b"def"))
    assert list(leaving.took(2)) == []
    assert leaving.has_begun(first)
    assert not leaving.has_begun(second)
    assert list(leaving.took(4)) == [first, second]
    assert not leaving


def test_what_has_not_begun_to_leave_is_taken_back_and_the_rest_moves_up():
    leaving, (begun, back, other, too) = filled(
        (Lane.RECIPE, b"aaa"), (Lane.RECIPE, b"bb"), (Lane.SCAN, b"cccc"), (Lane.RECIPE, b"d")
    )
    list(leaving.took(1))
    assert leaving.withdraw(Lane.RECIPE) == [back, too]
    assert leaving.next_bytes() == b"aacccc"
    assert list(leaving.took(2)) == [begun]
    assert not leaving.has_begun(other)
    assert list(leaving.took(4)) == [other]


def test_a_frame_behind_one_that_was_taken_back_is_known_by_its_new_place():
    leaving, (_, scan) = filled((Lane.RECIPE, b"aaa"), (Lane.SCAN, b"bbb"))
    leaving.withdraw(Lane.RECIPE)
    list(leaving.took(1))
    assert leaving.has_begun(scan)
    assert leaving.withdraw(Lane.SCAN) == []


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.sampled_from(Lane), st.integers(1, 9)),
            st.tuples(st.just("take"), st.integers(0, 20)),
            st.tuples(st.just("withdraw"), st.sampled_from(Lane)),
        )
    )
)
def test_the_stream_is_whole_frames_in_their_order_whatever_is_taken_back(steps):
    leaving, token, stream, frames, gone, left = Leaving(), 0, b"", {}, set(), []
    for what, *arguments in steps:
        if what == "append":
            token += 1
            frames[token] = bytes([token % 256]) * arguments[1]
            leaving.append(pending(token, arguments[0]), frames[token])
        elif what == "take":
            count = min(arguments[0], len(leaving.next_bytes()))
            stream += leaving.next_bytes()[:count]
            left += [each.token for each in leaving.took(count)]
        else:
            gone |= {each.token for each in leaving.withdraw(arguments[0])}
    whole = b"".join(frame for number, frame in frames.items() if number not in gone)
    assert stream + leaving.next_bytes() == whole
    assert left == sorted(left)
    assert not gone & set(left)
