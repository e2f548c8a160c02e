import contextlib

import cel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ald.program.expression import DEPTH_MAX, LENGTH_MAX, ConditionError, references

NUMBERS = st.sampled_from(
    [
        "1.5",
        "0.0",
        "2e3",
        "value('a.b')",
        'setpoint("c.d")',
        "age('a.b')",
        "-value('c.d')",
        "-(1.0)",
    ]
)
INTEGERS = st.sampled_from(["0", "198", "-3"])
TEXTS = st.sampled_from(["quality('a.b')", "'good'", '"stale"', "'bad'"])


def _parts(kinds):
    return st.tuples(*kinds).map(" ".join)


def numbers(bools):
    def deeper(inner):
        return st.one_of(
            _parts([inner, st.sampled_from("+-*/"), inner]),
            inner.map("({})".format),
            inner.map("-({})".format),
            _parts([bools, st.just("?"), inner, st.just(":"), inner]).map("({})".format),
        )

    return st.recursive(NUMBERS, deeper, max_leaves=4)


def bools():
    order = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    equal = st.sampled_from(["==", "!="])
    plain = st.sampled_from(["true", "false", "value('a.b') > 1.0"])
    compared = st.one_of(
        _parts([numbers(st.just("true")), order, st.one_of(numbers(st.just("false")), INTEGERS)]),
        _parts([INTEGERS, order, NUMBERS]),
        _parts([TEXTS, equal, TEXTS]),
    )

    def deeper(inner):
        boxed = inner.map("({})".format)
        return st.one_of(
            _parts([boxed, st.sampled_from(["&&", "||", "==", "!="]), boxed]),
            boxed.map("!{}".format),
            _parts([boxed, st.just("?"), boxed, st.just(":"), boxed]),
        )

    return st.recursive(st.one_of(plain, compared), deeper, max_leaves=5)


FUNCTIONS = {
    "value": lambda name: 2.5,
    "setpoint": lambda name: 3.5,
    "age": lambda name: 0.1,
    "quality": lambda name: "good",
}


@given(text=bools())
@settings(max_examples=400)
def test_whatever_is_accepted_the_library_evaluates_to_a_bool_without_an_error(text):
    if "a.b" not in text and "c.d" not in text:
        text = f"({text}) || value('a.b') > 1.0"
    references(text)
    assert cel.compile(text).execute(cel.Context(functions=FUNCTIONS)) in (True, False)


@given(text=st.text("value('a.b')<>=&|!?:+-*/.01 \"qage", max_size=40))
@settings(max_examples=400)
def test_no_text_does_anything_but_pass_or_be_refused_and_what_passes_is_cel(text):
    with contextlib.suppress(ConditionError):
        references(text)
        cel.compile(text)


def test_names_come_in_the_order_of_their_appearance_and_once():
    found = references(
        "value('b.b') > age('a.a') && setpoint('b.b') > 1.0 || quality('c.c') == 'bad'"
    )
    assert found.reads == ("b.b", "a.a", "c.c")
    assert found.setpoints == ("b.b",)


@pytest.mark.parametrize(
    ("text", "rule", "hint"),
    [
        (
            "value(x) > 1.0",
            "name of one parameter in quotation marks",
            "value('chamber.temperature')",
        ),
        ("value('a.'+'b') > 1.0", "expects ')'", "parentheses"),
        ("value('a.b', 'c.d') > 1.0", "cannot read \", 'c.d'", "conditions use"),
        ("value() > 1.0", "name of one parameter", "value("),
        ("vale('a.b') > 1.0", "know no 'vale'", "value('p')"),
        ("size('a.b') > 1", "know no 'size'", "value('p')"),
        ("value > 1.0", "expects '('", "parentheses"),
        ("temperature > 1.0", "know no 'temperature'", "value('p')"),
        ("value('a.b')", "this gives a number", "compare it"),
        ("value('a.b') + 1.0", "this gives a number", "compare it"),
        ("quality('a.b')", "this gives a text", "compare it"),
        ("value('a.b') * 2 > 1.0", "needs a number beside *", "2.0, not 2"),
        ("value('a.b') > 1.0 + 1", "needs a number beside +", "2.0, not 2"),
        ("value('a.b') || true", "true or false before ||", "compare first"),
        ("true && value('a.b')", "true or false after &&", "compare first"),
        ("!value('a.b')", "true or false after !", "compare first"),
        ("-(value('a.b') > 1.0)", "number or a whole number after -", "compare first"),
        ("value('a.b') ? true : false", "true or false before ?", "compare first"),
        ("value('a.b') > 1.0 ? 1.0 : true", "a choice between", "same kind"),
        ("quality('a.b') > 'bad'", "cannot compare a text and a text by >", "compare numbers"),
        ("quality('a.b') == 1.0", "cannot compare a text and a number", "compare numbers"),
        ("(value('a.b') > 1.0) == 1.0", "cannot compare", "compare numbers"),
        ("quality('a.b') == 'goood'", "is no quality", "'good', 'stale' or 'bad'"),
        ("value('a.b') > 'x'", "is no quality", "'good'"),
        ("value('a.b') > ", "finds the end", "parentheses"),
        ("value('a.b') > 1.0)", "expects the end at character 19 and finds ')'", "parentheses"),
        ("(value('a.b') > 1.0", "expects ')'", "parentheses"),
        ("value('a.b') = 1.0", "cannot read '= 1.0'", "conditions use"),
        ("value('a.b').x > 1.0", "cannot read '.x > 1.0'", "conditions use"),
        ("value('a\\x2eb') > 1.0", "cannot read", "conditions use"),
        ("value('a.b') > 1.0 // often", "expects a value", "parentheses"),
        ("[1.0, 2.0].exists(x, x > value('a.b'))", "cannot read '[1.0, 2.0]'", "conditions use"),
        ("value('a.b') > 1e999", "expects a value", "parentheses"),
        ("value('a.b') > 9223372036854775808", "expects a value", "parentheses"),
        ("value('a.b') > 0x10", "cannot read '0x10'", "conditions use"),
        ("true", "names no parameter", "name one"),
        ("", "expects a value at character 1 and finds the end", "parentheses"),
    ],
)
def test_what_is_no_condition_is_refused_with_the_place_and_what_to_write(text, rule, hint):
    with pytest.raises(ConditionError) as caught:
        references(text)
    assert rule in str(caught.value)
    assert hint in caught.value.hint


def test_an_expression_goes_a_bounded_number_of_levels_deep():
    def nested(levels):
        return "(" * levels + "value('a.b') > 1.0" + ")" * levels

    assert references(nested(DEPTH_MAX - 1)).reads == ("a.b",)
    with pytest.raises(ConditionError, match="levels deep"):
        references(nested(DEPTH_MAX))
    with pytest.raises(ConditionError, match="levels deep"):
        references("!" * 500 + "(value('a.b') > 1.0)")


def test_a_condition_has_a_bounded_length():
    text = "value('a.b') > 1.0"
    assert references(text + " " * (LENGTH_MAX - len(text))).reads == ("a.b",)
    with pytest.raises(ConditionError, match="at most 1000 characters"):
        references(text + " " * LENGTH_MAX)
