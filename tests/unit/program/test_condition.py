import time
import weakref

import pytest

from ald.errors import InvalidInputError
from ald.program.condition import GOOD, Condition
from ald.program.expression import LENGTH_MAX, QUALITIES
from ald.records.scan import Quality

BAD, STALE = Quality.BAD, Quality.STALE
VALUES = {"a.b": 200.0, "c.d": 1.0}
SETPOINTS = {"a.b": 198.0}
QUALITY = {"a.b": GOOD, "c.d": GOOD}
AGES = {"a.b": 0.5, "c.d": 0.5}


def holds(text, *, values=VALUES, setpoints=SETPOINTS, qualities=QUALITY, ages=AGES):
    return Condition(text).evaluate(values, setpoints, qualities, ages)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("value('a.b') > 198.0", True),
        ("value('a.b') > 198", True),
        ("value('a.b') < 198.0", False),
        ("value('a.b') - setpoint('a.b') <= 2.0", True),
        ("age('a.b') < 0.4", False),
        ("quality('a.b') == 'good'", True),
        ("value('c.d') == 1", True),
        ("value('a.b') > 300.0 || value('c.d') > 0.5", True),
        ("value('a.b') > 300.0 ? true : value('c.d') > 5.0", False),
    ],
)
def test_a_condition_on_good_values_is_what_it_says(text, expected):
    assert holds(text) is expected


def test_the_numbers_of_quality_are_those_of_the_scan():
    assert [QUALITIES[each] for each in Quality] == ["bad", "stale", "good"]
    assert Quality.GOOD == GOOD


@pytest.mark.parametrize("quality", [BAD, STALE])
@pytest.mark.parametrize(
    "text",
    [
        "value('a.b') > 198.0 || value('c.d') > 0.0",
        "value('c.d') > 0.0 || value('a.b') > 198.0",
        "quality('a.b') != 'good' || value('c.d') > 0.0",
        "age('a.b') < 100.0",
        "setpoint('a.b') > 0.0",
        "!(value('a.b') < 0.0)",
    ],
)
def test_a_bad_or_stale_input_makes_the_condition_false_whatever_else_it_says(text, quality):
    assert holds(text) is True
    assert holds(text, qualities={**QUALITY, "a.b": quality}) is False


@pytest.mark.parametrize("gone", ["values", "qualities", "ages", "setpoints"])
def test_an_input_that_is_not_there_makes_the_condition_false(gone, capfd):
    text = "setpoint('a.b') > 0.0 || value('a.b') > 0.0 || age('a.b') >= 0.0 || true"
    assert holds(text) is True
    assert holds(text, **{gone: {"c.d": GOOD}}) is False
    assert capfd.readouterr().err == ""


def test_one_condition_is_evaluated_again_with_new_values():
    condition = Condition("value('a.b') > 198.0")
    assert condition.evaluate({"a.b": 199}, {}, QUALITY, AGES) is True
    assert condition.evaluate({"a.b": 197}, {}, QUALITY, AGES) is False


def test_what_it_names_is_known_before_it_runs():
    condition = Condition("value('a.b') > setpoint('c.d')")
    assert condition.reads == ("a.b", "c.d")
    assert condition.setpoints == ("c.d",)


def test_a_fault_is_named_with_the_path_it_was_given():
    with pytest.raises(InvalidInputError) as caught:
        Condition("value(a) > 1.0", "spec.steps[2].waitFor.condition")
    (violation,) = caught.value.violations
    assert violation.path == "spec.steps[2].waitFor.condition"
    assert violation.value == "value(a) > 1.0"


def test_the_longest_condition_is_evaluated():
    part = "value('a.b') > 0.0"
    text = " && ".join([part] * ((LENGTH_MAX + 4) // (len(part) + 4)))
    assert holds(text) is True


def test_a_condition_is_compiled_once_and_not_for_each_evaluation():
    text = "value('a.b') > 198.0 && value('c.d') < 5.0"
    condition = Condition(text)

    def seconds(act, rounds):
        start = time.thread_time()
        for _ in range(rounds):
            act()
        return (time.thread_time() - start) / rounds

    # Microseconds against a hundred and more; both meet the same host, however busy that is.
    pairs = [
        (
            seconds(lambda: condition.evaluate(VALUES, SETPOINTS, QUALITY, AGES), 500),
            seconds(lambda: Condition(text), 20),
        )
        for _ in range(10)
    ]
    evaluations, compilations = zip(*pairs, strict=True)
    assert min(evaluations) < min(compilations) / 4


def test_nothing_is_left_of_a_condition_that_nobody_holds():
    condition = Condition("value('a.b') > 198.0")
    assert condition.evaluate(VALUES, SETPOINTS, QUALITY, AGES)
    left = weakref.ref(condition)
    del condition
    assert left() is None, "at once: no garbage collection sees into the library"
