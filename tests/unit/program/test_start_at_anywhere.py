"""What holds of any recipe that is begun anywhere."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ald.program.estimate import estimate
from ald.program.model import EndLoop, Loop, Pulse, Ramp, Set
from ald.program.start_at import RESTORE_MARK, start_at
from ald.program.start_place import Start
from ald.program.verify import verify
from unit.program.reactors import CLEAR, PLANT, program_of, recipe
from unit.program.steps import (
    FLOWS,
    WARM,
    assign,
    executed,
    flow,
    loop,
    pulse,
    purge,
    ramp,
    wait,
    wait_for,
)

LEAVES = st.sampled_from(
    [
        ("tma",),
        ("water",),
        ("purge",),
        ("wait",),
        ("set", "chamber.setpoint", 100),
        ("set", "chamber.setpoint", 200),
        ("set", "pump.speed", 300),
        ("ramp", 150),
        ("flow", 30),
        ("settle", WARM),
        ("settle", FLOWS),
    ]
)


def trees(depth):
    return st.lists(
        LEAVES if depth == 0 else st.one_of(LEAVES, loops(depth)), min_size=1, max_size=4
    )


def loops(depth):
    return st.tuples(st.just("loop"), st.integers(1, 3), trees(depth - 1))


TREES = st.builds(lambda one, made, other: [*one, made, *other], trees(1), loops(2), trees(2))
PICKS = st.lists(st.integers(0, 1000), min_size=4, max_size=4)


def written(tree):
    """Return the steps of a recipe from a tree, each with a name of its own, which the proof has nothing against."""
    made = []
    for index, (kind, *rest) in enumerate(tree):
        name = f"{kind}-{index}"
        match kind:
            case "loop":
                made.append(loop(name, rest[0], *written(rest[1])))
            case "tma":
                made.append(pulse("tma", name))
            case "water":
                made += [purge(f"before-{index}"), pulse("water", name), purge(f"after-{index}")]
            case "purge":
                made.append(purge(name))
            case "wait":
                made.append(wait(name))
            case "set":
                made.append(assign(name, rest[1], rest[0]))
            case "ramp":
                made.append(ramp(name, rest[0]))
            case "flow":
                made.append(flow(name, rest[0]))
            case _:
                made.append(wait_for(name, rest[0]))
    return made


def start_of(tree, picks):
    """Return a program with one of the places to start at."""
    program = program_of(recipe([CLEAR, *written(tree)]))
    marks = [each for each in program.instructions if isinstance(each, Loop)]
    inner = marks[picks[0] % len(marks)]
    parts = inner.name.split("/")
    names = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    around = [next(mark for mark in marks if mark.name == name) for name in names]
    *outer, cycle = (1 + pick % mark.count for pick, mark in zip(picks[1:], around, strict=False))
    return program, Start(step=inner.name, cycle=cycle, outer_cycles=tuple(outer))


def effects(program, leaves):
    """Return the set points after these leaves, by what they set."""
    by_name = {each.name: each for each in program.instructions if not isinstance(each, EndLoop)}
    found: dict[str | None, float] = {}
    for name, _ in leaves:
        each = by_name[name]
        if isinstance(each, Set):
            found[each.parameter or each.gas] = each.value
        elif isinstance(each, Ramp):
            found[each.parameter or each.gas] = each.to
    return found


@settings(max_examples=40)
@given(TREES, PICKS)
def test_what_was_done_before_and_the_rest_are_the_whole(tree, picks):
    program, start = start_of(tree, picks)
    whole = list(executed(program))
    found = list(executed(start_at(program, start, PLANT)))
    rest = [each for each in found if not each[0].startswith(RESTORE_MARK)]
    cycles = (*start.outer_cycles, start.cycle)
    first = next(
        at
        for at, (name, around) in enumerate(whole)
        if name.startswith(f"{start.step}/") and around[: len(cycles)] == cycles
    )
    assert rest == whole[first:]
    assert found[len(found) - len(rest) :] == rest


@settings(max_examples=40)
@given(TREES, PICKS)
def test_set_points_at_the_start_are_those_of_the_whole_run_at_that_cycle(tree, picks):
    program, start = start_of(tree, picks)
    after = start_at(program, start, PLANT)
    whole, found = list(executed(program)), list(executed(after))
    rest = sum(not name.startswith(RESTORE_MARK) for name, _ in found)
    before = [(name.removeprefix(RESTORE_MARK), at) for name, at in found[: len(found) - rest]]
    assert effects(program, before) == effects(program, whole[: len(whole) - rest])
    names = [name for name, _ in before]
    assert len(set(names)) == len(names)


@settings(max_examples=40)
@given(TREES, PICKS)
def test_what_is_proven_and_estimated_of_a_program_begun_in_the_middle_is_right(tree, picks):
    program, start = start_of(tree, picks)
    found = start_at(program, start, PLANT)
    assert verify(found.instructions, found.cleanup, PLANT).violations == ()
    assert estimate(found.instructions, PLANT) == found.estimate
    leaves = [name.removeprefix(RESTORE_MARK) for name, _ in executed(found)]
    assert len(leaves) == found.estimate.leaves
    openings = {each.name for each in program.instructions if isinstance(each, Pulse)}
    assert sum(name in openings for name in leaves) == sum(found.estimate.openings.values())
