"""Where a program goes next: loops with counters, never unrolled."""

from collections.abc import Sequence

from ald.engine.state import Counter
from ald.program import together
from ald.program.model import EndLoop, Instruction, Leaf, Loop, Program, Together


def seek(
    program: Program, index: int, counters: tuple[Counter, ...]
) -> tuple[int, tuple[Counter, ...]]:
    """Return the first leaf or `Together` from `index` on, and the loops around it, loop marks carried out.

    The index is that of a leaf, `program.cleanup` at the end of the steps, or the program's length at its very end. A program
    that `faults` accepts passes at most one mark for each level of nesting and sibling loop.
    """
    last = len(program.instructions)
    boundary = program.cleanup if index < program.cleanup else last
    while index < boundary:
        match program.instructions[index]:
            case Loop(first=first):
                counters = (*counters, Counter(loop=index, iteration=first))
                index += 1
            case EndLoop(begin=begin):
                index, counters = _repeat(program, begin, index, counters)
            case _:
                break
    return index, counters


def leaf_at(program: Program, index: int) -> Leaf | Together | None:
    """Return the leaf or the mark of the branches at `index`, None beyond the end."""
    if index >= len(program.instructions):
        return None
    found = program.instructions[index]
    assert not isinstance(found, Loop | EndLoop), "seek carries loop marks out"
    return found


def iterations(program: Program, counters: tuple[Counter, ...]) -> tuple[tuple[int, int], ...]:
    """Return (iteration, count) of each loop around, outermost first."""
    return tuple((c.iteration, _loop(program, c.loop).count) for c in counters)


def fault(program: Program) -> str:
    """Return what makes the program's marks unfit to run, in plain words; empty when they are sound."""
    for index, instruction in enumerate(program.instructions):
        problem = _mark_fault(program.instructions, index, instruction)
        if problem:
            return f"instruction {index}: {problem}"
    if not 0 <= program.cleanup <= len(program.instructions):
        return "the cleanup begins outside the program"
    return _nesting_fault(program)


def _repeat(
    program: Program, begin: int, index: int, counters: tuple[Counter, ...]
) -> tuple[int, tuple[Counter, ...]]:
    """Return where the mark at `index` leads: back to its loop's body, or on."""
    inner = counters[-1]
    assert inner.loop == begin, "loops nest"
    if inner.iteration < _loop(program, begin).final:
        return begin + 1, (*counters[:-1], Counter(loop=begin, iteration=inner.iteration + 1))
    return index + 1, counters[:-1]


def _loop(program: Program, index: int) -> Loop:
    found = program.instructions[index]
    assert isinstance(found, Loop), "a counter names a loop"
    return found


def _nesting_fault(program: Program) -> str:
    open_loops: list[int] = []
    for index, instruction in enumerate(program.instructions):
        if isinstance(instruction, Together) and index < program.cleanup < together.end(
            instruction, index
        ):
            return f"instruction {index}: a together of the steps ends before the cleanup"
        if index == program.cleanup and open_loops:
            return f"instruction {open_loops[-1]}: a loop of the steps ends before the cleanup"
        match instruction:
            case Loop():
                open_loops.append(index)
            case EndLoop(begin=begin) if open_loops.pop() != begin:
                return f"instruction {index}: loops nest, and this one ends inside another"
            case _:
                pass
    return ""


def _mark_fault(instructions: Sequence[Instruction], index: int, instruction: Instruction) -> str:
    match instruction:
        case Loop(end=end):
            if not 1 <= instruction.first <= instruction.final <= instruction.count:
                return "a loop runs at least once, and no iteration that it does not have"
            if not index + 1 < end < len(instructions):
                return "a loop holds at least one step and ends inside the program"
            closing = instructions[end]
            if not isinstance(closing, EndLoop) or closing.begin != index:
                return "a loop's end must point back to its beginning"
        case Together():
            return together.fault(instructions, index, instruction)
        case EndLoop(begin=begin):
            opening = instructions[begin] if 0 <= begin < index else None
            if not isinstance(opening, Loop) or opening.end != index:
                return "the end of a loop must match a beginning"
        case _:
            pass
    return ""
