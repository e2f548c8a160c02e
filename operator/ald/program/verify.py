"""The proof of exclusion and minimum purge: on the program as it stands, loops with their wrap-around, from the worst case.

What is proven for each exclusion group, for a program of pulses and purges that run one after another:

- before each opening, either the group's last opened valve is the same one, or purges that count sum up to at least the
  group's minimum since the group's last opening. A purge counts when its gas is one of the group's and its flow reaches the
  group's; other steps, and openings of valves outside the group, change neither.
- at the start and at the start of the cleanup the group counts as exposed by an unknown valve with nothing purged, so the
  first opening there needs the minimum in any case. The cleanup may follow any step, failed half way, so nothing before it
  is counted.
- each opening is of a valve that exists and is no longer than that valve's maximum.

Two valves of a group are never open together: a `Pulse` is the only instruction that opens a valve, it closes it before the
next instruction is due, and instructions run one at a time; branches of a `together` run side by side, but a group is touched
by one branch only (`ald.program.together`), so that for each group the program is that branch in its place.

How: for one group a stretch of instructions is a `_Span`: what is purged before its first opening, that opening, the last
valve, and what is purged after it. Spans join by one comparison, and a loop is its body joined to itself: the seam between
two iterations is the same every time, so that it is looked at once however large the count. The cost is linear in the length
of the program.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from ald.errors import Violation
from ald.plant.model import ExclusionGroup, Gas, Parameter, Plant, Valve
from ald.program.model import EndLoop, Instruction, Loop, Pulse, Purge, Separation
from ald.program.together import shared
from ald.units import format_duration


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What the proof found; the program may run only where `violations` is empty."""

    violations: tuple[Violation, ...]
    separations: tuple[Separation, ...]


class _Opening(msgspec.Struct, frozen=True):
    valve: str
    path: str


class _Span(msgspec.Struct, frozen=True):
    """A stretch of instructions, for one group. Without openings `head_ns` is all that it purges and `tail_ns` is 0."""

    head_ns: int
    first: _Opening | None = None
    last: _Opening | None = None
    tail_ns: int = 0


_NOTHING = _Span(0)


def verify(instructions: Sequence[Instruction], cleanup: int, plant: Plant) -> Proof:
    """Prove the rules above for `instructions`, of which those from index `cleanup` on are the cleanup."""
    violations = [*_opening_violations(instructions, plant), *shared(instructions, plant)]
    separations = []
    unproven: list[Violation] = []
    for group in plant.groups:
        judge = _Judge(group, gas_unit(group, plant))
        steps, after = instructions[:cleanup], instructions[cleanup:]
        judge.enter(judge.span(steps))
        opened = {each.valve for each in steps if isinstance(each, Pulse)}
        judge.enter(judge.span(after), opened.intersection(group.valves))
        unproven += judge.violations
        separations.append(judge.separation)
    order = {each.path: at for at, each in enumerate(instructions) if isinstance(each, Pulse)}
    violations += sorted(unproven, key=lambda violation: order[violation.path])
    return Proof(violations=tuple(violations), separations=tuple(separations))


def counts(purge: Purge, group: ExclusionGroup) -> bool:
    """Tell whether a purge counts for a group, by its gas and its flow."""
    return purge.gas in group.purge_gases and purge.flow >= group.minimum_flow


class _Judge:
    """Joins spans of one group and notes what each seam shows."""

    def __init__(self, group: ExclusionGroup, unit: str) -> None:
        self._group = group
        self._unit = unit
        self._valves = frozenset(group.valves)
        self._found: dict[str, tuple[int, Violation]] = {}
        self.separation = Separation(group=group.name, smallest_purge_ns=None, path="")

    @property
    def violations(self) -> tuple[Violation, ...]:
        """One for each opening that is not proven."""
        return tuple(violation for _, violation in self._found.values())

    def enter(self, span: _Span, opened: Collection[str] = ()) -> None:
        """Judge the first opening after a start at which the group's last valve is unknown: any of those `opened` before it."""
        if span.first is None:
            return
        if any(valve != span.first.valve for valve in opened):
            self._separate(span.head_ns, span.first)
        if span.head_ns < self._group.minimum_purge_ns:
            before = "nobody knows which of its valves was open last"
            self._note(span.first, span.head_ns, before)

    def span(self, instructions: Sequence[Instruction]) -> _Span:
        """Return the span of instructions whose loops are complete."""
        present = _NOTHING
        outer: list[tuple[_Span, Loop]] = []
        for each in instructions:
            if isinstance(each, Loop):
                outer.append((present, each))
                present = _NOTHING
            elif isinstance(each, EndLoop):
                before, loop = outer.pop()
                present = self._join(before, self._repeat(present, loop))
            else:
                present = self._leaf(present, each)
        assert not outer, "every loop has its end"
        return present

    def _leaf(self, present: _Span, each: Instruction) -> _Span:
        if isinstance(each, Pulse) and each.valve in self._valves:
            opening = _Opening(each.valve, each.path)
            return self._join(present, _Span(0, opening, opening))
        if isinstance(each, Purge) and counts(each, self._group):
            return self._join(present, _Span(each.duration_ns))
        return present

    def _repeat(self, body: _Span, loop: Loop) -> _Span:
        if body.first is None:
            return _Span(body.head_ns * loop.times)
        if loop.times > 1:
            self._join(body, body, f", in the next iteration of {loop.name}")
        return body

    def _join(self, left: _Span, right: _Span, where: str = "") -> _Span:
        if left.first is None or left.last is None:
            return msgspec.structs.replace(right, head_ns=left.head_ns + right.head_ns)
        if right.first is None:
            return msgspec.structs.replace(left, tail_ns=left.tail_ns + right.head_ns)
        if left.last.valve != right.first.valve:
            purged_ns = left.tail_ns + right.head_ns
            self._separate(purged_ns, right.first)
            if purged_ns < self._group.minimum_purge_ns:
                self._note(right.first, purged_ns, f"it follows valve {left.last.valve}{where}")
        return _Span(left.head_ns, left.first, right.last, right.tail_ns)

    def _separate(self, purged_ns: int, opening: _Opening) -> None:
        smallest = self.separation.smallest_purge_ns
        if smallest is None or purged_ns < smallest:
            self.separation = Separation(
                group=self._group.name, smallest_purge_ns=purged_ns, path=opening.path
            )

    def _note(self, opening: _Opening, purged_ns: int, why: str) -> None:
        """Keep the worst seam of each opening: the purge that it asks for cures the others as well."""
        if opening.path in self._found and self._found[opening.path][0] <= purged_ns:
            return
        group = self._group
        needed, missing = (
            format_duration(ns)
            for ns in (group.minimum_purge_ns, group.minimum_purge_ns - purged_ns)
        )
        flow = f"{group.minimum_flow:g} {self._unit}".rstrip()
        found = f"only {format_duration(purged_ns)} count" if purged_ns else "none counts"
        violation = Violation(
            path=opening.path,
            value=f"valve {opening.valve}",
            rule=f"exclusion group {group.name} needs {needed} of purge before this opening, since {why}; {found}",
            hint=f"add a purge of {' or '.join(group.purge_gases)} of at least {missing} with flow >= {flow}"
            " before this step",
        )
        self._found[opening.path] = (purged_ns, violation)


def _opening_violations(instructions: Sequence[Instruction], plant: Plant) -> Iterator[Violation]:
    valves: Mapping[str, Valve] = {valve.name: valve for valve in plant.valves}
    for each in instructions:
        if not isinstance(each, Pulse):
            continue
        valve = valves.get(each.valve)
        if valve is None:
            yield Violation(
                path=f"{each.path}.valve.valve",
                value=each.valve,
                rule="there is no valve of this name",
                hint="correct the name, or add the valve to the machine",
            )
        elif not 0 < each.open_ns <= valve.max_open_ns:
            yield Violation(
                path=f"{each.path}.valve.open",
                value=format_duration(each.open_ns),
                rule=f"valve {valve.name} opens for more than 0s and at most {format_duration(valve.max_open_ns)}",
                hint="choose a time in that range",
            )


def gas_unit(group: ExclusionGroup, plant: Plant) -> str:
    """Return the unit in which the flows of a group are given."""
    gases: Mapping[str, Gas] = {gas.name: gas for gas in plant.gases}
    parameters: Mapping[str, Parameter] = {p.name: p for p in plant.parameters}
    return parameters[gases[group.purge_gases[0]].setpoint].unit
