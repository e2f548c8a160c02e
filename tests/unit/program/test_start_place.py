"""Which loop and which cycle a run wants to begin with, and what it is told where there is none."""

import pytest

from ald.errors import InvalidInputError
from ald.program.start_place import Start, places
from unit.program.reactors import CLEAR, program_of, recipe

TMA = {"name": "tma", "valve": {"valve": "tma", "open": "40ms"}}


def loop(name, count, *steps):
    return {"name": name, "loop": {"count": count, "steps": list(steps)}}


def branch(name, *steps):
    return {"name": name, "steps": list(steps)}


def rest(name):
    return {"name": name, "wait": {"duration": "1s"}}


PROGRAM = program_of(
    recipe(
        [
            CLEAR,
            loop("deposit", 100, TMA),
            loop("pair", 10, loop("first", 50, TMA), rest("between"), loop("second", 20, TMA)),
            {
                "name": "both",
                "together": {"branches": [branch("a", rest("x")), branch("b", rest("y"))]},
            },
        ],
        cleanup=[loop("flush", 3, CLEAR)],
    )
)


def test_the_loops_around_are_found_outermost_first():
    found = places(PROGRAM, Start(step="pair/second", cycle=4, outer_cycles=(3,)))
    assert [(p.loop.name, p.cycle) for p in found] == [("pair", 3), ("pair/second", 4)]
    assert [PROGRAM.instructions[p.index] for p in found] == [p.loop for p in found]


@pytest.mark.parametrize("cycle", [1, 100])
def test_the_first_and_the_last_cycle_are_among_them(cycle):
    assert places(PROGRAM, Start(step="deposit", cycle=cycle))[0].cycle == cycle


ANY = "its loops are deposit, pair, pair/first, pair/second"


@pytest.mark.requirement("REC-01")
@pytest.mark.parametrize(
    ("start", "path", "value", "rule", "hint"),
    [
        (Start(step="depsit", cycle=1), "step", "depsit", "no loop of this name", "mean deposit?"),
        (Start(step="x", cycle=1), "step", "x", "no loop of this name", ANY),
        (Start(step="clear", cycle=1), "step", "clear", "this is no loop", ANY),
        (Start(step="pair/between", cycle=1), "step", "pair/between", "no loop", "mean pair?"),
        (Start(step="deposit/tma", cycle=1), "step", "deposit/tma", "no loop", "mean deposit?"),
        (Start(step="both", cycle=1), "step", "both", "this is no loop", ANY),
        (Start(step="both/a", cycle=1), "step", "both/a", "this is no loop", ANY),
        (Start(step="flush", cycle=1), "step", "flush", "no loop among the recipe's steps", ANY),
        (Start(step="deposit", cycle=0), "cycle", "0", "has the cycles 1 to 100", "choose one"),
        (Start(step="deposit", cycle=101), "cycle", "101", "the cycles 1 to 100", "the inputs"),
        (
            Start(step="deposit", cycle=1, outer_cycles=(1,)),
            "outerCycles",
            "[1]",
            "lies in no other loop",
            "leave outerCycles out",
        ),
        (
            Start(step="pair/first", cycle=1),
            "outerCycles",
            "",
            "loop pair/first lies in pair,",
            "for the last of them outerCycles: [10]",
        ),
        (
            Start(step="pair/first", cycle=1, outer_cycles=(11,)),
            "outerCycles[0]",
            "11",
            "loop pair has the cycles 1 to 10",
            "choose one",
        ),
    ],
    ids=lambda given: f"{given.step}-{given.cycle}" if isinstance(given, Start) else "",
)
def test_what_is_not_there_is_told_with_path_value_rule_and_what_to_do(
    start, path, value, rule, hint
):
    with pytest.raises(InvalidInputError) as caught:
        places(PROGRAM, start)
    (found,) = caught.value.violations
    assert (found.path, found.value) == (f"spec.startAt.{path}", value)
    assert rule in found.rule
    assert hint in found.hint


def test_every_cycle_that_is_not_there_is_told():
    with pytest.raises(InvalidInputError) as caught:
        places(PROGRAM, Start(step="pair/first", cycle=51, outer_cycles=(0,)))
    assert [v.path for v in caught.value.violations] == [
        "spec.startAt.outerCycles[0]",
        "spec.startAt.cycle",
    ]


def test_a_recipe_without_loops_has_no_place_to_start_at():
    with pytest.raises(InvalidInputError, match="leave startAt out"):
        places(program_of(recipe([CLEAR])), Start(step="deposit", cycle=1))
