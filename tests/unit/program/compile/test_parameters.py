import pytest

from ald.errors import InvalidInputError
from unit.program.reactors import machine, plant_of


def refused(**changes):
    """Compile the reactor with its set point changed, and return what is said about that parameter."""
    document = machine()
    parameter = document["spec"]["parameters"][1]
    for field, value in changes.items():
        parameter[field] = value
        if value is None:
            del parameter[field]
    with pytest.raises(InvalidInputError) as caught:
        plant_of(document)
    return {v.path.removeprefix("spec.parameters[1]."): v for v in caught.value.violations}


def test_two_parameters_of_one_name_are_refused_at_the_second():
    found = refused(name="chamber.temperature")
    assert found["name"].rule == "two parameters have this name"


def test_the_component_of_the_valves_is_taken():
    assert "kept for the valves" in refused(name="valve.tma")["name"].rule


@pytest.mark.parametrize(
    ("table", "kind"), [("coil", "float32"), ("discrete", "uint16"), ("input", "bool")]
)
def test_bool_lies_in_the_bit_tables_and_nothing_else_does(table, kind):
    found = refused(table=table, type=kind, order="ABCD", writable=False)
    assert f"lies in table {table}" in found["type"].rule


def test_a_scale_of_0_is_refused():
    assert refused(scale=0)["scale"].hint == "leave it out for 1"


@pytest.mark.parametrize("change", [{"scale": 2}, {"offset": 1}])
def test_a_bool_has_no_scale_and_no_offset(change):
    found = refused(table="coil", type="bool", order="ABCD", address=9, **change)
    assert "no scale and no offset" in found["scale"].rule


def test_a_bool_has_no_order():
    assert "no order" in refused(table="coil", type="bool", address=9)["order"].rule


def test_a_minimum_above_the_maximum_is_refused():
    assert refused(minimum=500)["minimum"].rule.endswith("above its maximum 400")


@pytest.mark.parametrize("table", ["input", "discrete"])
def test_a_table_that_is_only_read_is_never_writable(table):
    kind = "bool" if table == "discrete" else "float32"
    found = refused(table=table, type=kind, order="ABCD", address=300)
    assert found["writable"].rule == f"table {table} cannot be written"


@pytest.mark.parametrize("bound", ["minimum", "maximum"])
def test_a_writable_number_needs_both_ends_of_its_range(bound):
    assert "has no minimum and maximum" in refused(**{bound: None})["writable"].rule


def test_a_writable_range_that_the_registers_cannot_hold_is_refused_at_its_end():
    found = refused(type="uint16", order="ABCD", maximum=70000, minimum=-1)
    assert found["maximum"].rule == "does not fit uint16"
    assert found["minimum"].rule == "does not fit uint16"


def test_a_switch_needs_no_range():
    document = machine()
    document["spec"]["parameters"][2].pop("minimum", None)
    assert plant_of(document).parameters[2].writable


def test_a_bool_may_be_one_bit_of_a_register_that_is_read():
    document = machine()
    bit = {"name": "chamber.ready", "table": "input", "address": 900, "type": "bool", "bit": 15}
    document["spec"]["parameters"].append(bit)
    found = plant_of(document).parameters[-1]
    assert (found.point.bit, found.writable) == (15, False)


@pytest.mark.parametrize(
    ("table", "kind"), [("coil", "bool"), ("holding", "uint16"), ("discrete", "bool")]
)
def test_only_a_bool_in_a_register_has_a_bit(table, kind):
    found = refused(table=table, type=kind, order="ABCD", writable=False, address=9, bit=3)
    assert "has a bit" in found["bit"].rule


def test_one_bit_of_a_register_is_not_written():
    found = refused(type="bool", order="ABCD", bit=3, minimum=None, maximum=None)
    assert "one bit of a register" in found["writable"].rule
