import math

import msgspec
import pytest

from ald.cli.orders import of_memory, of_plant, verdicts
from ald.plant.model import DataType, Order, Table
from ald.plant.words import words_of_raw
from fixtures.plants import parameter, plant

HOLDING, INPUT, COIL = Table.HOLDING, Table.INPUT, Table.COIL


def memory(table, address, value, kind=DataType.FLOAT32, order=Order.CDAB):
    words = words_of_raw(value, kind, order)
    return {(table, address + n): word for n, word in enumerate(words)}


def test_the_declared_order_of_a_sound_machine_is_the_best():
    machine = plant(parameter("a.b", HOLDING, 0), parameter("c.d", INPUT, 0), valves=(("v", 7),))
    read = memory(HOLDING, 0, 25.5) | memory(INPUT, 0, 71.25) | {(COIL, 7): 1}
    first, second, valve = of_plant(machine, read)
    assert first.values[Order.CDAB] == 25.5
    assert (first.declared, second.values[Order.CDAB]) == (Order.CDAB, 71.25)
    assert valve.values == {Order.ABCD: 1}
    best = verdicts((first, second, valve))[0]
    assert (best.order, best.fitting, best.declared, best.telling) == (Order.CDAB, 2, 2, 2)


def test_values_carry_scale_and_offset():
    scaled = msgspec.structs.replace(parameter("a.b", HOLDING, 0), scale=0.1, offset=-5.0)
    (found,) = of_plant(plant(scaled), memory(HOLDING, 0, 100.0))
    assert found.values[Order.CDAB] == pytest.approx(5.0)


def test_a_shared_space_answers_for_its_twin_and_a_separate_one_does_not():
    read = memory(HOLDING, 4, 12.0)
    shared = plant(parameter("a.b", INPUT, 4), shared_registers=True)
    assert of_plant(shared, read)[0].values[Order.CDAB] == 12.0
    assert of_plant(plant(parameter("a.b", INPUT, 4)), read)[0].values == {}


def test_an_address_that_was_read_by_half_has_no_value():
    half = {(HOLDING, 0): 1}
    assert of_plant(plant(parameter("a.b", HOLDING, 0)), half)[0].values == {}


def test_zero_tells_nothing_of_the_order():
    found = of_plant(plant(parameter("a.b", HOLDING, 0)), memory(HOLDING, 0, 0.0))
    assert not found[0].is_telling
    assert verdicts(found) == ()


def test_what_is_no_number_fits_no_limits():
    read = memory(HOLDING, 0, math.nan)
    (found,) = of_plant(plant(parameter("a.b", HOLDING, 0)), read)
    assert found.values[Order.CDAB] is None
    assert Order.CDAB not in found.fitting


def test_a_float_finer_than_any_instrument_speaks_against_its_order():
    read = memory(HOLDING, 0, 20.0)
    (found,) = of_plant(plant(parameter("a.b", HOLDING, 0)), read)
    tiny = found.values[Order.ABCD]
    assert tiny is not None
    assert 0 < tiny < 1e-30, "20.0 by the wrong order is a tiny number, within the limits"
    assert found.fitting == (Order.CDAB,)


def test_of_equally_good_orders_the_declared_one_comes_first():
    machine = plant(parameter("a.b", HOLDING, 0), parameter("c.d", INPUT, 0))
    odd = memory(HOLDING, 0, 1.0001, order=Order.CDAB) | memory(INPUT, 0, 1.0001, order=Order.ABCD)
    best = verdicts(of_plant(machine, odd))
    assert best[0].fitting == best[1].fitting
    assert best[0].order is Order.CDAB


def test_registers_without_a_machine_are_read_one_value_behind_the_other():
    read = memory(HOLDING, 0, 1.5) | memory(HOLDING, 2, 2.5) | {(HOLDING, 4): 7, (COIL, 3): 1}
    found = of_memory(read, DataType.FLOAT32)
    assert [(c.table, c.address, c.type) for c in found] == [
        (COIL, 3, DataType.BOOL),
        (HOLDING, 0, DataType.FLOAT32),
        (HOLDING, 2, DataType.FLOAT32),
        (HOLDING, 4, DataType.UINT16),
    ]
    assert [c.values[Order.CDAB] for c in found[1:3]] == [1.5, 2.5]
    assert found[3].values[Order.ABCD] == 7
    assert found[3].values[Order.BADC] == 7 << 8


def test_one_bit_of_a_register_is_shown_as_that():
    whole = parameter("a.b", INPUT, 4)
    point = msgspec.structs.replace(whole.point, type=DataType.BOOL, order=Order.ABCD, bit=15)
    machine = plant(msgspec.structs.replace(whole, point=point))
    assert of_plant(machine, {(INPUT, 4): 0x8000})[0].values == {Order.ABCD: 1.0}
    assert of_plant(machine, {(INPUT, 4): 0x7FFF})[0].values == {Order.ABCD: 0.0}
    assert of_plant(machine, {(INPUT, 5): 0x7FFF})[0].values == {}
