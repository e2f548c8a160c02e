"""Documents become models, or a list of everything that is wrong with them."""

import time
from types import MappingProxyType
from typing import Any

import pytest

from ald.api.parse import VIOLATIONS_MAX, parse_machine, parse_recipe
from unit.api.documents import (
    EXAMPLES,
    document,
    example,
    parsed,
    recipe,
    violation,
    violations,
)

WAIT: dict[str, Any] = {"name": "rest", "wait": {"duration": "1s"}}


def nested(depth: int) -> dict[str, Any]:
    step: dict[str, Any] = WAIT
    for level in range(depth):
        step = {"name": f"l{level}", "loop": {"count": 2, "steps": [step]}}
    return step


@pytest.mark.parametrize(
    "path", sorted(str(p.relative_to(EXAMPLES)) for p in EXAMPLES.glob("*/*.yaml"))
)
def test_every_example_is_read(path):
    if not path.endswith(".mapping.yaml"):
        assert parsed(example(path)).metadata.name


def test_a_machine_gets_its_defaults():
    spec = parse_machine(document("Machine")).spec
    assert (spec.mode, spec.max_hold, spec.scan.period) == ("Observe", "10m", "1s")
    assert (spec.plc.port, spec.plc.unit, spec.plc.timeout) == (502, 1, "1s")
    assert (spec.plc.requests_in_flight, spec.plc.cycle) == (1, "10ms")
    limits = spec.plc.limits
    assert (limits.max_registers, limits.max_bits, limits.max_gap) == (125, 2000, 16)
    assert not spec.allow_without_watchdog
    assert spec.heartbeat is None


def test_the_status_is_left_alone():
    doc = document("Machine") | {"status": {"whatever": 1}}
    assert parse_machine(doc).spec.plc.host == "plc"


def test_any_mapping_is_read_as_kopf_gives_it():
    assert parse_machine(MappingProxyType(document("Machine"))).metadata.name == "x"


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("apiVersion", "ald.dev/v2", "this is no Recipe of ald.dev/v1alpha1"),
        ("kind", "Rezept", "this is no Recipe of ald.dev/v1alpha1"),
    ],
)
def test_another_kind_is_refused_by_name(field, value, rule):
    doc = recipe(WAIT) | {field: value}
    with pytest.raises(Exception, match=rule):
        parse_recipe(doc)


def test_a_missing_spec_is_named():
    doc = document("Machine")
    del doc["spec"]
    assert violation(doc).path == "spec"


def test_an_unknown_field_beside_the_spec_is_refused():
    assert violation(document("Machine") | {"sepc": {}}).hint == "did you mean spec?"


def test_four_loops_may_stand_inside_one_another():
    assert parse_recipe(recipe(nested(4))).spec.steps[0].loop is not None


@pytest.mark.requirement("REC-01")
def test_a_fifth_loop_is_refused_with_its_path():
    found = violation(recipe(nested(5)))
    assert (
        found.path == "spec.steps[0].loop.steps[0].loop.steps[0].loop.steps[0].loop.steps[0].loop"
    )
    assert found.rule == "loops nest at most 4 deep"


@pytest.mark.requirement("REC-01")
@pytest.mark.parametrize(
    ("step", "path", "rule"),
    [
        ({"name": "a"}, "spec.steps[0]", "needs exactly one of set, ramp, waitFor"),
        ({"name": "a", "wat": {}}, "spec.steps[0].wat", "there is no such field"),
        (
            {"name": "a", "wait": {"duration": "1s"}, "loop": {"count": 1, "steps": [WAIT]}},
            "spec.steps[0]",
            "has wait and loop",
        ),
        ({"wait": {"duration": "1s"}}, "spec.steps[0].name", "is required"),
        ({"name": "a", "wait": {}}, "spec.steps[0].wait", "has none"),
        (
            {"name": "a", "wait": {"duration": "-1s"}},
            "spec.steps[0].wait.duration",
            "a duration is numbers with units",
        ),
        (
            {"name": "a", "loop": {"count": 0, "steps": [WAIT]}},
            "spec.steps[0].loop.count",
            "must be at least 1",
        ),
        (
            {"name": "a", "loop": {"count": -3, "steps": [WAIT]}},
            "spec.steps[0].loop.count",
            "must be at least 1",
        ),
        (
            {"name": "a", "loop": {"count": 2.5, "steps": [WAIT]}},
            "spec.steps[0].loop.count",
            "must be a whole number",
        ),
        ({"name": "a", "loop": {"steps": [WAIT]}}, "spec.steps[0].loop", "has none"),
        (
            {"name": "a", "loop": {"count": 2, "steps": []}},
            "spec.steps[0].loop.steps",
            "must not be empty",
        ),
        ({"name": "a", "loop": {"count": 2}}, "spec.steps[0].loop.steps", "is required"),
        (
            {"name": "a", "valve": {"valve": "tma", "open": "5 ms"}},
            "spec.steps[0].valve.open",
            "a duration is numbers with units",
        ),
        (
            {"name": "a", "purge": {"gas": "N2", "flow": -1, "duration": "1s"}},
            "spec.steps[0].purge.flow",
            "must be at least 0",
        ),
        (
            {"name": "a", "set": {"gas": "N2", "parameter": "a.b", "value": 1}},
            "spec.steps[0].set",
            "has parameter and gas",
        ),
        (
            {"name": "a", "ramp": {"parameter": "a.b", "to": 1, "rate": "fast"}},
            "spec.steps[0].ramp.rate",
            "must match",
        ),
        (
            {"name": "a", "waitFor": {"condition": "", "timeout": "1s"}},
            "spec.steps[0].waitFor.condition",
            "must not be empty",
        ),
    ],
)
def test_a_broken_step_is_named_by_its_path(step, path, rule):
    found = violation(recipe(step))
    assert found.path == path
    assert rule in found.rule
    assert found.hint


@pytest.mark.requirement("REC-01")
def test_a_recipe_without_steps_is_refused():
    assert violation(recipe()).path == "spec.steps"


def test_two_steps_of_one_list_need_two_names():
    found = violation(recipe(WAIT, {"name": "l", "loop": {"count": 2, "steps": [WAIT]}}, WAIT))
    assert found.path == "spec.steps[2].name"


def test_cleanup_is_checked_as_the_steps_are():
    doc = document("Recipe", cleanup=[WAIT, WAIT])
    assert violation(doc).path == "spec.cleanup[1].name"


def test_all_faults_are_told_at_once_in_the_order_of_the_document():
    found = violations(recipe({"name": "A"}, {"name": "b", "wait": {"duration": 1}}, {"x": 1}))
    assert [each.path for each in found] == [
        "spec.steps[0].name",
        "spec.steps[1].wait.duration",
        "spec.steps[2].name",
        "spec.steps[2].x",
    ]


def test_the_list_of_faults_is_bounded():
    assert len(violations(recipe(*[{"name": "a"}] * 30))) == VIOLATIONS_MAX


def test_a_machine_of_a_thousand_parameters_is_read_in_a_second():
    parameters = [
        {
            "name": f"c{n}.p{n}",
            "table": "holding",
            "address": 2 * n,
            "type": "float32",
            "order": "CDAB",
            "unit": "°C",
            "minimum": 0,
            "maximum": 1000,
            "writable": True,
        }
        for n in range(1000)
    ]
    begin = time.thread_time()
    machine = parse_machine(document("Machine", parameters=parameters))
    assert time.thread_time() - begin < 1.0
    assert len(machine.spec.parameters) == 1000


def test_more_parameters_than_a_thousand_are_refused():
    row = {"name": "a.b", "table": "coil", "address": 1, "type": "bool"}
    found = violation(document("Machine", parameters=[row] * 1001))
    assert found.rule == "has more than 1000 entries"
