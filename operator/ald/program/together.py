"""Branches that run side by side: where they lie in a program, and the proof that they share nothing.

A valve, an exclusion group, a gas and a set point are touched by one branch of a `together` only. A branch touches a group when
it opens one of its valves or purges for it. So whatever the branches do to one another's times, everything that concerns one
group happens one after another in one branch, and the rest of the proof (`ald.program.verify`) holds for it as it does
for steps in a row: the other branches neither open a valve of the group nor count as purge for it.
"""

from collections.abc import Iterator, Sequence

from ald.errors import Violation
from ald.plant.model import Plant
from ald.program.model import (
    BRANCHES_MAX,
    EndLoop,
    Instruction,
    Leaf,
    Loop,
    Pulse,
    Purge,
    Ramp,
    Set,
    Together,
)


def spans(mark: Together, index: int) -> tuple[tuple[int, int], ...]:
    """Return where each branch of the mark at `index` begins, and the index behind its last leaf."""
    found = []
    begin = index + 1
    for length in mark.lengths:
        found.append((begin, begin + length))
        begin += length
    return tuple(found)


def end(mark: Together, index: int) -> int:
    """Return the index behind all branches of the mark at `index`."""
    return index + 1 + sum(mark.lengths)


def fault(instructions: Sequence[Instruction], index: int, mark: Together) -> str:
    """Return what makes the branches of the mark at `index` unfit to run, in plain words; empty when they are sound."""
    if len(mark.lengths) != len(mark.names) or not 2 <= len(mark.lengths) <= BRANCHES_MAX:
        return f"a together has 2 to {BRANCHES_MAX} branches, each with its name"
    if min(mark.lengths) < 1 or end(mark, index) > len(instructions):
        return "a branch holds at least one step and ends inside the program"
    if any(
        isinstance(each, Loop | EndLoop | Together)
        for each in instructions[index + 1 : end(mark, index)]
    ):
        return "a branch holds leaves only"
    return ""


def shared(instructions: Sequence[Instruction], plant: Plant) -> Iterator[Violation]:
    """Yield what two branches of one `together` both touch: one violation for each such thing."""
    for index, mark in enumerate(instructions):
        if not isinstance(mark, Together):
            continue
        first: dict[str, str] = {}
        told: set[str] = set()
        for name, (begin, behind) in zip(mark.names, spans(mark, index), strict=True):
            for leaf in instructions[begin:behind]:
                assert not isinstance(leaf, Loop | EndLoop | Together), "branches hold leaves only"
                for thing in _touched(leaf, plant):
                    other = first.setdefault(thing, name)
                    if other != name and thing not in told:
                        told.add(thing)
                        yield _violation(leaf, thing, (other, name))


def _violation(leaf: Leaf, thing: str, branches: tuple[str, str]) -> Violation:
    one, other = branches
    return Violation(
        path=leaf.path,
        value=thing,
        rule=f"branches {one} and {other} both use {thing}, and nothing says which of them comes first",
        hint="put these steps into one branch, or before or after the together",
    )


def _touched(leaf: Leaf, plant: Plant) -> Iterator[str]:
    """Yield what a leaf touches, in the words of the violation."""
    match leaf:
        case Pulse():
            yield from (f"exclusion group {g.name}" for g in plant.groups if leaf.valve in g.valves)
            yield f"valve {leaf.valve}"
        case Purge():
            for group in plant.groups:
                if leaf.gas in group.purge_gases and leaf.flow >= group.minimum_flow:
                    yield f"exclusion group {group.name}"
            yield f"gas {leaf.gas}"
        case Set() | Ramp():
            yield f"gas {leaf.gas}" if leaf.gas is not None else f"parameter {leaf.parameter}"
        case _:
            pass
