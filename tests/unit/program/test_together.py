"""Branches share nothing, and so the rest of the proof holds in whatever order their leaves come."""

import itertools
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ald.errors import InvalidInputError
from ald.program.model import Pulse, Purge, Together, Wait
from ald.program.together import end, fault, shared, spans
from ald.program.verify import verify
from unit.program.reactors import CLEAR, MS, PLANT, program_of, recipe
from unit.program.test_verify import LEAVES, TWO_GROUPS, Oracle, linear

TMA = {"name": "tma", "valve": {"valve": "tma", "open": "40ms"}}
WATER = {"name": "water", "valve": {"valve": "water", "open": "40ms"}}
VENT = {"name": "vent", "valve": {"valve": "vent", "open": "40ms"}}
HEAT = {"name": "heat", "set": {"parameter": "chamber.setpoint", "value": 100}}
ARGON = {"name": "argon", "set": {"gas": "Ar", "value": 5}}
REST = {"name": "rest", "wait": {"duration": "1s"}}


def beside(*branches, name="both"):
    named = [{"name": "abcdefgh"[i], "steps": list(steps)} for i, steps in enumerate(branches)]
    return {"name": name, "together": {"branches": named}}


def refused(*branches):
    with pytest.raises(InvalidInputError) as error:
        program_of(recipe([CLEAR, beside(*branches)]))
    return error.value.violations


def marked(*branches, path="steps"):
    """Return a mark and its branches as the compiler lays them out."""
    leaves = [linear(list(each), f"{path}[{i}]") for i, each in enumerate(branches)]
    mark = Together(
        path=path,
        name="both",
        names=tuple("abcdefgh"[: len(leaves)]),
        lengths=tuple(len(each) for each in leaves),
    )
    return mark, leaves


def test_branches_lie_behind_their_mark_one_after_another():
    mark = Together(path="p", name="p", names=("a", "b"), lengths=(2, 3))
    assert spans(mark, 4) == ((5, 7), (7, 10))
    assert end(mark, 4) == 10


@pytest.mark.parametrize(
    ("first", "second", "thing"),
    [
        ((TMA,), (CLEAR, WATER), "exclusion group precursors"),
        ((TMA,), (CLEAR,), "exclusion group precursors"),
        ((VENT,), (REST, VENT), "valve vent"),
        ((HEAT,), (REST, HEAT), "parameter chamber.setpoint"),
        ((ARGON,), (REST, ARGON), "gas Ar"),
    ],
)
def test_what_two_branches_touch_is_refused_by_name(first, second, thing):
    found = refused(first, second)
    assert any(
        violation.rule.startswith(f"branches a and b both use {thing}") for violation in found
    )


def test_it_is_said_once_for_each_thing():
    (found,) = refused((VENT,), (VENT,), (VENT,))
    assert found.path == "spec.steps[1].together.branches[1].steps[0]"


def test_branches_that_share_nothing_are_proven_each_by_itself():
    both = beside((CLEAR, TMA), (VENT, HEAT), (REST, ARGON))
    program = program_of(recipe([CLEAR, both, CLEAR | {"name": "again"}, WATER]))
    assert program.separations[0].smallest_purge_ns == 1_000 * MS


def test_a_purge_too_short_behind_the_branches_is_found():
    with pytest.raises(InvalidInputError, match="it follows valve tma"):
        program_of(recipe([CLEAR, beside((TMA,), (VENT,)), WATER]))


@given(
    first=st.lists(LEAVES, min_size=1, max_size=4),
    second=st.lists(LEAVES, min_size=1, max_size=4),
    before=st.lists(LEAVES, max_size=2),
    after=st.lists(LEAVES, max_size=2),
    seed=st.integers(0, 1 << 32),
)
@settings(max_examples=400)
def test_what_is_proven_holds_in_every_order_of_the_branches_leaves(
    first, second, before, after, seed
):
    mark, branches = marked(first, second)
    lead, rest = linear(before, "before"), linear(after, "after")
    program = [*lead, mark, *itertools.chain(*branches), *rest]
    if verify(program, len(program), TWO_GROUPS).violations:
        return
    order = [number for number, leaves in enumerate(branches) for _ in leaves]
    random.Random(seed).shuffle(order)
    iterators = [iter(leaves) for leaves in branches]
    oracle = Oracle(TWO_GROUPS.groups)
    oracle.start()
    oracle.run([*lead, *(next(iterators[number]) for number in order), *rest])
    assert oracle.faults == set()


def test_what_no_compiler_makes_is_no_program():
    leaf = Wait(path="p", name="p", duration_ns=1)
    mark = Together(path="p", name="p", names=("a", "b"), lengths=(1, 1))
    change = msgspec.structs.replace
    assert fault([mark, leaf, leaf], 0, mark) == ""
    assert "ends inside" in fault([mark, leaf], 0, mark)
    assert "2 to 8" in fault([mark, leaf, leaf], 0, change(mark, names=("a",)))
    assert "2 to 8" in fault([mark, leaf], 0, change(mark, names=("a",), lengths=(1,)))
    assert "at least one step" in fault([mark, leaf, leaf], 0, change(mark, lengths=(0, 2)))
    assert "leaves only" in fault([mark, mark, leaf], 0, mark)


def test_a_purge_below_the_flow_of_a_group_does_not_touch_it():
    low = Purge(path="p", name="p", gas="N2", flow=14.0, duration_ns=MS)
    dose = Pulse(path="p", name="p", valve="tma", open_ns=MS)
    mark = Together(path="p", name="p", names=("a", "b"), lengths=(1, 1))
    assert list(shared([mark, dose, low], PLANT)) == []
    enough = msgspec.structs.replace(low, flow=15.0)
    assert len(list(shared([mark, dose, enough], PLANT))) == 1
