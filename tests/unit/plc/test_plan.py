from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ald.api.parse import parse_machine
from ald.errors import InvalidInputError
from ald.plant.model import AddressRange, DataType, Table, signals
from ald.plc.plan import Place, plan_reads
from ald.plc.request import ReadBits, ReadRegisters
from ald.program.compile.machine import compile_machine
from fixtures.plants import parameter, plant

EXAMPLES = Path(__file__).parents[3] / "examples"

# The addresses of a real reactor's map: 137 parameters of 21 components.
HOLDING = (
    *(2000, 2006, 2008, 2010, 2012, 2014, 2016, 2020, 2026, 2028, 2030, 2032, 2036, 2038, 2040),
    *(2046, 2048, 2050, 2052, 2056, 2058, 2062, 2064, 2066, 2068, 2070, 2074, 2076, 2078, 2080),
    *(2084, 2086, 2098, 2100, 2102, 2104, 2106, 2108, 2112, 2114, 2118, 2122, 2124, 2126, 2128),
    *(2130, 2138, 2140, 2142, 2144, 2148, 2150, 2152, 2158, 2160, 2162, 2164, 2166, 2168, 2170),
    *(2178, 2180),
)
INPUT = (
    *(2002, 2018, 2022, 2034, 2042, 2054, 2060, 2072, 2082),
    *(2110, 2116, 2132, 2134, 2146, 2154, 2172, 2174),
)
COILS = (*range(12), *range(21, 31), 37)
DISCRETE = (35, 36)


def real_map(**link):
    return plant(
        *(parameter(f"a.h{a}", Table.HOLDING, a) for a in HOLDING),
        *(parameter(f"a.i{a}", Table.INPUT, a) for a in INPUT),
        *(parameter(f"a.c{a}", Table.COIL, a, DataType.BOOL) for a in COILS),
        *(parameter(f"a.d{a}", Table.DISCRETE, a, DataType.BOOL) for a in DISCRETE),
        valves=[(f"valve{coil}", coil) for coil in range(15, 21)],
        **link,
    )


@pytest.mark.requirement("BENCH-DC-06")
def test_a_real_reactor_is_read_with_three_requests():
    blocks = plan_reads(real_map(shared_registers=True, shared_bits=True))
    assert [block.request for block in blocks] == [
        ReadRegisters(Table.HOLDING, 2000, 124),
        ReadRegisters(Table.HOLDING, 2124, 58),
        ReadBits(Table.COIL, 0, 38),
    ]


def test_the_example_of_a_real_reactor_is_read_with_three_requests():
    document = yaml.safe_load((EXAMPLES / "machines" / "reactor-1.yaml").read_text())
    machine = compile_machine(parse_machine(document).spec, plant().identity, 1)
    assert len(machine.parameters) + len(machine.valves) >= 110
    assert len(plan_reads(machine)) == 3


def test_tables_with_memory_of_their_own_are_read_apart():
    kinds = [block.request.table for block in plan_reads(real_map())]
    assert kinds == [Table.HOLDING] * 2 + [Table.INPUT] * 2 + [Table.COIL, Table.DISCRETE]


def test_every_signal_has_its_place():
    machine = real_map(shared_registers=True)
    columns = signals(machine)
    placed = {
        place.signal: block.request.address + place.offset
        for block in plan_reads(machine)
        for place in block.places
    }
    assert placed == {index: s.point.address for index, s in enumerate(columns)}


def test_a_gap_is_read_over_up_to_the_limit_only():
    pair = (
        parameter("a.a", Table.HOLDING, 0, DataType.UINT16),
        parameter("a.b", Table.HOLDING, 5, DataType.UINT16),
    )
    assert len(plan_reads(plant(*pair, max_gap=4))) == 1
    assert len(plan_reads(plant(*pair, max_gap=3))) == 2
    assert plan_reads(plant(*pair, max_gap=4))[0].places == (Place(0, 0), Place(1, 5))


def test_bits_and_registers_have_limits_of_their_own():
    coils = [parameter(f"a.c{a}", Table.COIL, a, DataType.BOOL) for a in range(20)]
    words = [parameter(f"a.h{a}", Table.HOLDING, a, DataType.UINT16) for a in range(20)]
    machine = plant(*coils, *words, max_bits=16, max_registers=10)
    assert [block.request for block in plan_reads(machine)] == [
        ReadRegisters(Table.HOLDING, 0, 10),
        ReadRegisters(Table.HOLDING, 10, 10),
        ReadBits(Table.COIL, 0, 16),
        ReadBits(Table.COIL, 16, 4),
    ]


def test_a_declared_range_is_never_left_and_its_gaps_do_not_count():
    machine = plant(
        *(parameter(f"a.p{a}", Table.HOLDING, a, DataType.UINT16) for a in (10, 60, 61, 62)),
        max_gap=0,
        readable=(
            AddressRange(table=Table.HOLDING, first=0, last=60),
            AddressRange(table=Table.HOLDING, first=61, last=99),
        ),
    )
    assert [block.request for block in plan_reads(machine)] == [
        ReadRegisters(Table.HOLDING, 10, 51),
        ReadRegisters(Table.HOLDING, 61, 2),
    ]


def test_a_value_outside_the_declared_ranges_is_refused_by_name():
    machine = plant(
        parameter("heater.power", Table.HOLDING, 99),
        readable=(AddressRange(table=Table.HOLDING, first=0, last=99),),
    )
    with pytest.raises(InvalidInputError) as raised:
        plan_reads(machine)
    assert str(raised.value) == (
        "heater.power (is 99): lies in none of the readable ranges; "
        "add a range of table holding to plc.readable that holds it"
    )


def test_a_value_longer_than_the_longest_request_is_refused_by_name():
    machine = plant(parameter("heater.energy", Table.HOLDING, 0, DataType.FLOAT64), max_registers=3)
    with pytest.raises(InvalidInputError, match=r"takes 4 registers, and the PLC lets 3"):
        plan_reads(machine)


ITEMS = st.lists(
    st.tuples(
        st.integers(0, 24), st.sampled_from([DataType.UINT16, DataType.FLOAT32, DataType.FLOAT64])
    ),
    min_size=1,
    max_size=6,
)
RANGES = st.lists(st.tuples(st.integers(0, 12), st.integers(4, 28)), max_size=2)


@given(ITEMS, st.integers(4, 12), st.integers(0, 4), RANGES)
def test_no_plan_of_a_small_map_has_fewer_requests(items, size_max, gap_max, spans):
    ranges = [(0, 40), *((first, first + length) for first, length in spans)] if spans else []
    machine = plant(
        *(parameter(f"a.p{n}", Table.HOLDING, a, kind) for n, (a, kind) in enumerate(items)),
        max_registers=size_max,
        max_gap=gap_max,
        readable=tuple(
            AddressRange(table=Table.HOLDING, first=first, last=last) for first, last in ranges
        ),
    )
    lying = [(address, address + kind.words) for address, kind in items]
    blocks = plan_reads(machine)
    plans = [[[lying[place.signal] for place in block.places] for block in blocks]]
    assert sorted(item for group in plans[0] for item in group) == sorted(lying)
    for group in plans[0]:
        assert allowed(group, lying, size_max, gap_max, ranges)
    fewest = min(
        len(partition)
        for partition in partitions(lying)
        if all(allowed(group, lying, size_max, gap_max, ranges) for group in partition)
    )
    assert len(blocks) == fewest


def allowed(group, everything, size_max, gap_max, ranges):
    """Tell whether one request may bring this group."""
    start, end = min(a for a, _ in group), max(b for _, b in group)
    if end - start > size_max:
        return False
    if ranges:
        return any(first <= start and end <= last + 1 for first, last in ranges)
    used = {address for a, b in everything for address in range(a, b)}
    gap = 0
    for address in range(start, end):
        gap = 0 if address in used else gap + 1
        if gap > gap_max:
            return False
    return True


def partitions(items):
    """Yield every way to put the items into groups."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for partition in partitions(rest):
        yield [[first], *partition]
        for index, group in enumerate(partition):
            yield [*partition[:index], [first, *group], *partition[index + 1 :]]
