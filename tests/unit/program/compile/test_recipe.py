import time
from pathlib import Path

import msgspec
import pytest
import yaml

from ald.api.parse import parse_machine, parse_recipe
from ald.errors import InvalidInputError
from ald.program.compile.machine import compile_machine
from ald.program.compile.recipe import check_recipe, compile_recipe
from ald.program.model import Program, digest
from unit.program.reactors import (
    CLEAR,
    DIGEST,
    IDENTITY,
    PLANT,
    SOURCE,
    Document,
    program_of,
    recipe,
)

EXAMPLES = Path(__file__).parents[4] / "examples"
TMA = {"name": "tma", "valve": {"valve": "tma", "open": "40ms"}}
INPUTS: list[Document] = [
    {"name": "cycles", "type": "integer", "default": 3},
    {"name": "dose", "type": "duration", "default": "25ms"},
    {"name": "kelvin", "type": "number", "default": 300, "unit": "K"},
    {"name": "power", "type": "boolean", "default": True},
]


def faults(document, given=None):
    with pytest.raises(InvalidInputError) as caught:
        program_of(document, given)
    return {violation.path: violation for violation in caught.value.violations}


def valve(**body):
    return {"name": "x", "valve": {"valve": "tma", "open": "40ms"} | body}


def purge(**body):
    return {"name": "x", "purge": {"gas": "N2", "flow": 20, "duration": "1s"} | body}


def change(**body):
    return {"name": "x", "set": body}


def ramp(**body):
    fields = {"parameter": "chamber.setpoint", "to": 200, "rate": "10 °C/min"} | body
    return {"name": "x", "ramp": {key: value for key, value in fields.items() if value is not None}}


def wait_for(condition="value('chamber.temperature') > 198.0", **body):
    return {"name": "x", "waitFor": {"condition": condition, "timeout": "1m"} | body}


def loop(**body):
    return {"name": "x", "loop": {"count": 2, "steps": [CLEAR]} | body}


def without(step, kind, *fields):
    return {"name": "x", kind: {k: v for k, v in step[kind].items() if k not in fields}}


X = "spec.steps[1]"

REFUSED = [
    ("loop-of-0", loop(count=0), f"{X}.loop.count", "at least 1"),
    ("loop-without-steps", loop(steps=[]), f"{X}.loop.steps", "not be empty"),
    ("negative-count", loop(count=-3), f"{X}.loop.count", "at least 1"),
    ("fractional-count", loop(count=2.5), f"{X}.loop.count", "whole number"),
    ("missing-count", without(loop(), "loop", "count"), f"{X}.loop", "exactly one of count"),
    ("unknown-kind", {"name": "x", "pump": {}}, f"{X}.pump", "no such field"),
    ("no-kind", {"name": "x"}, X, "exactly one of"),
    ("two-kinds", {**TMA, "wait": {"duration": "1s"}}, X, "exactly one of"),
    ("missing-name", {"wait": {"duration": "1s"}}, f"{X}.name", "required"),
    ("missing-valve", without(valve(), "valve", "valve"), f"{X}.valve.valve", "required"),
    ("missing-open", without(valve(), "valve", "open"), f"{X}.valve", "exactly one of open"),
    ("missing-gas", without(purge(), "purge", "gas"), f"{X}.purge.gas", "required"),
    ("missing-timeout", without(wait_for(), "waitFor", "timeout"), f"{X}.waitFor.timeout", "required"),
    ("same-name", {**CLEAR, "wait": None}, f"{X}.name", "have this name"),
    ("unknown-valve", valve(valve="tna"), f"{X}.valve.valve", "no valve of this name"),
    ("unknown-parameter", change(parameter="chamber.setpont", value=1), f"{X}.set.parameter", "no parameter"),
    ("unknown-gas", purge(gas="He"), f"{X}.purge.gas", "no gas of this name"),
    ("unknown-gas-in-set", change(gas="He", value=1), f"{X}.set.gas", "no gas of this name"),
    ("unknown-in-condition", wait_for("value('a.b') > 1.0"), f"{X}.waitFor.condition", "no parameter"),
    ("unknown-input", valve(open=None, openFrom="dosis"), f"{X}.valve.openFrom", "no input of this name"),
    ("wrong-input", valve(open=None, openFrom="cycles"), f"{X}.valve.openFrom", "of type duration"),
    ("value-too-high", change(parameter="chamber.setpoint", value=401), f"{X}.set.value", "takes 0 to 400 °C"),
    ("value-too-low", ramp(to=-1), f"{X}.ramp.to", "takes 0 to 400 °C"),
    ("flow-out-of-range", purge(flow=101), f"{X}.purge.flow", "takes 0 to 100 sccm"),
    ("negative-flow", purge(flow=-1), f"{X}.purge.flow", "at least 0"),
    ("switch-out-of-range", change(parameter="heater.power", value=2), f"{X}.set.value", "0 or 1"),
    ("boolean-for-a-number", change(parameter="chamber.setpoint", value=True), f"{X}.set.value", "takes a number"),
    ("input-boolean-for-a-number", change(parameter="chamber.setpoint", valueFrom="power"),
     f"{X}.set.valueFrom", "takes a number"),
    ("not-writable", change(parameter="chamber.temperature", value=1), f"{X}.set.parameter", "not writable"),
    ("owned-by-a-gas", change(parameter="mfc-1.flow-set", value=1), f"{X}.set.parameter", "belongs to gas N2"),
    ("ramp-of-an-owned", ramp(parameter="mfc-1.flow-set", rate="1 sccm/s"), f"{X}.ramp.parameter", "belongs to gas"),
    ("ramp-of-a-switch", ramp(parameter="heater.power", to=1), f"{X}.ramp", "is a switch"),
    ("rate-in-another-unit", ramp(rate="10 K/min"), f"{X}.ramp.rate", "°C/s, °C/min or °C/h"),
    ("rate-of-0", ramp(rate="0 °C/min"), f"{X}.ramp.rate", "positive number"),
    ("unit-of-a-set", change(gas="N2", value=1, unit="slm"), f"{X}.set.unit", "is in sccm"),
    ("unit-of-a-ramp", ramp(unit="K"), f"{X}.ramp.unit", "is in °C"),
    ("unit-of-a-purge", purge(unit="slm"), f"{X}.purge.unit", "is in sccm"),
    ("unit-of-an-input", ramp(to=None, toFrom="kelvin"), f"{X}.ramp.toFrom", "input kelvin is in K"),
    ("open-0", valve(open="0ms"), f"{X}.valve.open", "longer than 0s"),
    ("open-negative", valve(open="-40ms"), f"{X}.valve.open", "a duration is numbers"),
    ("open-a-number", valve(open=40), f"{X}.valve.open", ""),
    ("open-too-long", valve(open="5001ms"), f"{X}.valve.open", "at most 5s"),
    ("purge-0", purge(duration="0s"), f"{X}.purge.duration", "longer than 0s"),
    ("wait-0", {"name": "x", "wait": {"duration": "0s"}}, f"{X}.wait.duration", "longer than 0s"),
    ("wait-negative", {"name": "x", "wait": {"duration": "-1s"}}, f"{X}.wait.duration", "a duration is numbers"),
    ("wait-endless", {"name": "x", "wait": {"duration": "721h"}}, f"{X}.wait.duration", "at most 720h"),
    ("timeout-0", wait_for(timeout="0s"), f"{X}.waitFor.timeout", "longer than 0s"),
    ("timeout-too-short", wait_for(stableFor="1m"), f"{X}.waitFor.timeout", "fails before that"),
    ("condition-syntax", wait_for("value('chamber.temperature' > 1"), f"{X}.waitFor.condition", "expects ')'"),
    ("condition-no-bool", wait_for("value('chamber.temperature')"), f"{X}.waitFor.condition", "true or false"),
    ("condition-no-set-point", wait_for("setpoint('chamber.temperature') > 1.0"), f"{X}.waitFor.condition",
     "never written"),
]  # fmt: skip


@pytest.mark.requirement("REC-01")
@pytest.mark.parametrize(
    ("step", "path", "rule"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_faulty_step_is_refused_with_its_path(step, path, rule):
    step = {key: value for key, value in step.items() if value is not None}
    for body in step.values():
        if isinstance(body, dict):
            for key in [key for key, value in body.items() if value is None]:
                del body[key]
    found = faults(recipe([CLEAR, step], inputs=INPUTS))
    assert list(found) == [path]
    assert rule in found[path].rule
    assert found[path].hint


@pytest.mark.requirement("REC-01")
def test_a_recipe_without_steps_is_refused():
    assert list(faults(recipe([]))) == ["spec.steps"]


@pytest.mark.requirement("REC-01")
def test_every_fault_is_named_at_once_with_the_missing_purge():
    steps = [
        TMA,
        {"name": "a", "set": {"parameter": "chamber.setpoint", "value": 999}},
        {"name": "b", "loop": {"count": 2, "steps": [{"name": "c", "wait": {"duration": "0s"}}]}},
    ]
    cleanup = [{"name": "d", "set": {"gas": "He", "value": 1}}]
    assert set(faults(recipe(steps, cleanup=cleanup))) == {
        "spec.steps[0]",
        "spec.steps[1].set.value",
        "spec.steps[2].loop.steps[0].wait.duration",
        "spec.cleanup[0].set.gas",
    }


@pytest.mark.requirement("REC-01")
def test_the_proof_is_part_of_the_compilation_and_includes_the_cleanup():
    found = faults(recipe([CLEAR, TMA], cleanup=[{**TMA, "name": "again"}]))
    assert list(found) == ["spec.cleanup[0]"]
    assert (
        "add a purge of N2 of at least 250ms with flow >= 15 sccm" in found["spec.cleanup[0]"].hint
    )


def test_a_purge_that_could_not_be_made_does_not_also_fail_the_proof():
    broken = {"name": "x", "purge": {"gas": "N2", "flow": 500, "duration": "1s"}}
    assert list(faults(recipe([broken, TMA]))) == ["spec.steps[0].purge.flow"]


@pytest.mark.requirement("REC-01")
@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"cycles": 0}, "spec.steps[1].loop.countFrom"),
        ({"dose": "0ms"}, "spec.steps[1].loop.steps[0].valve.openFrom"),
        ({"dose": "6s"}, "spec.steps[1].loop.steps[0].valve.openFrom"),
    ],
)
def test_a_value_from_a_run_is_judged_where_it_is_used(given, path):
    body = {
        "countFrom": "cycles",
        "steps": [{"name": "t", "valve": {"valve": "tma", "openFrom": "dose"}}],
    }
    steps = [CLEAR, {"name": "l", "loop": body}]
    assert list(faults(recipe(steps, inputs=INPUTS), given)) == [path]


def test_faulty_inputs_of_a_run_are_named_with_the_paths_of_the_run():
    found = faults(recipe([CLEAR], inputs=INPUTS), {"cycles": 1.5, "x": 1})
    assert set(found) == {"spec.inputs.cycles", "spec.inputs.x"}


def test_too_many_leaves_are_refused():
    quick = {"name": "q", "set": {"gas": "N2", "value": 20}}
    inner = {"name": "i", "loop": {"count": 1_000_000, "steps": [quick]}}
    found = faults(recipe([{"name": "o", "loop": {"count": 51, "steps": [inner]}}]))
    assert "steps executed, loops multiplied out, are at most" in found["spec.steps"].rule


def test_a_program_says_what_it_was_made_from_and_has_a_digest_of_its_own():
    document = recipe([CLEAR, TMA], inputs=INPUTS, cleanup=[CLEAR])
    program = program_of(document, {"cycles": 5})
    assert (program.recipe, program.recipe_uid, program.recipe_generation) == ("recipe", "r-1", 3)
    assert program.plant_digest == DIGEST
    assert program.inputs == {"cycles": 5, "dose": "25ms", "kelvin": 300, "power": True}
    assert program.cleanup == 2
    assert digest(program) == digest(program_of(document, {"cycles": 5}))
    assert digest(program) != digest(program_of(document, {"cycles": 6}))


@pytest.mark.parametrize(
    ("timing", "wanted"),
    [
        (None, (None, 0.2)),
        ({"maxError": "0.5ms"}, (500_000, 0.2)),
        ({"maxRelativeError": 0.05}, (None, 0.05)),
    ],
)
def test_a_program_says_how_exact_its_pulses_have_to_be(timing, wanted):
    document = recipe([CLEAR, TMA])
    if timing is not None:
        document["spec"]["timing"] = timing
    found = program_of(document).timing
    assert found is not None
    assert (found.max_error_ns, found.max_relative_error) == wanted


def test_a_pulse_for_which_the_cycle_of_the_plc_alone_is_too_long_is_refused_wherever_it_is():
    short = {"name": "short", "valve": {"valve": "tma", "open": "9.9ms"}}
    violation = faults(recipe([CLEAR, TMA, short]))["spec.steps[2]"]
    assert "10ms: (plc.cycle 2ms) / 0.2" in violation.rule
    assert "shortPulses: Allow" in violation.hint
    allowed = recipe([CLEAR, TMA, short])
    allowed["spec"]["timing"] = {"shortPulses": "Allow"}
    found = program_of(allowed).timing
    assert found is not None
    assert found.allow_short


def test_a_program_travels_as_json_unchanged():
    program = program_of(recipe([CLEAR, TMA], cleanup=[CLEAR]))
    again = msgspec.json.decode(msgspec.json.encode(program), type=Program)
    assert again == program
    assert digest(again) == digest(program)


def test_what_needs_no_machine_is_checked_without_one():
    steps = [
        {"name": "a", "valve": {"valve": "anything", "openFrom": "nothing"}},
        {"name": "b", "waitFor": {"condition": "foo('a.b')", "timeout": "1m"}},
        {"name": "c", "set": {"parameter": "any.thing", "value": 1e9}},
        {"name": "d", "loop": {"countFrom": "times", "steps": [CLEAR]}},
    ]
    inputs = [{"name": "times", "type": "integer", "default": 0}]
    with pytest.raises(InvalidInputError) as caught:
        check_recipe(parse_recipe(recipe(steps, inputs=inputs)).spec)
    assert [v.path for v in caught.value.violations] == [
        "spec.steps[0].valve.openFrom",
        "spec.steps[1].waitFor.condition",
        "spec.steps[3].loop.countFrom",
    ]


def test_an_input_without_a_default_is_no_fault_of_the_recipe():
    steps = [CLEAR, {"name": "t", "valve": {"valve": "tma", "openFrom": "dose"}}]
    check_recipe(parse_recipe(recipe(steps, inputs=[{"name": "dose", "type": "duration"}])).spec)


@pytest.mark.requirement("REC-02")
def test_the_reference_recipe_of_the_examples_has_48_steps_on_both_machines():
    for machine in ("demo-reactor", "reactor-1"):
        document = yaml.safe_load((EXAMPLES / "machines" / f"{machine}.yaml").read_text())
        plant = compile_machine(parse_machine(document).spec, IDENTITY, 1)
        spec = parse_recipe(
            yaml.safe_load((EXAMPLES / "recipes" / "reference.yaml").read_text())
        ).spec
        check_recipe(spec)
        assert compile_recipe(spec, SOURCE, plant, "", {}).estimate.leaves == 48


def test_a_recipe_of_5000_leaves_compiles_in_less_than_a_second():
    wait = {"wait": {"duration": "1s"}}
    cycle = [CLEAR, TMA, *({"name": f"s-{i}", **wait} for i in range(23))]
    blocks = [{"name": f"b-{i}", "loop": {"count": 9, "steps": cycle}} for i in range(200)]
    spec = parse_recipe(recipe(blocks)).spec
    start = time.thread_time()
    program = compile_recipe(spec, SOURCE, PLANT, DIGEST, {})
    assert time.thread_time() - start < 1.0
    assert len(program.instructions) == 200 * 27
