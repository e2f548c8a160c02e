"""The rest of a run that its gateway's restart has cut short: nothing that was begun is done again, and nothing else is left out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ald.errors import InvalidInputError
from ald.program.estimate import estimate
from ald.program.model import Loop, Pulse
from ald.program.resume import resumed
from ald.program.start_at import RESTORE_MARK
from ald.program.verify import verify
from unit.program.reactors import CLEAR, PLANT, program_of, recipe
from unit.program.steps import (
    CYCLE,
    DEPOSIT,
    assign,
    executed,
    loop,
    pulse,
    purge,
    ramp,
    restored,
    side_by_side,
    wait,
)
from unit.program.test_start_at_anywhere import TREES, effects, written


def rest_of(steps, step, *iterations):
    found = resumed(program_of(recipe(steps)), step, iterations, PLANT)
    return found, [each for each in executed(found) if not each[0].startswith(RESTORE_MARK)]


def test_a_run_goes_on_at_the_next_whole_cycle():
    program, left = rest_of([ramp("heat", 200), CLEAR, DEPOSIT], "deposit/tma", (37, 100))
    assert left[0] == ("deposit/tma", (38,))
    assert len(left) == 63 * 4
    assert restored(program) == ["heat", "deposit/purge-water"]


def test_behind_the_last_cycle_comes_what_follows_the_loop():
    _, left = rest_of([CLEAR, DEPOSIT, wait("after")], "deposit/purge-tma", (100, 100))
    assert left == [("after", ())]


def test_when_the_last_cycle_was_the_last_step_nothing_is_left_but_the_cleanup():
    program, left = rest_of([CLEAR, DEPOSIT], "deposit/water", (100, 100))
    assert left == []
    assert program.instructions[program.cleanup :] == ()


def test_the_rest_of_the_outer_cycle_is_done_when_the_inner_loop_was_in_its_last():
    steps = [CLEAR, loop("pair", 3, loop("first", 2, *CYCLE), wait("between"))]
    _, left = rest_of(steps, "pair/first/tma", (2, 3), (2, 2))
    assert left[0] == ("pair/between", (2,))
    assert left[1] == ("pair/first/tma", (3, 1))
    assert len(left) == 1 + 8 + 1


def test_a_loop_of_which_nothing_is_left_goes_on_in_the_next_outer_cycle():
    steps = [CLEAR, loop("pair", 3, loop("first", 2, *CYCLE))]
    _, left = rest_of(steps, "pair/first/tma", (2, 3), (2, 2))
    assert left[0] == ("pair/first/tma", (3, 1))
    assert len(left) == 8


def test_outside_all_loops_a_step_that_opens_no_valve_is_done_again():
    program, left = rest_of([ramp("heat", 200), wait("soak"), CLEAR, DEPOSIT], "soak")
    assert left[0] == ("soak", ())
    assert restored(program) == ["heat"]


def test_branches_that_open_no_valve_are_done_again_as_a_whole():
    both = side_by_side("both", left=[assign("speed", 300, "pump.speed")], right=[wait("rest")])
    for step in ("both", "both/left/speed", "both/right/rest"):
        _, left = rest_of([wait("before"), both, CLEAR, DEPOSIT], step)
        assert left[0] == ("both/left/speed", ())


@pytest.mark.parametrize("step", ["dose", "both/left/dose", "both"])
def test_a_pulse_outside_all_loops_is_not_done_again(step):
    both = side_by_side("both", left=[pulse("tma", "dose")], right=[wait("rest")])
    steps = [CLEAR, pulse("tma", "dose"), purge("clear-2"), both]
    with pytest.raises(InvalidInputError, match="a pulse outside all loops was begun") as found:
        rest_of(steps, step)
    assert found.value.violations[0].path.startswith("spec.steps[")


@pytest.mark.parametrize(
    ("step", "iterations"),
    [("gone", ()), ("deposit/tma", ((3, 99),)), ("deposit/tma", ()), ("clear", ((1, 2),))],
)
def test_a_program_that_is_another_one_by_now_is_refused(step, iterations):
    with pytest.raises(InvalidInputError, match="no such step any more"):
        rest_of([CLEAR, DEPOSIT], step, *iterations)


def _next(whole, at):
    """Return the first leaf behind the iteration that leaf `at` is in, by an oracle of its own."""
    name, around = whole[at]
    inside = name.rsplit("/", 1)[0]
    for index in range(at, len(whole)):
        other, where = whole[index]
        if not other.startswith(f"{inside}/") or where[: len(around)] != around:
            return index
    return len(whole)


@settings(max_examples=80)
@given(TREES, st.integers(0, 10_000))
def test_what_is_begun_and_what_is_left_out_and_the_rest_are_the_whole(tree, pick):
    program = program_of(recipe([CLEAR, *written(tree)]))
    whole = list(executed(program))
    at = pick % len(whole)
    step, around = whole[at]
    counts = {each.name: each.count for each in program.instructions if isinstance(each, Loop)}
    parts = step.split("/")
    names = ["/".join(parts[: n + 1]) for n in range(len(around))]
    iterations = tuple((n, counts[name]) for n, name in zip(around, names, strict=True))
    pulses = {each.name for each in program.instructions if isinstance(each, Pulse)}
    if not around and step in pulses:
        with pytest.raises(InvalidInputError):
            resumed(program, step, iterations, PLANT)
        return
    found = resumed(program, step, iterations, PLANT)
    made = list(executed(found))
    rest = [each for each in made if not each[0].startswith(RESTORE_MARK)]
    first = _next(whole, at) if around else at
    assert rest == whole[first:]
    assert made[len(made) - len(rest) :] == rest
    before = [
        (name.removeprefix(RESTORE_MARK), where) for name, where in made[: len(made) - len(rest)]
    ]
    assert effects(program, before) == effects(program, whole[:first])
    assert pulses.isdisjoint(name for name, _ in before)
    assert verify(found.instructions, found.cleanup, PLANT).violations == ()
    assert estimate(found.instructions, PLANT) == found.estimate
