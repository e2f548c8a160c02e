"""From a program and how far it has come to the rest of it, for a run that its gateway's restart has cut short.

Nothing that may have happened is done again: the rest begins behind the cycle that was begun, or, outside all loops, with the step
that was begun, unless that opens a valve. What lies before is restored as `ald.program.start_at` does.
"""

from collections.abc import Sequence

from ald.errors import InvalidInputError, Violation
from ald.plant.model import Plant
from ald.program import together
from ald.program.model import EndLoop, Instruction, Loop, Program, Pulse, Together
from ald.program.start_at import begun_in
from ald.program.start_place import Place


def resumed(
    program: Program, step: str, iterations: Sequence[tuple[int, int]], plant: Plant
) -> Program:
    """Return the rest of `program`, which was compiled against `plant` and whose last step begun is `step`.

    Args:
        program: the whole, from the recipe's first step on.
        step: the last step begun that is not one of the cleanup (`deposit/tma`).
        iterations: (iteration, count) of each loop around it, outermost first.
        plant: the machine.

    Raises:
        InvalidInputError: it has no such step, or that is one that must not be done twice; or the rest is too long. Paths are
            the recipe's.
    """
    index, around = _begun(program, step)
    if [loop.count for _, loop in around] != [count for _, count in iterations]:
        raise InvalidInputError([_changed(step)])
    if not around:
        _refuse_pulse(program.instructions, index)
        return begun_in(program, (), index, plant)
    inside = tuple(
        Place(index=at, loop=loop, cycle=cycle)
        for (at, loop), (cycle, _) in zip(around, iterations, strict=True)
    )
    return begun_in(program, inside, inside[-1].loop.end, plant)


def _begun(program: Program, step: str) -> tuple[int, list[tuple[int, Loop]]]:
    """Return where the step lies, of one in a branch its `together`, and the loops around it, outermost first."""
    around: list[tuple[int, Loop]] = []
    mark = behind = -1
    for index, each in enumerate(program.instructions[: program.cleanup]):
        match each:
            case Loop():
                around.append((index, each))
            case EndLoop():
                around.pop()
            case Together():
                mark, behind = index, together.end(each, index)
                if each.name == step:
                    return index, around
            case _ if each.name == step:
                return mark if index < behind else index, around
            case _:
                pass
    raise InvalidInputError([_changed(step)])


def _refuse_pulse(instructions: Sequence[Instruction], index: int) -> None:
    begun = instructions[index]
    leaves = [begun]
    if isinstance(begun, Together):
        leaves = [*instructions[index + 1 : together.end(begun, index)]]
    for each in leaves:
        if isinstance(each, Pulse):
            raise InvalidInputError(
                [
                    Violation(
                        path=each.path,
                        value=each.name,
                        rule="a pulse outside all loops was begun: nobody knows whether to do it again",
                        hint="look at the wafer, then apply a new run",
                    )
                ]
            )


def _changed(step: str) -> Violation:
    return Violation(
        path="spec.steps",
        value=step[:100],
        rule="the program has no such step any more, or other loops around it",
        hint="apply a new run; its startAt says where to begin",
    )
