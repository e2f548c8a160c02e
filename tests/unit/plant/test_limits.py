import math

import msgspec
import pytest

from ald.plant.limits import limit_violation
from ald.plant.model import DataType, Parameter, Point, Table

SETPOINT = Parameter(
    name="chamber.setpoint",
    component="chamber",
    point=Point(table=Table.HOLDING, address=0, type=DataType.FLOAT32),
    unit="°C",
    minimum=0.0,
    maximum=400.0,
    writable=True,
)
SWITCH = Parameter(
    name="heater.power",
    component="heater",
    point=Point(table=Table.COIL, address=0, type=DataType.BOOL),
    unit="",
    writable=True,
)


@pytest.mark.parametrize("value", [0.0, 200.0, 400.0])
def test_both_ends_of_the_range_may_be_written(value):
    assert limit_violation(SETPOINT, value, "p") is None


@pytest.mark.parametrize("value", [-0.001, 400.001, math.nan, math.inf])
def test_a_value_outside_the_range_is_refused_with_the_range_and_its_unit(value):
    found = limit_violation(SETPOINT, value, "spec.steps[0].set.value")
    assert found is not None
    assert found.path == "spec.steps[0].set.value"
    assert found.rule == "chamber.setpoint takes 0 to 400 °C"


@pytest.mark.parametrize(("value", "fits"), [(0, True), (1, True), (0.5, False), (2, False)])
def test_a_switch_takes_0_and_1_only(value, fits):
    assert (limit_violation(SWITCH, value, "p") is None) is fits


def test_a_value_that_the_registers_cannot_hold_is_refused_although_it_is_in_the_range():
    narrow = msgspec.structs.replace(
        SETPOINT, point=Point(table=Table.HOLDING, address=0, type=DataType.INT16), maximum=1e6
    )
    found = limit_violation(narrow, 40000, "p")
    assert found is not None
    assert found.path == "p"
    assert found.rule == "does not fit int16"


def test_without_a_range_only_the_type_limits():
    free = msgspec.structs.replace(SETPOINT, minimum=None, maximum=None)
    assert limit_violation(free, -1e30, "p") is None
    assert limit_violation(free, 1e39, "p") is not None


@pytest.mark.parametrize(
    ("value", "fits"), [(95, False), (94, True), (90, True), (4, False), (6, True), (10, True)]
)
def test_a_value_whose_nearest_raw_value_lies_beyond_a_limit_is_refused(value, fits):
    point = Point(table=Table.HOLDING, address=0, type=DataType.INT16)
    coarse = msgspec.structs.replace(SETPOINT, point=point, scale=10.0, minimum=4.0, maximum=95.0)
    found = limit_violation(coarse, value, "p")
    assert (found is None) is fits
    if value == 95:
        assert found is not None
        assert found.rule.startswith("the nearest value that chamber.setpoint can hold is 100")


@pytest.mark.parametrize("raw", range(-2000, 2001, 7))
def test_a_limit_that_is_a_raw_value_may_be_written_whatever_its_arithmetic(raw):
    point = Point(table=Table.HOLDING, address=0, type=DataType.INT16)
    bound = raw * 0.1 + 0.7
    fine = msgspec.structs.replace(
        SETPOINT, point=point, scale=0.1, offset=0.7, minimum=bound, maximum=bound
    )
    assert limit_violation(fine, bound, "p") is None
