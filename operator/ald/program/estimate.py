"""How much a program will do: leaves executed, time between two bounds, openings of each valve."""

from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

from ald.errors import Violation
from ald.plant.model import Parameter, Plant
from ald.program import together
from ald.program.model import (
    INSTRUCTIONS_MAX,
    LEAVES_EXECUTED_MAX,
    EndLoop,
    Estimate,
    Instruction,
    Leaf,
    Loop,
    Prompt,
    Pulse,
    Purge,
    Ramp,
    Set,
    Together,
    Wait,
    WaitFor,
)
from ald.units import DURATION_NS_MAX, format_duration

MAXIMUM_NS_MAX = 1 << 62
"""Upper bounds of a duration end here, 146 years: a recipe of many waits has a bound that nobody waits for."""

Targets = Mapping[str, Parameter]
"""What steps write: parameters by name, and by the name of a gas its set point. Only parameters have a dot in their names."""


def estimate(instructions: Sequence[Instruction], plant: Plant) -> Estimate:
    """Return what the program does when every step runs once its turn comes, the cleanup included.

    A `ramp` lasts from 0 to the time for the farther end of the parameter's range, a `waitFor` from how long its condition has
    to be stable to its timeout, a `prompt` from 0 to its timeout, a `together` as long as its longest branch; everything else
    lasts as long as it says, a `set` no time.
    """
    set_by = targets(plant)
    leaves = minimum_ns = maximum_ns = 0
    openings = dict.fromkeys((valve.name for valve in plant.valves), 0)
    repeats = 1
    counts: list[int] = []
    beside = branch_leaves(instructions)
    for index, each in enumerate(instructions):
        if isinstance(each, Loop):
            counts.append(each.times)
            repeats *= each.times
        elif isinstance(each, EndLoop):
            repeats //= counts.pop()
        else:
            leaves += 0 if isinstance(each, Together) else repeats
            if isinstance(each, Pulse):
                openings[each.valve] = openings.get(each.valve, 0) + repeats
            if index not in beside:
                low_ns, high_ns = duration_ns(instructions, index, set_by)
                minimum_ns += repeats * low_ns
                maximum_ns += repeats * high_ns
    return Estimate(
        leaves=leaves,
        minimum_ns=minimum_ns,
        maximum_ns=min(max(minimum_ns, maximum_ns), MAXIMUM_NS_MAX),
        openings=openings,
    )


def targets(plant: Plant) -> Targets:
    """Return every parameter by its own name and every gas's set point by the name of the gas."""
    parameters = {parameter.name: parameter for parameter in plant.parameters}
    return parameters | {gas.name: parameters[gas.setpoint] for gas in plant.gases}


def branch_leaves(instructions: Sequence[Instruction]) -> frozenset[int]:
    """Return the indices of all leaves that run beside others, and whose time is counted with their `Together`."""
    found: set[int] = set()
    for index, each in enumerate(instructions):
        if isinstance(each, Together):
            found.update(range(index + 1, together.end(each, index)))
    return frozenset(found)


def duration_ns(
    instructions: Sequence[Instruction], index: int, set_by: Targets
) -> tuple[int, int]:
    """Return the shortest and the longest time of the leaf or the whole `Together` at `index`."""
    each = instructions[index]
    assert not isinstance(each, Loop | EndLoop), "loops last as long as what is in them"
    if not isinstance(each, Together):
        return leaf_duration_ns(each, set_by)
    low_ns = high_ns = 0
    for begin, behind in together.spans(each, index):
        times = [duration_ns(instructions, inner, set_by) for inner in range(begin, behind)]
        low_ns = max(low_ns, sum(low for low, _ in times))
        high_ns = max(high_ns, sum(high for _, high in times))
    return low_ns, high_ns


def leaf_duration_ns(leaf: Leaf, set_by: Targets) -> tuple[int, int]:
    """Return the shortest and the longest time that one execution takes when it succeeds."""
    match leaf:
        case Pulse():
            return leaf.open_ns, leaf.open_ns
        case Purge() | Wait():
            return leaf.duration_ns, leaf.duration_ns
        case Set():
            return 0, 0
        case Ramp():
            return 0, _ramp_ns_max(leaf, set_by)
        case WaitFor():
            return leaf.stable_ns, leaf.timeout_ns
        case Prompt():
            return 0, leaf.timeout_ns
        case _:
            assert_never(leaf)


def _ramp_ns_max(ramp: Ramp, set_by: Targets) -> int:
    """Return how long the way from the farther end of the parameter's range takes."""
    parameter = set_by[ramp.parameter or ramp.gas or ""]
    ends = [end for end in (parameter.minimum, parameter.maximum) if end is not None]
    way = max((abs(ramp.to - end) for end in ends), default=0.0)
    # The quotient may be infinite, which no integer is.
    return round(min(way / ramp.per_second * 1e9, MAXIMUM_NS_MAX))


def size_violations(instructions: Sequence[Instruction], found: Estimate) -> Iterator[Violation]:
    """Yield each bound that a program exceeds."""
    for value, maximum, what in (
        (len(instructions), INSTRUCTIONS_MAX, "steps and loops written out"),
        (found.leaves, LEAVES_EXECUTED_MAX, "steps executed, loops multiplied out,"),
    ):
        if value > maximum:
            yield Violation(
                path="spec.steps",
                value=str(value),
                rule=f"{what} are at most {maximum}",
                hint="use loops for what repeats, and several runs for what is too long",
            )
    if found.minimum_ns > DURATION_NS_MAX:
        yield Violation(
            path="spec.steps",
            value=format_duration(found.minimum_ns),
            rule=f"a run lasts at most {format_duration(DURATION_NS_MAX)}",
            hint="split the work into shorter runs",
        )
