import msgspec
import pytest

from ald.api.parse import parse_recipe
from ald.errors import InvalidInputError
from ald.program.compile.findings import Findings
from ald.program.compile.inputs import check_inputs, required_inputs, resolve_inputs
from unit.program.reactors import CLEAR, recipe

CYCLES = {"name": "cycles", "type": "integer", "default": 100, "minimum": 1, "maximum": 500}
DOSE = {"name": "dose", "type": "duration", "minimum": "10ms", "maximum": "1s"}
HEAT = {"name": "heat", "type": "number", "default": 200, "unit": "°C", "minimum": 20.5}
PUMP = {"name": "pump", "type": "boolean", "default": False}


def declared(*inputs):
    return parse_recipe(recipe([CLEAR], inputs=list(inputs))).spec.inputs


def resolved(**given):
    return resolve_inputs(declared(CYCLES, DOSE, HEAT, PUMP), {"dose": "40ms", **given})


def checked(*inputs):
    findings = Findings()
    check_inputs(declared(*inputs), findings)
    with pytest.raises(InvalidInputError) as caught:
        findings.finish()
    return {violation.path: violation for violation in caught.value.violations}


def test_what_a_run_gives_stands_before_the_default():
    assert resolved() == {"cycles": 100, "dose": "40ms", "heat": 200, "pump": False}
    assert resolved(cycles=7, pump=True) == {"cycles": 7, "dose": "40ms", "heat": 200, "pump": True}


def test_a_whole_number_that_yaml_made_a_float_of_is_an_integer():
    cycles = resolved(cycles=5e2)["cycles"]
    assert cycles == 500
    assert isinstance(cycles, int)


@pytest.mark.parametrize("value", [2**63, 10**20, 1e20, -(2**63) - 1, -(10**20)])
@pytest.mark.parametrize("kind", ["number", "integer"])
def test_what_is_taken_can_be_handed_to_the_gateway_and_its_driver(kind, value):
    wide = declared({"name": "wide", "type": kind})
    try:
        found = resolve_inputs(wide, {"wide": value})
    except InvalidInputError:
        assert kind == "integer"
    else:
        assert float(found["wide"]) == float(value)
        assert msgspec.msgpack.encode(found)


@pytest.mark.requirement("REC-01")
@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("cycles", 0, "input cycles is at least 1 and at most 500"),
        ("cycles", 501, "input cycles is at least 1 and at most 500"),
        ("cycles", 1.5, "input cycles is a whole number"),
        ("cycles", "7", "input cycles is a whole number"),
        ("cycles", True, "input cycles is a whole number"),
        ("cycles", 1e19, "input cycles is a whole number up to 2^63"),
        ("dose", 40, "input dose is a duration"),
        ("dose", "40 ms", "a duration is numbers with units"),
        ("dose", "-40ms", "a duration is numbers with units"),
        ("dose", "2s", "input dose is at least 10ms and at most 1s"),
        ("heat", 20, "input heat is at least 20.5 °C"),
        ("heat", "hot", "input heat is a number"),
        ("heat", 10**400, "input heat is a number"),
        ("pump", 1, "input pump is true or false"),
        ("speed", 1, "the recipe has no input of this name"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_path_in_the_run(name, value, rule):
    with pytest.raises(InvalidInputError) as caught:
        resolved(**{name: value})
    (violation,) = caught.value.violations
    assert violation.path == f"spec.inputs.{name}"
    assert rule in violation.rule


def test_every_fault_of_the_inputs_is_named_at_once():
    with pytest.raises(InvalidInputError) as caught:
        resolve_inputs(declared(CYCLES, DOSE), {"cycles": 0, "x": 1})
    assert [v.path for v in caught.value.violations] == [
        "spec.inputs.x",
        "spec.inputs.cycles",
        "spec.inputs.dose",
    ]


def test_an_input_without_a_default_is_required():
    assert required_inputs(declared(CYCLES, DOSE)) == ("dose",)
    with pytest.raises(InvalidInputError, match="the recipe needs this duration"):
        resolve_inputs(declared(DOSE), {})


def test_who_has_to_give_an_input_is_told_what_it_means():
    described = {**DOSE, "description": "How long TMA flows"}
    with pytest.raises(InvalidInputError) as caught:
        resolve_inputs(declared(described), {})
    assert caught.value.violations[0].hint == "give it in the run: How long TMA flows"


@pytest.mark.parametrize(
    ("change", "path", "rule"),
    [
        ({"default": 0}, "default", "at least 1"),
        ({"default": "100"}, "default", "whole number"),
        ({"minimum": 501}, "minimum", "above the maximum 500"),
        ({"maximum": "many"}, "maximum", "whole number"),
        ({"type": "boolean", "default": True}, "minimum", "a boolean has no limits"),
        ({"type": "duration", "unit": "ms", "default": "1s"}, "unit", "a duration has no unit"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(change, path, rule):
    assert rule in checked({**CYCLES, **change})[f"spec.inputs[0].{path}"].rule


def test_two_inputs_of_one_name_are_refused():
    assert (
        checked(CYCLES, PUMP, {**DOSE, "name": "cycles"})["spec.inputs[2].name"].value == "cycles"
    )


def test_sound_declarations_give_their_defaults():
    findings = Findings()
    defaults = check_inputs(declared(CYCLES, DOSE, HEAT, PUMP), findings)
    assert defaults == {"cycles": 100, "heat": 200, "pump": False}
    assert len(findings) == 0
