import pytest

from ald.errors import InvalidInputError
from unit.program.reactors import machine, plant_of


def refused(document):
    with pytest.raises(InvalidInputError) as caught:
        plant_of(document)
    return {violation.path: violation for violation in caught.value.violations}


def with_parameter(**fields):
    document = machine()
    parameter = {
        "name": "extra.value",
        "table": "input",
        "address": 500,
        "type": "uint16",
        **fields,
    }
    document["spec"]["parameters"].append(parameter)
    return document


def test_two_parameters_on_one_address_are_refused_with_both_names():
    found = refused(with_parameter(address=101))["spec.parameters[7].address"]
    assert found.rule == "parameter extra.value overlaps parameter chamber.temperature"
    assert found.value == "input 101"


def test_a_declared_twin_is_accepted():
    document = with_parameter(
        table="input", address=102, type="float32", aliasOf="chamber.setpoint"
    )
    assert plant_of(document).parameters[7].name == "extra.value"


def test_without_shared_registers_the_tables_are_apart():
    document = with_parameter(table="input", address=110)
    assert "spec.parameters[7].address" in refused(document)
    document["spec"]["plc"]["sharedRegisters"] = False
    plant_of(document)


def test_a_writable_parameter_on_the_coil_of_a_valve_is_refused():
    document = with_parameter(table="coil", address=15, type="bool", writable=True)
    found = refused(document)["spec.parameters[7].address"]
    assert found.rule == "parameter extra.value would write what belongs to valve tma"
    document["spec"]["parameters"][7]["writable"] = False
    plant_of(document)


def test_a_twin_of_a_gas_set_point_stays_read_only():
    document = with_parameter(
        table="holding",
        address=120,
        type="float32",
        aliasOf="mfc-1.flow-set",
        writable=True,
        minimum=0,
        maximum=9,
    )
    assert "twin is read-only" in refused(document)["spec.parameters[7].aliasOf"].rule


def test_the_heartbeat_has_its_register_for_itself():
    found = refused(with_parameter(address=200))["spec.parameters[7].address"]
    assert found.rule == "parameter extra.value lies on the address of the heartbeat"


def test_a_value_behind_the_last_address_is_refused():
    found = refused(with_parameter(address=65535, type="float64"))["spec.parameters[7].address"]
    assert "ends behind address 65535" in found.rule


def test_a_value_longer_than_the_longest_read_is_refused():
    document = with_parameter(type="float64")
    document["spec"]["plc"]["limits"] = {"maxRegisters": 3}
    found = refused(document)
    assert list(found) == ["spec.parameters[7].address"]
    assert found["spec.parameters[7].address"].hint == "raise spec.plc.limits.maxRegisters"


def test_with_readable_ranges_each_value_lies_whole_in_one_of_its_space():
    document = with_parameter(table="input", address=300, type="float32")
    ranges = [
        {"table": "holding", "first": 100, "last": 130},
        {"table": "input", "first": 300, "last": 300},
    ]
    document["spec"]["plc"]["readable"] = ranges
    found = refused(document)
    assert list(found) == ["spec.parameters[7].address"]
    assert "none of the readable ranges" in found["spec.parameters[7].address"].rule
    ranges[1]["last"] = 301
    plant_of(document)


def test_readable_ranges_of_registers_say_nothing_about_coils():
    document = machine()
    document["spec"]["plc"]["readable"] = [{"table": "holding", "first": 100, "last": 130}]
    plant_of(document)
    document["spec"]["plc"]["readable"].append({"table": "coil", "first": 0, "last": 16})
    assert set(refused(document)) == {"spec.valves[2].coil", "spec.valves[3].coil"}
