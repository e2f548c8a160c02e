"""Where in a program a run begins: the loop by its name and the iterations of it and of those around it."""

import difflib
from collections.abc import Iterator, Sequence

import msgspec

from ald.errors import InvalidInputError, Violation
from ald.program.model import EndLoop, Instruction, Loop, Program, Together

NAMES_SHOWN_MAX = 8
"""Loops named to somebody who has named none of them."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Iteration `cycle` of the loop called `step`, in iterations `outer_cycles` of the loops around it, outermost first."""

    step: str
    cycle: int
    outer_cycles: tuple[int, ...] = ()


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One of the loops in the middle of which a run begins: its index, and the iteration to begin with."""

    index: int
    loop: Loop
    cycle: int


def places(program: Program, start: Start) -> tuple[Place, ...]:
    """Return the loops around the start, outermost first.

    Raises:
        InvalidInputError: with every rule that the start breaks; paths are the run's, `spec.startAt.cycle`.
    """
    around = _loops(program, start.step)
    outer = around[:-1]
    if len(start.outer_cycles) != len(outer):
        raise InvalidInputError([_wrong_length(start, [loop for _, loop in outer])])
    found = tuple(
        Place(index=index, loop=loop, cycle=cycle)
        for (index, loop), cycle in zip(around, (*start.outer_cycles, start.cycle), strict=True)
    )
    violations = [
        _no_cycle(place, "cycle" if at == len(outer) else f"outerCycles[{at}]")
        for at, place in enumerate(found)
        if not 1 <= place.cycle <= place.loop.count
    ]
    if violations:
        raise InvalidInputError(violations)
    return found


def _loops(program: Program, name: str) -> list[tuple[int, Loop]]:
    """Return the loop of this name among the steps with those around it, each with its index."""
    around: list[tuple[int, Loop]] = []
    known = []
    for index, each in enumerate(program.instructions[: program.cleanup]):
        if isinstance(each, Loop):
            around.append((index, each))
            known.append(each.name)
            if each.name == name:
                return around
        elif isinstance(each, EndLoop):
            around.pop()
    raise InvalidInputError([_no_loop(program.instructions, name, known)])


def _no_loop(instructions: Sequence[Instruction], name: str, known: Sequence[str]) -> Violation:
    steps = {each.name for each in instructions if not isinstance(each, EndLoop)}
    branches = {
        f"{each.name}/{branch}"
        for each in instructions
        if isinstance(each, Together)
        for branch in each.names
    }
    rule = "the recipe has no loop of this name among its steps"
    if name in steps | branches:
        rule = "this is no loop among the recipe's steps, and a run starts at a cycle of a loop"
    return Violation(
        path="spec.startAt.step", value=name[:100], rule=rule, hint=_named_instead(name, known)
    )


def _named_instead(name: str, known: Sequence[str]) -> str:
    if not known:
        return "leave startAt out: the recipe has no loops"
    near = [*_around(name, known), *difflib.get_close_matches(name, known, n=1)]
    if near:
        return f"did you mean {near[0]}?"
    more = " and others" if len(known) > NAMES_SHOWN_MAX else ""
    return f"its loops are {', '.join(known[:NAMES_SHOWN_MAX])}{more}"


def _around(name: str, known: Sequence[str]) -> Iterator[str]:
    """Yield the innermost of the known loops that a step of this name lies in."""
    while "/" in name:
        name = name.rpartition("/")[0]
        if name in known:
            yield name


def _wrong_length(start: Start, outer: Sequence[Loop]) -> Violation:
    given = ", ".join(str(cycle) for cycle in start.outer_cycles)
    if not outer:
        rule, hint = f"loop {start.step} lies in no other loop", "leave outerCycles out"
    else:
        names = ", ".join(loop.name for loop in outer)
        rule = f"loop {start.step} lies in {names}, and each of them is in one of its cycles"
        example = ", ".join(str(loop.count) for loop in outer)
        hint = f"give {len(outer)}, outermost first, for the last of them outerCycles: [{example}]"
    return Violation(
        path="spec.startAt.outerCycles", value=f"[{given}]" if given else "", rule=rule, hint=hint
    )


def _no_cycle(place: Place, field: str) -> Violation:
    return Violation(
        path=f"spec.startAt.{field}",
        value=str(place.cycle),
        rule=f"loop {place.loop.name} has the cycles 1 to {place.loop.count} in this run",
        hint="choose one of them, or correct the inputs that say how many there are",
    )
