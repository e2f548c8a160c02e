"""Pydantic's errors in the words of the user."""

import pytest

from ald.api.wording import path, shown
from unit.api.documents import document, recipe, violation


@pytest.mark.parametrize(
    ("loc", "expected"),
    [
        (("spec", "steps", 3, "loop", "steps", 0), "spec.steps[3].loop.steps[0]"),
        (("spec",), "spec"),
        (("spec", "inputs", "a b", "[key]"), "spec.inputs.a b"),
    ],
)
def test_a_place_is_written_as_people_write_it(loc, expected):
    assert path(loc) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("40 ms", '"40 ms"'),
        (True, "true"),
        (2.5, "2.5"),
        ({"a": 1}, "an object"),
        ([1, 2], "a list of 2"),
        ("x" * 200, '"' + "x" * 99),
    ],
)
def test_a_value_is_shown_as_written_and_short(value, expected):
    assert shown(value) == expected


@pytest.mark.parametrize(
    ("plc", "where", "rule", "hint"),
    [
        ({"host": "a", "prot": 5}, "spec.plc.prot", "there is no such field", "did you mean port?"),
        ({}, "spec.plc.host", "is required", "add it"),
        ({"host": 5}, "spec.plc.host", "must be a text", "put it in quotation marks"),
        ({"host": "a b"}, "spec.plc.host", "must match", "correct it"),
        ({"host": "a" * 254}, "spec.plc.host", "is longer than 253 characters", "shorten it"),
        (
            {"host": "a", "port": 70000},
            "spec.plc.port",
            "must be at most 65535",
            "choose a smaller",
        ),
        ({"host": "a", "port": "502"}, "spec.plc.port", "must be a whole number", "without"),
        (
            {"host": "a", "sharedBits": "yes"},
            "spec.plc.sharedBits",
            "must be true or false",
            "without quotation marks",
        ),
        (
            {"host": "a", "timeout": "1m"},
            "spec.plc.timeout",
            "must be from 10ms to 30s",
            "choose a duration in that range",
        ),
        (
            {"host": "a", "timeout": "721h"},
            "spec.plc.timeout",
            "a duration is at most 720h",
            "write a shorter duration",
        ),
        ({"host": "a", "readable": 3}, "spec.plc.readable", "must be a list", "hyphen"),
        ({"host": "a", "limits": 3}, "spec.plc.limits", "must be an object", "fields below it"),
    ],
)
def test_a_broken_field_has_a_rule_and_a_hint(plc, where, rule, hint):
    found = violation(document("Machine", plc=plc))
    assert found.path == where
    assert rule in found.rule
    assert hint in found.hint


def test_an_unknown_field_with_no_near_name_lists_the_known_ones():
    found = violation(document("RecipeRun", zzz=1))
    assert (
        found.hint
        == "fields here are recipeRef, machineRef, inputs, startAt, dryRun, onGatewayRestart, action"
    )


def test_an_unknown_field_deep_in_a_list_is_helped_from_its_own_list():
    step = {"name": "l", "loop": {"count": 1, "steps": [{"name": "v", "vlave": {}}]}}
    assert violation(recipe(step)).hint == "did you mean valve?"


@pytest.mark.parametrize(
    ("kind", "spec", "rule"),
    [
        ("Machine", {"mode": "Control!"}, "must be 'Observe' or 'Control'"),
        ("RecipeRun", {"action": "Go"}, "must be 'Run', 'Pause', 'Stop' or 'Abort'"),
        ("MachineAction", {"verb": "Reset"}, "must be 'Clear'"),
        ("RecipeRun", {"inputs": {"cycles": [1]}}, "must be a number, a boolean or a text"),
        ("RecipeRun", {"inputs": 3}, "must be an object with fields"),
        (
            "Machine",
            {"scan": {"period": "1 s"}},
            "a duration is numbers with units ms, s, m or h",
        ),
        (
            "Machine",
            {"gases": [{"name": "N2", "setpoint": "mfc"}]},
            "a parameter is named component.parameter",
        ),
        (
            "Machine",
            {"gases": [{"name": "N 2", "setpoint": "a.b"}]},
            "a gas is named by letters",
        ),
        (
            "Machine",
            {"valves": [{"name": "TMA", "number": 1, "coil": 1, "maximumOpen": "1s"}]},
            "a name is lower case letters",
        ),
        (
            "Recipe",
            {"inputs": [{"name": "1st", "type": "number"}]},
            "the name of an input",
        ),
    ],
)
def test_each_kind_of_mistake_has_words_of_its_own(kind, spec, rule):
    assert rule in violation(document(kind, **spec)).rule
