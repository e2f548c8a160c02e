"""Look-ups in a plant."""

import pytest
from msgspec.structs import replace

from ald.engine.effects import Coils, Words
from ald.engine.layout import coil_of, layout_of, same_value, target_of, within_limits
from ald.errors import SafetyError
from ald.plant.model import signals
from unit.engine.programs import PLANT

LAYOUT = layout_of(PLANT)


def test_columns_are_those_of_a_scan():
    names = [s.name for s in signals(PLANT)]
    assert [LAYOUT.columns[name] for name in names] == list(range(len(names)))


def test_a_gas_is_written_by_its_set_point():
    assert LAYOUT.setpoint(parameter=None, gas="N2").name == "mfc.setpoint"
    assert LAYOUT.setpoint(parameter="heater.power", gas=None).name == "heater.power"


@pytest.mark.parametrize(("parameter", "gas"), [("gone.away", None), (None, "He"), (None, None)])
def test_what_the_plant_does_not_have_is_refused(parameter, gas):
    with pytest.raises(SafetyError):
        LAYOUT.setpoint(parameter=parameter, gas=gas)


def test_values_become_coils_or_words():
    power, setpoint = LAYOUT.parameters["heater.power"], LAYOUT.parameters["heater.setpoint"]
    assert target_of(power, 1.0) == Coils(address=0, bits=(True,))
    assert target_of(setpoint, 100.0) == Words(address=0, words=(0, 0x42C8))
    assert coil_of(LAYOUT.valves["water"], is_open=False) == Coils(address=9, bits=(False,))


@pytest.mark.parametrize("value", [-1.0, 501.0, float("nan"), float("inf")])
def test_a_value_outside_the_limits_has_no_target(value):
    with pytest.raises(SafetyError):
        target_of(LAYOUT.parameters["heater.setpoint"], value)


def test_a_value_counts_as_read_back_when_it_is_what_the_type_can_hold():
    setpoint = LAYOUT.parameters["heater.setpoint"]
    assert same_value(setpoint, 0.1, 0.10000000149011612)
    assert not same_value(setpoint, 0.1, 0.1001)


def test_each_valve_knows_its_groups():
    assert [g.name for g in LAYOUT.groups_of["tma"]] == ["precursors"]
    assert LAYOUT.groups_of["vent"] == ()


@pytest.mark.parametrize(
    ("found", "back"),
    [(20.1000003, 20.1), (0.0999999, 0.1), (15.0, 15.0), (21.0, 21.0), (0.0, 0.0)],
)
def test_a_limit_as_its_type_rounds_it_is_the_limit_and_no_other_value_is(found, back):
    narrow = replace(LAYOUT.parameters["mfc.setpoint"], minimum=0.1, maximum=20.1)
    assert within_limits(narrow, found) == back
    assert within_limits(replace(narrow, minimum=None, maximum=None), found) == found
