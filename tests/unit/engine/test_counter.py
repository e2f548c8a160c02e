"""Loops count; nothing is unrolled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ald.engine import counter
from ald.engine.counter import fault, iterations, leaf_at, seek
from ald.program.model import EndLoop, Loop
from unit.engine.programs import assign, compiled, loop, together, wait


def walk(program):
    """Yield (index, counters) of every leaf in the order of execution."""
    index, counters = seek(program, 0, ())
    while leaf_at(program, index) is not None:
        yield index, tuple(c.iteration for c in counters)
        index, counters = seek(program, index + 1, counters)
        if index == program.cleanup < len(program.instructions) and not counters:
            index, counters = seek(program, index, ())


def test_a_loop_runs_its_body_as_often_as_it_says():
    program = compiled(wait(1), loop(3, wait(2), wait(3)), wait(4))
    assert list(walk(program)) == [
        (0, ()),
        *[(i, (n,)) for n in (1, 2, 3) for i in (2, 3)],
        (5, ()),
    ]


def test_nested_loops_show_their_iterations_outermost_first():
    program = compiled(loop(2, loop(3, wait(1)), wait(2)))
    visited = list(walk(program))
    assert [c for i, c in visited if i == 2] == [(a, b) for a in (1, 2) for b in (1, 2, 3)]
    index, counters = seek(program, 0, ())
    assert leaf_at(program, index) is not None
    assert iterations(program, counters) == ((1, 2), (1, 3))


def test_the_steps_end_where_the_cleanup_begins():
    program = compiled(loop(2, wait(1)), cleanup=[assign(1.0)])
    index, counters = seek(program, 0, ())
    index, counters = seek(program, index + 1, counters)
    index, counters = seek(program, index + 1, counters)
    assert (index, counters) == (program.cleanup, ())
    assert leaf_at(program, len(program.instructions)) is None


def begun(program, index, first, last=None):
    """The program with one of its loops begun in its middle."""
    made = list(program.instructions)
    made[index] = replace(made[index], first=first, last=last)
    return replace(program, instructions=tuple(made))


def test_a_loop_runs_from_its_first_iteration_to_its_last_and_counts_as_the_recipe_does():
    program = begun(begun(compiled(loop(5, loop(3, wait(1)))), 0, 2, 4), 1, 3)
    assert fault(program) == ""
    assert list(walk(program)) == [(2, (n, 3)) for n in (2, 3, 4)]
    index, counters = seek(program, 0, ())
    assert leaf_at(program, index) is not None
    assert iterations(program, counters) == ((2, 5), (3, 3))


@pytest.mark.parametrize(("first", "last"), [(0, None), (6, None), (3, 2), (1, 6), (1, 0), (-1, 1)])
def test_a_loop_with_iterations_that_it_does_not_have_cannot_run(first, last):
    assert "a loop runs" in fault(begun(compiled(loop(5, wait(1))), 0, first, last))


nested = st.recursive(
    st.just(wait(1)),
    lambda inner: st.tuples(st.integers(1, 3), st.lists(inner, min_size=1, max_size=3)).map(
        lambda made: loop(made[0], *made[1])
    ),
    max_leaves=8,
)


def leaves(steps):
    return sum(s[0] * leaves(s[1:]) if isinstance(s, list) else 1 for s in steps)


@given(st.lists(nested, min_size=1, max_size=4))
def test_any_nesting_executes_as_many_leaves_as_it_multiplies_out_to(steps):
    program = compiled(*steps)
    assert fault(program) == ""
    assert len(list(walk(program))) == leaves(steps) == program.estimate.leaves


@pytest.mark.parametrize(
    "broken",
    [
        lambda i: (replace(i[0], count=0), *i[1:]),
        lambda i: (replace(i[0], end=9), *i[1:]),
        lambda i: (replace(i[0], end=1), i[2]),
        lambda i: (*i[:2], EndLoop(begin=1)),
        lambda i: (i[1], i[2]),
        lambda i: (i[0], i[1], i[1]),
    ],
)
def test_loops_that_cannot_run_are_named(broken):
    program = compiled(loop(2, wait(1)))
    assert isinstance(program.instructions[0], Loop)
    assert counter.fault(replace(program, instructions=broken(program.instructions)))


def test_a_cleanup_outside_the_program_is_named():
    assert "cleanup" in fault(replace(compiled(wait(1)), cleanup=5))


def test_loops_that_do_not_nest_are_named():
    crossed = (
        Loop(path="p", name="a", count=2, depth=0, end=3),
        Loop(path="p", name="b", count=2, depth=1, end=4),
        wait(1),
        EndLoop(begin=0),
        EndLoop(begin=1),
    )
    assert "nest" in fault(replace(compiled(wait(1)), instructions=crossed, cleanup=5))


def test_a_loop_that_reaches_into_the_cleanup_is_named():
    program = compiled(loop(2, wait(1), wait(1)))
    assert "cleanup" in fault(replace(program, cleanup=2))


def test_branches_must_lie_whole_within_the_steps_or_the_cleanup():
    sound = compiled(together([wait(1)], [wait(1)]))
    assert counter.fault(sound) == ""
    assert "before the cleanup" in counter.fault(replace(sound, cleanup=2))
    assert "ends inside" in counter.fault(
        replace(sound, instructions=sound.instructions[:2], cleanup=0)
    )
