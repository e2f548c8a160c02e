"""A program begun in the middle: what is left of it, and what is restored before. Any program: `test_start_at_anywhere.py`."""

import msgspec
import pytest

from ald.errors import InvalidInputError
from ald.plant.model import ExclusionGroup
from ald.program import together
from ald.program.model import (
    INSTRUCTIONS_MAX,
    EndLoop,
    Loop,
    Purge,
    Ramp,
    Set,
    Together,
    WaitFor,
    digest,
)
from ald.program.start_at import RESTORE_MARK, start_at
from ald.program.start_place import Start
from unit.program.reactors import CLEAR, MS, PLANT, SECOND, program_of, recipe
from unit.program.steps import (
    COOL,
    CYCLE,
    DEPOSIT,
    FLOWS,
    WARM,
    assign,
    executed,
    flow,
    loop,
    pulse,
    purge,
    ramp,
    restored,
    side_by_side,
    wait,
    wait_for,
)


def begun(steps, step, cycle, *outer, cleanup=()):
    whole = program_of(recipe(list(steps), cleanup=list(cleanup)))
    return start_at(whole, Start(step=step, cycle=cycle, outer_cycles=outer), PLANT)


def test_the_rest_of_a_loop_is_run_and_what_comes_after_it():
    program = begun([CLEAR, DEPOSIT, wait("after")], "deposit", 38)
    left = [each for each in executed(program) if not each[0].startswith(RESTORE_MARK)]
    assert left[0] == ("deposit/tma", (38,))
    assert left[-2:] == [("deposit/purge-water", (100,)), ("after", ())]
    assert len(left) == 63 * 4 + 1
    assert program.estimate.openings["tma"] == 63
    assert program.estimate.leaves == 63 * 4 + 1 + 1


def test_iterations_are_those_of_the_recipe():
    (mark,) = (
        each
        for each in begun([CLEAR, DEPOSIT], "deposit", 38).instructions
        if isinstance(each, Loop)
    )
    assert (mark.count, mark.first, mark.final, mark.times) == (100, 38, 100, 63)


def test_an_outer_loop_stands_there_with_the_rest_of_its_cycle_and_with_all_others():
    steps = [
        CLEAR,
        loop("pair", 10, loop("first", 50, *CYCLE), wait("w"), loop("second", 20, *CYCLE)),
    ]
    program = begun(steps, "pair/second", 4, 3)
    marks = [each for each in program.instructions if isinstance(each, Loop)]
    assert [(each.name, each.first, each.final, each.count) for each in marks] == [
        ("pair", 3, 3, 10),
        ("pair/second", 4, 20, 20),
        ("pair", 4, 10, 10),
        ("pair/first", 1, 50, 50),
        ("pair/second", 1, 20, 20),
    ]


def test_the_last_cycle_of_an_outer_loop_has_no_others():
    steps = [CLEAR, loop("pair", 10, loop("first", 50, *CYCLE))]
    marks = [i for i in begun(steps, "pair/first", 50, 10).instructions if isinstance(i, Loop)]
    assert [(each.name, each.first, each.final) for each in marks] == [
        ("pair", 10, 10),
        ("pair/first", 50, 50),
    ]


def test_the_last_write_of_each_parameter_and_gas_is_done_again_as_it_was_and_in_its_order():
    steps = [
        assign("cold", 20),
        flow("carrier", 30),
        ramp("heat", 200),
        assign("pump", 500, "pump.speed"),
        flow("more", 40),
        CLEAR,
        DEPOSIT,
    ]
    program = begun(steps, "deposit", 1)
    assert restored(program) == ["heat", "pump", "more", "clear"]
    heat, pump, more, _ = program.instructions[:4]
    assert isinstance(heat, Ramp)
    assert heat.to == 200
    assert heat.per_second == pytest.approx(10 / 60)
    assert isinstance(pump, Set)
    assert isinstance(more, Set)
    assert (pump.value, more.value, more.gas) == (500, 40, "N2")


def test_what_the_cycles_before_have_set_holds_from_the_second_on():
    body = (*CYCLE, assign("hotter", 250))
    steps = [assign("hot", 200), CLEAR, loop("deposit", 9, *body)]
    assert restored(begun(steps, "deposit", 1)) == ["hot", "clear"]
    assert restored(begun(steps, "deposit", 2)) == ["deposit/hotter", "deposit/purge-water"]


def test_what_the_present_cycle_of_an_outer_loop_has_set_goes_before_what_the_last_one_has():
    inner = loop("first", 5, *CYCLE)
    steps = [CLEAR, loop("pair", 4, assign("hot", 200), inner, assign("cold", 50))]
    assert restored(begun(steps, "pair/first", 3, 1))[0] == "pair/hot"
    assert restored(begun(steps, "pair/first", 1, 4))[0] == "pair/hot"
    after = [CLEAR, loop("pair", 4, inner, assign("cold", 50))]
    assert restored(begun(after, "pair/first", 1, 1)) == ["clear"]
    assert restored(begun(after, "pair/first", 2, 2))[0] == "pair/cold"


def test_heat_is_waited_for_again_although_a_later_step_waits_for_something_else():
    steps = [ramp("heat", 200), wait_for("warm", WARM), wait_for("flowing", FLOWS), CLEAR, DEPOSIT]
    program = begun(steps, "deposit", 38)
    assert restored(program) == ["heat", "warm", "flowing", "deposit/purge-water"]
    assert isinstance(program.instructions[1], WaitFor)


def test_what_was_waited_for_before_the_same_parameters_were_waited_for_anew_is_not():
    steps = [
        ramp("heat", 200),
        wait_for("warm", WARM),
        ramp("cool", 150),
        wait_for("cooler", COOL),
        CLEAR,
        DEPOSIT,
    ]
    assert restored(begun(steps, "deposit", 1)) == ["cool", "cooler", "clear"]


def test_pulses_waits_prompts_and_purges_that_no_group_needs_are_not_done_again():
    steps = [
        {"name": "wafer", "prompt": {"message": "wafer in place?"}},
        CLEAR,
        pulse("vent"),
        pulse("tma", "condition"),
        purge("lines", gas="Ar"),
        wait("soak", "10m"),
        purge("too-little", flow=14),
        DEPOSIT,
    ]
    assert restored(begun(steps, "deposit", 1)) == ["clear"]


def test_the_purge_before_lasts_at_least_as_long_as_the_group_asks_for():
    steps = [*(purge(f"part-{i}", "125ms") for i in (1, 2)), DEPOSIT]
    found = begun(steps, "deposit", 1).instructions[0]
    assert isinstance(found, Purge)
    assert (found.name, found.duration_ns) == ("restore: part-2", 250 * MS)
    longer = begun([CLEAR, DEPOSIT], "deposit", 38).instructions[0]
    assert isinstance(longer, Purge)
    assert (longer.name, longer.duration_ns) == ("restore: deposit/purge-water", 8 * SECOND)


def test_one_purge_serves_two_groups_and_a_group_that_stays_shut_needs_none():
    argon = ExclusionGroup(
        name="lines",
        valves=("vent",),
        purge_gases=("N2", "Ar"),
        minimum_purge_ns=2 * SECOND,
        minimum_flow=10.0,
    )
    plant = plant_with(argon)
    steps = [purge("argon", "3s", gas="Ar"), purge("clear", "2s"), loop("deposit", 9, *CYCLE)]
    whole = program_of(recipe(steps), plant=plant)
    assert restored(start_at(whole, Start(step="deposit", cycle=1), plant)) == ["clear"]
    vents = [*steps[:2], loop("deposit", 9, *CYCLE, pulse("vent"))]
    both = program_of(recipe(vents), plant=plant)
    assert restored(start_at(both, Start(step="deposit", cycle=1), plant)) == ["clear"]


def plant_with(group):
    return msgspec.structs.replace(PLANT, groups=(*PLANT.groups, group), unrestricted_valves=())


def test_what_ran_side_by_side_is_restored_side_by_side_and_alone_what_is_left_of_one_branch():
    both = side_by_side(
        "prepare",
        heat=[ramp("up", 200), wait_for("warm", WARM)],
        lines=[purge("flush"), flow("carrier", 30)],
    )
    program = begun([both, CLEAR, DEPOSIT], "deposit", 1)
    mark = program.instructions[0]
    assert isinstance(mark, Together)
    assert (mark.name, mark.names, mark.lengths) == (
        "restore: prepare",
        ("heat", "lines"),
        (2, 1),
    )
    assert together.fault(program.instructions, 0, mark) == ""
    assert restored(program)[:3] == [
        "prepare/heat/up",
        "prepare/heat/warm",
        "prepare/lines/carrier",
    ]
    alone = begun([both, flow("less", 20), CLEAR, DEPOSIT], "deposit", 1)
    assert restored(alone) == ["prepare/heat/up", "prepare/heat/warm", "less", "clear"]
    assert not any(isinstance(each, Together) for each in alone.instructions)


def test_the_cleanup_stays_as_it_is():
    cleanup = [loop("flush", 3, purge("n2")), assign("cold", 20)]
    whole = program_of(recipe([CLEAR, DEPOSIT], cleanup=cleanup))
    program = begun([CLEAR, DEPOSIT], "deposit", 38, cleanup=cleanup)
    names = [i.name for i in program.instructions[program.cleanup :] if not isinstance(i, EndLoop)]
    assert names == ["flush", "flush/n2", "cold"]
    assert program.estimate.leaves - 1 - 63 * 4 == whole.estimate.leaves - 1 - 100 * 4 == 4


def test_a_program_begun_at_its_first_cycle_is_another_one_on_record():
    whole = program_of(recipe([CLEAR, DEPOSIT]))
    first = start_at(whole, Start(step="deposit", cycle=1), PLANT)
    assert digest(first) != digest(whole)
    assert first.instructions[1:] == whole.instructions[1:]
    assert (first.recipe_uid, first.inputs, first.timing) == (
        whole.recipe_uid,
        whole.inputs,
        whole.timing,
    )


def test_a_program_from_the_beginning_says_nothing_of_first_and_last():
    text = msgspec.json.encode(program_of(recipe([CLEAR, DEPOSIT]))).decode()
    assert '"first"' not in text
    assert '"last"' not in text
    assert '"first":38' in msgspec.json.encode(begun([CLEAR, DEPOSIT], "deposit", 38)).decode()


def test_a_gateway_that_does_not_know_first_and_last_refuses_the_program():
    program = begun([CLEAR, DEPOSIT], "deposit", 38)
    as_read = tuple(
        msgspec.structs.replace(each, first=1, last=None) if isinstance(each, Loop) else each
        for each in program.instructions
    )
    assert digest(msgspec.structs.replace(program, instructions=as_read)) != digest(program)


def test_a_program_that_would_become_too_long_is_refused():
    many = [purge(f"p-{i}") for i in range(180)]
    inner = [loop(f"l-{i}", 2, *many) for i in range(60)]
    assert 2 * 60 * 180 > INSTRUCTIONS_MAX > 60 * 182
    with pytest.raises(InvalidInputError, match="at most 20000"):
        begun([CLEAR, loop("outer", 3, *inner)], "outer/l-0", 1, 2)
