"""What the scans learn from a PLC that refuses more than was declared."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ald.plant.model import DataType, Table, signals
from ald.plc.plan import Facts, Span, plan_around
from ald.plc.request import ReadBits
from ald.plc.rounds import Rounds
from fixtures.plants import parameter, plant
from unit.plc.test_plan import allowed, partitions

ILLEGAL_ADDRESS, ILLEGAL_VALUE = 2, 3


class Plc:
    """Holds its own address in each register, and says whether a bit's address is odd."""

    def __init__(self, missing=(), longest=2000, code=ILLEGAL_ADDRESS, borders=()):
        self.missing = set(missing)
        # No request may cover one of these together with the address below it.
        self.borders = set(borders)
        self.longest = longest
        self.code = code
        self.requests = 0

    def answer(self, request):
        """Return (data, exception code)."""
        self.requests += 1
        touched = range(request.address, request.address + request.count)
        if request.count > self.longest:
            return None, self.code
        if self.missing.intersection(touched) or self.borders.intersection(touched[1:]):
            return None, ILLEGAL_ADDRESS
        if isinstance(request, ReadBits):
            number = sum((address % 2) << n for n, address in enumerate(touched))
            return number.to_bytes((request.count + 7) // 8, "little"), 0
        return struct.pack(f">{request.count}H", *touched), 0

    def scan(self, rounds):
        """Answer all requests of one scan; return the payloads, the bad signals, and how many requests it took."""
        before = self.requests
        waiting = list(rounds.begin())
        place = 0
        while place < len(waiting):
            data, code = self.answer(waiting[place])
            waiting += rounds.answered(place, data, code)
            place += 1
        payloads, bad = rounds.end()
        lost = [b for b, payload in zip(rounds.base, payloads, strict=True) if payload is None]
        bad = sorted({*bad, *(place.signal for block in lost for place in block.places)})
        return payloads, bad, self.requests - before


def words(*addresses, kind=DataType.UINT16, **link):
    return plant(*(parameter(f"a.p{a}", Table.HOLDING, a, kind) for a in addresses), **link)


def test_one_bad_address_costs_only_its_own_value_and_already_in_the_first_scan():
    machine = words(*range(100))
    rounds, plc = Rounds(machine), Plc(missing=[37])
    payloads, bad, requests = plc.scan(rounds)
    assert bad == [37]
    (payload,) = payloads
    assert struct.unpack(">100H", payload) == (*range(37), 0, *range(38, 100))
    assert requests <= 1 + 2 * 7, "seven halvings of a hundred, two requests each"
    assert rounds.refusals == "holding 37 (a.p37)"
    # From now on two blocks around it, and the value itself.
    assert plc.scan(rounds)[1:] == ([37], 3)


def test_a_gap_that_cannot_be_read_over_costs_no_value_and_is_named():
    rounds, plc = Rounds(words(0, 1, 5, 6)), Plc(missing=[3])
    assert plc.scan(rounds)[1:] == ([], 3)
    assert rounds.refusals == "holding 2 to 4 (read over)"
    assert plc.scan(rounds)[1:] == ([], 2)


@pytest.mark.parametrize("code", [ILLEGAL_ADDRESS, ILLEGAL_VALUE])
def test_a_plc_that_reads_fewer_at_once_than_declared_is_asked_for_fewer(code):
    rounds, plc = Rounds(words(*range(100))), Plc(longest=60, code=code)
    assert plc.scan(rounds)[1:] == ([], 3)
    assert rounds.refusals == "more than 50 of holding at once"
    assert plc.scan(rounds)[1:] == ([], 2)


def test_a_border_between_neighbours_costs_one_request_and_no_value():
    machine = plant(
        *(parameter(f"a.p{a}", Table.HOLDING, a, DataType.UINT16) for a in range(100)),
        *(parameter(f"b.p{a}", Table.HOLDING, a, DataType.FLOAT64) for a in range(200, 240, 4)),
    )
    rounds, plc = Rounds(machine), Plc(borders=[37])
    assert plc.scan(rounds)[1] == []
    assert rounds.refusals == "holding 36 with 37 in one request"
    # One request up to the border, one from there on, and that of the others.
    assert [plc.scan(rounds)[1:] for _ in range(3)] == [([], 3)] * 3


def test_no_request_is_held_to_less_than_the_longest_value():
    machine = plant(
        *(parameter(f"a.p{a}", Table.HOLDING, a, DataType.UINT16) for a in (0, 1)),
        parameter("b.p", Table.HOLDING, 100, DataType.FLOAT64),
        parameter("c.p", Table.HOLDING, 200, DataType.FLOAT64),
    )
    rounds, plc = Rounds(machine), Plc(borders=[1])
    waiting = rounds.begin()
    assert [request.count for request in waiting] == [2, 4, 4]
    waiting += rounds.answered(0, None, ILLEGAL_ADDRESS)
    for index, code in ((1, 4), (2, 4), (3, 0), (4, 0)):
        rounds.answered(index, None if code else bytes(2), code)
    # With what did not come for another reason a single register is the most that came.
    assert rounds.end()[1] == [2, 3]
    assert [plc.scan(rounds)[1:] for _ in range(3)] == [([], 4)] * 3


def test_values_that_overlap_have_no_border_between_them():
    machine = plant(
        parameter("a.p", Table.HOLDING, 0, DataType.FLOAT32),
        parameter("b.p", Table.HOLDING, 1, DataType.FLOAT32),
        parameter("c.p", Table.HOLDING, 50, DataType.FLOAT64),
    )
    rounds = Rounds(machine)
    first, _ = rounds.begin()
    assert first.count == 3
    # Refused for once: the same addresses come right after.
    assert len(rounds.answered(0, None, ILLEGAL_ADDRESS)) == 2
    for index, count in ((1, 4), (2, 2), (3, 2)):
        rounds.answered(index, bytes(2 * count))
    assert rounds.end()[1] == []
    assert rounds.refusals == ""


def test_coils_are_put_together_bit_by_bit():
    machine = plant(
        *(parameter(f"a.c{a}", Table.COIL, a, DataType.BOOL) for a in range(3, 40)),
    )
    rounds, plc = Rounds(machine), Plc(missing=[17])
    payloads, bad, _ = plc.scan(rounds)
    assert [machine.parameters[n].name for n in bad] == ["a.c17"]
    expected = sum((a % 2) << (a - 3) for a in range(3, 40) if a != 17)
    assert payloads == [expected.to_bytes(5, "little")]


def test_of_many_refused_values_each_scan_asks_for_one_in_turn():
    rounds, plc = Rounds(words(*range(20))), Plc(missing=range(5, 15))
    plc.scan(rounds)
    assert [len(rounds.begin()) for _ in range(3)] == [3, 3, 3]
    asked = {rounds.begin()[-1].address for _ in range(10)}
    assert asked == set(range(5, 15))
    assert rounds.refusals.endswith("holding 12 (a.p12) and 2 more")


def test_when_a_refused_value_comes_the_plan_is_the_first_one_again():
    rounds, plc = Rounds(words(*range(20))), Plc(missing=[3])
    plc.scan(rounds)
    plc.missing.clear()
    assert plc.scan(rounds)[1] == []
    assert plc.scan(rounds)[1:] == ([], 1)
    assert rounds.refusals == ""


def test_what_is_forgotten_is_found_out_again():
    rounds, plc = Rounds(words(*range(20))), Plc(missing=[3])
    plc.scan(rounds)
    rounds.forget()
    assert len(rounds.begin()) == 1


@pytest.mark.parametrize("code", [0, 1, 4, 6])
def test_other_failures_lose_the_block_and_teach_nothing(code):
    rounds = Rounds(words(*range(20)))
    (request,) = rounds.begin()
    assert rounds.answered(0, None, code) == []
    assert rounds.end() == ([None], [])
    assert rounds.begin() == [request]


@pytest.mark.parametrize("code", [1, 4, 11])
def test_a_block_that_fails_for_another_reason_twice_in_a_row_is_named(code):
    rounds = Rounds(words(*range(20)))
    for said in ("", f"holding 0 to 19 (exception {code})"):
        rounds.begin()
        rounds.answered(0, None, code)
        rounds.end()
        assert rounds.refusals == said
    rounds.begin()
    rounds.answered(0, bytes(40))
    rounds.end()
    assert rounds.refusals == ""


def test_what_failed_on_another_connection_is_not_named():
    rounds = Rounds(words(*range(20)))
    for _ in range(2):
        rounds.begin()
        rounds.answered(0, None, 4)
        rounds.end()
    rounds.forget()
    assert rounds.refusals == ""


def test_nothing_is_learned_from_halves_that_never_came():
    rounds = Rounds(words(*range(20)))
    rounds.begin()
    halves = rounds.answered(0, None, ILLEGAL_VALUE)
    assert [(h.address, h.count) for h in halves] == [(0, 10), (10, 10)]
    for index in (1, 2):
        rounds.answered(index, None)
    assert rounds.end()[1] == list(range(20))
    assert len(rounds.begin()) == 1


BORDERS = st.sets(st.integers(1, 28), max_size=3)
KINDS = st.sampled_from([DataType.UINT16, DataType.FLOAT32, DataType.FLOAT64])
ITEMS = st.lists(st.tuples(st.integers(0, 24), KINDS), min_size=1, max_size=6)


@given(
    ITEMS,
    st.sets(st.integers(0, 28), max_size=4),
    st.integers(4, 12),
    st.integers(0, 4),
    st.integers(4, 12),
    BORDERS,
)
def test_every_value_that_can_be_read_is_and_the_plan_settles(
    items, missing, size_max, gap_max, longest, borders
):
    machine = plant(
        *(parameter(f"a.p{n}", Table.HOLDING, a, kind) for n, (a, kind) in enumerate(items)),
        max_registers=size_max,
        max_gap=gap_max,
    )
    rounds, plc = Rounds(machine), Plc(missing, longest, borders=borders)
    unreadable = [
        n
        for n, (a, kind) in enumerate(items)
        if plc.missing.intersection(range(a, a + kind.words))
        or plc.borders.intersection(range(a + 1, a + kind.words))
    ]
    for _ in range(30):
        before = rounds.plan
        payloads, bad, requests = plc.scan(rounds)
        assert bad == unreadable
        check_payloads(machine, rounds, payloads, bad)
        if rounds.plan == before:
            break
    else:
        raise AssertionError("still learning after 30 scans")
    assert requests == len(rounds.plan.blocks) + bool(rounds.plan.refused)
    assert sorted(b.places[0].signal for b in rounds.plan.refused) == unreadable


def check_payloads(machine, rounds, payloads, bad):
    for block, payload in zip(rounds.base, payloads, strict=True):
        for place in block.places:
            if place.signal in bad:
                continue
            address = block.request.address + place.offset
            count = signals(machine)[place.signal].point.type.words
            part = payload[2 * place.offset : 2 * (place.offset + count)]
            assert struct.unpack(f">{count}H", part) == tuple(range(address, address + count))


SPANS = st.lists(st.tuples(st.integers(0, 26), st.integers(1, 6)), max_size=4)


@given(ITEMS, st.integers(4, 12), st.integers(0, 4), SPANS, BORDERS, st.integers(1, 12))
def test_no_plan_of_a_small_map_that_keeps_clear_of_refusals_has_fewer_requests(
    items, size_max, gap_max, spans, borders, longest
):
    machine = plant(
        *(parameter(f"a.p{n}", Table.HOLDING, a, kind) for n, (a, kind) in enumerate(items)),
        max_registers=size_max,
        max_gap=gap_max,
    )
    refused = [(a, a + n) for a, n in spans]
    facts = Facts(
        refused=frozenset(Span(Table.HOLDING, a, b) for a, b in refused),
        borders=frozenset((Table.HOLDING, at) for at in borders),
        longest=((Table.HOLDING, longest),),
    )

    def is_taken(group):
        start, end = min(a for a, _ in group), max(b for _, b in group)
        covers = any(start <= a and b <= end for a, b in refused)
        crosses = any(start < at < end for at in borders)
        return end - start <= longest and not covers and not crosses

    lying = [(a, a + kind.words) for a, kind in items]
    plan = plan_around(machine, facts)
    groups = [[lying[place.signal] for place in block.places] for block in plan.blocks]
    taken = [item for item in lying if is_taken([item])]
    assert sorted(item for group in groups for item in group) == sorted(taken)
    assert len(plan.refused) == len(lying) - len(taken)

    def is_allowed(group):
        return is_taken(group) and allowed(group, taken, size_max, gap_max, [])

    assert all(is_allowed(group) for group in groups)
    fewest = min(
        len(partition) for partition in partitions(taken) if all(map(is_allowed, partition))
    )
    assert len(groups) == fewest


class Counting:
    """Holds a number of two words from register 10 on that goes on with each request. Takes no request longer than `longest`."""

    def __init__(self, longest, number):
        self.longest = longest
        self.number = number

    def scan(self, rounds):
        """Answer all requests of one scan; return the words of its one block, and the bad signals."""
        waiting = list(rounds.begin())
        for place, request in enumerate(waiting):
            if request.count > self.longest:
                # The list grows while it is gone through.
                waiting += rounds.answered(place, None, ILLEGAL_ADDRESS)
                continue
            held = {10: self.number >> 16, 11: self.number & 0xFFFF}
            touched = range(request.address, request.address + request.count)
            rounds.answered(
                place, struct.pack(f">{request.count}H", *map(held.get, touched, touched))
            )
            self.number += 1
        (payload,), bad = rounds.end()
        return struct.unpack(f">{len(payload) // 2}H", payload), bad


def test_a_value_whose_twin_comes_with_another_request_is_not_made_of_two_readings():
    machine = plant(
        parameter("a.before", Table.HOLDING, 9, DataType.UINT16),
        parameter("a.wide", Table.HOLDING, 10, DataType.UINT32),
        parameter("a.low", Table.HOLDING, 11, DataType.UINT16),
        parameter("a.behind", Table.HOLDING, 12, DataType.UINT16),
    )
    words_read, bad = Counting(3, 0x0001_FFFF).scan(Rounds(machine))
    assert bad == []
    assert words_read[1:3] == (0x0001, 0xFFFF)


def test_of_two_values_that_share_a_word_one_is_bad_where_their_requests_read_it_differently():
    machine = plant(
        parameter("a.one", Table.HOLDING, 10, DataType.UINT32),
        parameter("a.other", Table.HOLDING, 11, DataType.UINT32),
    )
    rounds, plc = Rounds(machine), Counting(2, 0x0001_FFFF)
    for _ in range(3):
        assert plc.scan(rounds)[1] == [0]
    # Read alike, both are as they were read.
    still = Plc(longest=2)
    assert still.scan(rounds)[:2] == ([struct.pack(">3H", 10, 11, 12)], [])
