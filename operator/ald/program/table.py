"""A program for people: one row a step, and how long the whole takes."""

from collections.abc import Mapping, Sequence
from typing import assert_never

import msgspec

from ald.plant.model import Plant
from ald.program.estimate import (
    Targets,
    branch_leaves,
    duration_ns,
    leaf_duration_ns,
    targets,
)
from ald.program.model import (
    EndLoop,
    Instruction,
    Leaf,
    Loop,
    Program,
    Prompt,
    Pulse,
    Purge,
    Ramp,
    Set,
    Together,
    Wait,
    WaitFor,
)
from ald.units import format_duration

CLEANUP_MARK = "cleanup: "
"""Before the names of cleanup steps, which may be the names of other steps as well."""

DETAIL_LENGTH_MAX = 200
"""Characters in `Row.detail`; a long condition is cut."""

_SECOND_NS = 1_000_000_000


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One step, or one loop before the steps in it.

    Attributes:
        name: with its loops, `deposit/tma`.
        kind: the word of the recipe: set, ramp, waitFor, purge, wait, valve, prompt, loop, together.
        detail: what it does, in plain words and with resolved quantities.
        count: how often it runs, the loops around it multiplied out.
        duration: of one execution, `40ms`, or `10s..30m`; of a loop all its iterations.
    """

    name: str
    kind: str
    detail: str
    count: int
    duration: str


def step_table(program: Program, plant: Plant) -> tuple[Row, ...]:
    """Return the steps of `program`, compiled against `plant`, in order."""
    known = targets(plant)
    spans = _loop_durations_ns(program.instructions, known)
    rows = []
    repeats = 1
    counts: list[int] = []
    for index, each in enumerate(program.instructions):
        if isinstance(each, EndLoop):
            repeats //= counts.pop()
            continue
        mark = CLEANUP_MARK if index >= program.cleanup else ""
        if isinstance(each, Loop):
            kind, detail = "loop", _iterations(each)
            duration = duration_text(*spans[index])
        elif isinstance(each, Together):
            kind, detail = "together", _cut(", ".join(each.names), DETAIL_LENGTH_MAX)
            duration = duration_text(*duration_ns(program.instructions, index, known))
        else:
            kind, detail = _words(each, known)
            duration = duration_text(*leaf_duration_ns(each, known))
        rows.append(
            Row(name=mark + each.name, kind=kind, detail=detail, count=repeats, duration=duration)
        )
        if isinstance(each, Loop):
            counts.append(each.times)
            repeats *= each.times
    return tuple(rows)


def duration_text(minimum_ns: int, maximum_ns: int) -> str:
    """Return `21m46s`, or `13m..45m` where the two differ; from a minute on in whole seconds."""
    low, high = _rounded(minimum_ns), _rounded(maximum_ns)
    return low if low == high else f"{low}..{high}"


def _rounded(duration_ns: int) -> str:
    if duration_ns >= 60 * _SECOND_NS:
        duration_ns = round(duration_ns / _SECOND_NS) * _SECOND_NS
    return format_duration(duration_ns) if duration_ns else "0s"


def _loop_durations_ns(
    instructions: Sequence[Instruction], known: Targets
) -> Mapping[int, tuple[int, int]]:
    """Return shortest and longest time of all iterations of each loop, by the index of its `Loop`."""
    found: dict[int, tuple[int, int]] = {}
    open_loops: list[int] = []
    sums = [(0, 0)]
    beside = branch_leaves(instructions)
    for index, each in enumerate(instructions):
        if index in beside:
            continue
        if isinstance(each, Loop):
            open_loops.append(index)
            sums.append((0, 0))
            continue
        if isinstance(each, EndLoop):
            low, high = sums.pop()
            begin = open_loops.pop()
            loop = instructions[begin]
            assert isinstance(loop, Loop), "an EndLoop closes a Loop"
            added = found[begin] = (low * loop.times, high * loop.times)
        else:
            added = duration_ns(instructions, index, known)
        sums[-1] = (sums[-1][0] + added[0], sums[-1][1] + added[1])
    return found


def _iterations(loop: Loop) -> str:
    """Return `100 times`, or which of them where the run does not begin with the first or does not get to the last."""
    if loop.times == loop.count:
        return f"{loop.count} times"
    if loop.times == 1:
        return f"cycle {loop.first} of {loop.count}"
    return f"cycles {loop.first} to {loop.final} of {loop.count}"


def _words(leaf: Leaf, known: Targets) -> tuple[str, str]:
    """Return the recipe's word for the step and what it does."""
    match leaf:
        case Pulse():
            return "valve", f"{leaf.valve} {format_duration(leaf.open_ns)}"
        case Purge():
            flow = _quantity(leaf.flow, leaf.gas, known)
            return "purge", f"{leaf.gas} {flow} for {format_duration(leaf.duration_ns)}"
        case Set():
            target = leaf.parameter or leaf.gas or ""
            return "set", f"{target} to {_quantity(leaf.value, target, known)}"
        case Ramp():
            target = leaf.parameter or leaf.gas or ""
            unit = known[target].unit
            per_minute = f"{leaf.per_second * 60:g} {unit}".rstrip()
            return "ramp", f"{target} to {_quantity(leaf.to, target, known)} at {per_minute}/min"
        case Wait():
            return "wait", format_duration(leaf.duration_ns)
        case WaitFor() | Prompt():
            return _awaited(leaf)
        case _:
            assert_never(leaf)


def _awaited(leaf: WaitFor | Prompt) -> tuple[str, str]:
    rest = f", at most {format_duration(leaf.timeout_ns)}"
    if isinstance(leaf, Prompt):
        return "prompt", _cut(leaf.message, DETAIL_LENGTH_MAX - len(rest)) + rest
    stable = f" for {format_duration(leaf.stable_ns)}" if leaf.stable_ns else ""
    rest = stable + rest
    return "waitFor", _cut(leaf.condition, DETAIL_LENGTH_MAX - len(rest)) + rest


def _quantity(value: float, target: str, known: Targets) -> str:
    return f"{value:g} {known[target].unit}".rstrip()


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
