import pytest

from ald.api.recipe import RecipeSpec
from ald.errors import InvalidInputError
from ald.program.compile.recipe import compile_recipe
from ald.program.model import (
    EndLoop,
    Loop,
    Prompt,
    Pulse,
    Purge,
    Ramp,
    Set,
    Together,
    Wait,
    WaitFor,
)
from unit.program.reactors import (
    CLEAR,
    DIGEST,
    MS,
    PLANT,
    SECOND,
    SOURCE,
    Document,
    machine,
    plant_of,
    program_of,
    recipe,
    with_timer,
)

TMA = {"name": "tma", "valve": {"valve": "tma", "open": "40ms"}}
INPUTS: list[Document] = [
    {"name": "cycles", "type": "integer", "default": 3},
    {"name": "dose", "type": "duration", "default": "25ms"},
    {"name": "flow", "type": "number", "default": 30, "unit": "sccm"},
    {"name": "power", "type": "boolean", "default": True},
]


def instructions(*steps, given=None):
    return program_of(recipe(list(steps), inputs=INPUTS), given).instructions


def only(step):
    (found,) = instructions(step)
    return found


def test_a_valve_step_is_a_pulse():
    _, pulse = instructions(CLEAR, TMA)
    assert pulse == Pulse(path="spec.steps[1]", name="tma", valve="tma", open_ns=40 * MS)


@pytest.mark.parametrize(
    ("flow", "held"), [(24, 20), (4, 0), (14.9, 10), (25, 20), (16, None), (20, None), (0, None)]
)
def test_a_purge_flows_by_what_is_written_and_not_by_what_is_asked(flow, held):
    """Written is the nearest whole raw value; of a gas without feedback nobody sees what that leaves."""
    document = machine()
    coarse = {"table": "holding", "address": 130, "type": "uint16", "scale": 10, "unit": "sccm"}
    coarse |= {"name": "mfc-3.flow-set", "minimum": 0, "maximum": 100, "writable": True}
    document["spec"]["parameters"].append(coarse)
    document["spec"]["gases"][0] = {"name": "N2", "setpoint": "mfc-3.flow-set"}
    document["spec"]["exclusionGroups"][0]["minimumPurge"]["flow"] = flow
    step = {"name": "clear", "purge": {"gas": "N2", "flow": flow, "duration": "1s"}}
    steps = recipe([step, TMA])
    if held is None:
        assert program_of(steps, plant=plant_of(document)).instructions
        return
    with pytest.raises(InvalidInputError) as caught:
        program_of(steps, plant=plant_of(document))
    (found,) = caught.value.violations
    assert found.path == "spec.steps[0].purge.flow"
    assert f"mfc-3.flow-set can hold is {held}, less than 90% of this flow" in found.rule


def test_a_purge_step_is_a_purge():
    assert only(CLEAR) == Purge(
        path="spec.steps[0]", name="clear", gas="N2", flow=20.0, duration_ns=SECOND
    )


@pytest.mark.parametrize(("value", "written"), [(True, 1.0), (False, 0.0), (1, 1.0), (0, 0.0)])
def test_a_switch_is_set_by_a_boolean_or_by_0_and_1(value, written):
    found = only({"name": "on", "set": {"parameter": "heater.power", "value": value}})
    assert found == Set(path="spec.steps[0]", name="on", value=written, parameter="heater.power")


def test_a_gas_is_set_by_its_name():
    found = only({"name": "flow", "set": {"gas": "N2", "value": 20, "unit": "sccm"}})
    assert found == Set(path="spec.steps[0]", name="flow", value=20.0, gas="N2")


def test_the_rate_of_a_ramp_is_per_second():
    step = {"parameter": "chamber.setpoint", "to": 200, "rate": "30 °C/min", "unit": "°C"}
    found = only({"name": "heat", "ramp": step})
    assert found == Ramp(
        path="spec.steps[0]", name="heat", to=200.0, per_second=0.5, parameter="chamber.setpoint"
    )


def test_a_wait_step_is_a_wait():
    found = only({"name": "rest", "wait": {"duration": "1.5s"}})
    assert found == Wait(path="spec.steps[0]", name="rest", duration_ns=1500 * MS)


def test_a_prompt_step_is_a_prompt():
    found = only({"name": "ask", "prompt": {"message": "in place?", "timeout": "5m"}})
    assert found == Prompt(
        path="spec.steps[0]", name="ask", message="in place?", timeout_ns=300 * SECOND
    )


def test_a_wait_for_step_knows_what_it_reads():
    text = "value('chamber.temperature') > setpoint('chamber.setpoint') - 2.0"
    body = {"condition": text, "stableFor": "5s", "timeout": "1m"}
    assert only({"name": "settle", "waitFor": body}) == WaitFor(
        path="spec.steps[0]",
        name="settle",
        condition=text,
        reads=("chamber.temperature", "chamber.setpoint"),
        stable_ns=5 * SECOND,
        timeout_ns=60 * SECOND,
    )


def test_the_set_point_of_a_gas_may_be_asked_for():
    text = "value('mfc-1.flow-read') > setpoint('mfc-1.flow-set') * 0.9"
    found = only({"name": "settle", "waitFor": {"condition": text, "timeout": "1m"}})
    assert found.reads == ("mfc-1.flow-read", "mfc-1.flow-set")


def test_quantities_come_from_inputs():
    steps = (
        {"name": "clear", "purge": {"gas": "N2", "flowFrom": "flow", "duration": "1s"}},
        {
            "name": "l",
            "loop": {
                "countFrom": "cycles",
                "steps": [
                    {"name": "tma", "valve": {"valve": "tma", "openFrom": "dose"}},
                    {"name": "on", "set": {"parameter": "heater.power", "valueFrom": "power"}},
                ],
            },
        },
    )
    purge, loop, pulse, switch, _ = instructions(*steps, given={"flow": 40, "cycles": 9})
    assert (purge.flow, loop.count, pulse.open_ns, switch.value) == (40.0, 9, 25 * MS, 1.0)


def test_durations_come_from_inputs():
    purge, rest = instructions(
        {"name": "clear", "purge": {"gas": "N2", "flow": 20, "durationFrom": "dose"}},
        {"name": "rest", "wait": {"durationFrom": "dose"}},
        given={"dose": "2s"},
    )
    assert (purge.duration_ns, rest.duration_ns) == (2 * SECOND, 2 * SECOND)


def test_a_ramp_may_be_of_a_gas_and_end_where_an_input_says():
    found = only({"name": "up", "ramp": {"gas": "N2", "toFrom": "flow", "rate": "60 sccm/min"}})
    assert found == Ramp(path="spec.steps[0]", name="up", to=30.0, per_second=1.0, gas="N2")


def test_loops_are_laid_out_with_their_ends_and_never_unrolled():
    inner = {"name": "inner", "loop": {"count": 1000, "steps": [TMA]}}
    outer = {"name": "outer", "loop": {"count": 2, "steps": [CLEAR, inner]}}
    found = instructions(outer)
    assert [type(each) for each in found] == [Loop, Purge, Loop, Pulse, EndLoop, EndLoop]
    assert found[0] == Loop(path="spec.steps[0]", name="outer", count=2, depth=0, end=5)
    assert found[2] == Loop(
        path="spec.steps[0].loop.steps[1]", name="outer/inner", count=1000, depth=1, end=4
    )
    assert found[3].path == "spec.steps[0].loop.steps[1].loop.steps[0]"
    assert found[3].name == "outer/inner/tma"
    assert (found[4].begin, found[5].begin) == (2, 0)


def refused(*steps):
    """Compile steps past the parser, whose own checks come first otherwise."""
    spec = RecipeSpec.model_validate(recipe(list(steps))["spec"])
    with pytest.raises(InvalidInputError) as caught:
        compile_recipe(spec, SOURCE, PLANT, DIGEST, {})
    return {violation.path: violation.rule for violation in caught.value.violations}


def test_two_steps_of_one_name_in_a_list_are_refused_and_in_two_lists_are_not():
    looped = {"name": "clear", "loop": {"count": 2, "steps": [CLEAR, CLEAR]}}
    assert refused(looped) == {
        "spec.steps[0].loop.steps[1].name": "two steps of one list have this name"
    }
    assert instructions({"name": "clear", "loop": {"count": 2, "steps": [CLEAR]}})


def test_loops_nest_four_deep_and_no_deeper():
    step = CLEAR
    for _ in range(4):
        step = {"name": "l", "loop": {"count": 2, "steps": [step]}}
    assert instructions(step)[3].depth == 3
    path = "spec.steps[0]" + ".loop.steps[0]" * 4 + ".loop"
    assert refused({"name": "l", "loop": {"count": 2, "steps": [step]}}) == {
        path: "loops nest at most 4 deep"
    }


def test_branches_are_laid_out_behind_their_mark_with_names_and_paths():
    rest = {"name": "rest", "wait": {"duration": "1s"}}
    branches = [
        {"name": "a", "steps": [rest, rest | {"name": "more"}]},
        {"name": "b", "steps": [rest]},
    ]
    mark, first, second, third = instructions({"name": "both", "together": {"branches": branches}})
    assert mark == Together(path="spec.steps[0]", name="both", names=("a", "b"), lengths=(2, 1))
    assert [each.name for each in (first, second, third)] == [
        "both/a/rest",
        "both/a/more",
        "both/b/rest",
    ]
    assert third.path == "spec.steps[0].together.branches[1].steps[0]"


@pytest.mark.parametrize(
    ("opened", "why"),
    [
        ("0.7ms", "the PLC times whole multiples of 0.5ms"),
        ("2.25ms", "the PLC times whole multiples of 0.5ms"),
    ],
)
def test_a_width_that_the_register_of_a_timer_cannot_hold_is_refused_with_its_path(opened, why):
    plant = plant_of(with_timer(machine()))
    with pytest.raises(InvalidInputError) as caught:
        program_of(
            recipe([CLEAR, {"name": "dose", "valve": {"valve": "tma", "open": opened}}]),
            plant=plant,
        )
    (found,) = caught.value.violations
    assert found.path == "spec.steps[1].valve.open"
    assert why in found.rule


def test_a_pulse_that_the_plc_times_may_be_shorter_than_any_link_could_time():
    step = {"name": "dose", "valve": {"valve": "tma", "open": "1.5ms"}}
    with pytest.raises(InvalidInputError, match="timed honestly"):
        program_of(recipe([CLEAR, step]))
    made = program_of(recipe([CLEAR, step]), plant=plant_of(with_timer(machine())))
    (dose,) = (each for each in made.instructions if isinstance(each, Pulse))
    assert dose.open_ns == 1_500_000
