from ald.simulator.trace import Cause, Trace
from unit.simulator.machines import MS, WALL, at


def trace(**options):
    return Trace({"precursors": frozenset({"tma", "water"})}, **options)


def edge(record, valve, state, ns, coil=1):
    record.record(
        coil=coil, valve=valve, state=state, cause=Cause.WRITE, times=(at(ns - MS), at(ns))
    )


def test_an_edge_carries_both_times_on_both_clocks():
    record = trace()
    edge(record, "tma", True, 10 * MS)
    (found,) = record.after(0, 10)
    assert (found.received_ns, found.received_wall_ns) == (9 * MS, WALL + 9 * MS)
    assert (found.effective_ns, found.effective_wall_ns) == (10 * MS, WALL + 10 * MS)


def test_edges_are_read_behind_a_sequence_and_up_to_a_limit():
    record = trace()
    for ns in range(5):
        edge(record, "tma", ns % 2 == 0, ns)
    assert [e.sequence for e in record.after(2, 2)] == [3, 4]
    assert record.after(5, 10) == []


def test_the_oldest_edges_go_when_it_is_full_and_it_says_so():
    record = trace(edges_max=3)
    for ns in range(5):
        edge(record, "tma", ns % 2 == 0, ns)
    assert record.dropped_to == 2
    assert [e.sequence for e in record.after(0, 10)] == [3, 4, 5]


def test_sequences_go_on_after_a_reset():
    record = trace()
    edge(record, "tma", True, 0)
    record.reset()
    edge(record, "tma", False, 1)
    assert [e.sequence for e in record.after(0, 10)] == [2]
    assert record.dropped_to == 1


def test_two_valves_open_together_are_an_overlap_with_their_group():
    record = trace()
    edge(record, "tma", True, 0)
    edge(record, "water", True, 5)
    edge(record, "tma", False, 6)
    (overlap,) = record.overlaps
    assert (overlap.first, overlap.second, overlap.group) == ("tma", "water", "precursors")
    assert overlap.from_ns == 5
    assert record.open_valves == ("water",)


def test_valves_without_a_common_group_overlap_without_a_group():
    record = trace()
    edge(record, "tma", True, 0)
    edge(record, "spare", True, 1)
    assert [o.group for o in record.overlaps] == [""]


def test_one_after_the_other_is_no_overlap():
    record = trace()
    for valve in ("tma", "water"):
        edge(record, valve, True, 0)
        edge(record, valve, False, 1)
    assert record.overlaps == ()
