import pytest

from ald.api.parse import parse_recipe
from ald.errors import InvalidInputError
from ald.program.compile.findings import Findings
from ald.program.compile.inputs import Value
from ald.program.compile.quantities import Quantities
from unit.program.reactors import CLEAR, MS, Document, recipe

INPUTS: list[Document] = [
    {"name": "dose", "type": "duration", "default": "40ms"},
    {"name": "cycles", "type": "integer", "default": 3},
    {"name": "heat", "type": "number", "default": 200.5, "unit": "°C"},
    {"name": "pump", "type": "boolean", "default": True},
    {"name": "open-end", "type": "duration"},
]
VALUES: dict[str, Value] = {"dose": "40ms", "cycles": 3, "heat": 200.5, "pump": True}


class Case:
    def __init__(self, **values):
        self.findings = Findings()
        declared = parse_recipe(recipe([CLEAR], inputs=INPUTS)).spec.inputs
        self.quantities = Quantities(declared, {**VALUES, **values}, self.findings)

    def fault(self):
        with pytest.raises(InvalidInputError) as caught:
            self.findings.finish()
        (violation,) = caught.value.violations
        return violation


def test_a_quantity_is_a_literal_or_comes_from_an_input():
    case = Case()
    assert case.quantities.duration_ns("1s", None, "p") == 1000 * MS
    assert case.quantities.duration_ns(None, "dose", "p") == 40 * MS
    assert case.quantities.count(9, None, "p", 10) == 9
    assert case.quantities.count(None, "cycles", "p", 10) == 3
    number = case.quantities.number(None, "heat", "p", None)
    assert number is not None
    assert (number.value, number.path, number.is_bool) == (200.5, "pFrom", False)
    case.findings.finish()


def test_a_boolean_stays_recognisable():
    case = Case()
    literal = case.quantities.number(True, None, "p", None)
    taken = case.quantities.number(None, "pump", "p", None)
    assert literal is not None
    assert taken is not None
    assert (literal.value, literal.is_bool, literal.path) == (1.0, True, "p")
    assert taken.is_bool


@pytest.mark.requirement("REC-01")
@pytest.mark.parametrize("literal", ["0s", "0ms", "0.0s"])
def test_a_duration_of_0_is_refused(literal):
    case = Case()
    assert case.quantities.duration_ns(literal, None, "spec.steps[0].wait.duration") is None
    assert case.fault().path == "spec.steps[0].wait.duration"


@pytest.mark.requirement("REC-01")
def test_a_duration_of_0_from_an_input_is_refused_where_it_is_used():
    case = Case(dose="0ms")
    assert case.quantities.duration_ns(None, "dose", "spec.steps[0].valve.open") is None
    assert case.fault().path == "spec.steps[0].valve.openFrom"


@pytest.mark.requirement("REC-01")
@pytest.mark.parametrize("count", [0, -1, 11])
def test_a_count_outside_its_bounds_is_refused(count):
    case = Case(cycles=count)
    assert case.quantities.count(None, "cycles", "p", 10) is None
    assert case.fault().rule == "a loop runs 1 to 10 times"


def test_an_unknown_input_is_refused_with_those_that_exist():
    case = Case()
    assert case.quantities.duration_ns(None, "dosis", "p") is None
    assert "dose, cycles, heat" in case.fault().hint


@pytest.mark.parametrize(
    ("ask", "wanted"),
    [
        (lambda q: q.duration_ns(None, "cycles", "p"), "needs an input of type duration"),
        (lambda q: q.count(None, "heat", "p", 10), "needs an input of type integer"),
        (lambda q: q.number(None, "dose", "p", None), "type number or integer or boolean"),
    ],
)
def test_an_input_of_another_type_is_refused(ask, wanted):
    case = Case()
    assert ask(case.quantities) is None
    assert wanted in case.fault().rule


def test_the_unit_of_a_step_does_not_contradict_its_input():
    case = Case()
    case.quantities.number(None, "heat", "p", "°C")
    case.findings.finish()
    case.quantities.number(None, "heat", "p", "K")
    assert case.fault().rule == "the step says K, its input °C"


def test_an_input_without_a_value_has_its_type_checked_only():
    case = Case()
    assert case.quantities.duration_ns(None, "open-end", "p") is None
    case.findings.finish()
    assert case.quantities.count(None, "open-end", "p", 10) is None
    assert "needs an input of type integer" in case.fault().rule


def test_a_number_beyond_any_float_is_refused():
    case = Case()
    assert case.quantities.number(10**400, None, "p", None) is None
    assert case.fault().rule == "the number is too large"
