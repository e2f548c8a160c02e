"""From a program to the same one begun in a later cycle: what lies before is not done again, but what it left is restored.

Nobody knows what has become of the plant since the run that was cut short: its safe state may have turned off heat and gas. So the
new program begins with what the old one had left behind at that point, in the order of the recipe:

- the last `set` or `ramp` of each parameter and gas; a ramp is a ramp again, since its rate is there for a reason;
- each `waitFor`, unless later ones read all of its parameters: what the plant had to have reached, it has to reach again;
- for each exclusion group that is opened from there on the last purge that counts for it, at least as long as the group asks for.

Pulses, waits, prompts and all other purges are not repeated. What a loop did before is taken from one iteration of it: the earlier
ones have left nothing else. Then the loops go on in the middle: an outer one stands there twice, first with the rest of its
present iteration, then with all others (`Loop.first`, `Loop.last`). The result is a program as any other, and whatever is proven,
estimated and checked of programs is proven, estimated and checked of it.
"""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from ald.errors import InvalidInputError
from ald.plant.model import Plant
from ald.program import together
from ald.program.estimate import estimate, size_violations
from ald.program.model import (
    EndLoop,
    Instruction,
    Leaf,
    Loop,
    Program,
    Pulse,
    Purge,
    Ramp,
    Set,
    Together,
    WaitFor,
)
from ald.program.start_place import Place, Start, places
from ald.program.verify import counts, verify

RESTORE_MARK = "restore: "
"""Before the names of the steps that restore; no name in a recipe holds a colon."""


def start_at(program: Program, start: Start, plant: Plant) -> Program:
    """Return `program`, which was compiled against `plant`, begun at `start`.

    Raises:
        InvalidInputError: it has no such loop or cycle, with paths of the run (`spec.startAt.cycle`); or it is too long.
    """
    around = places(program, start)
    return begun_in(program, around, around[-1].index + 1, plant)


def begun_in(program: Program, around: Sequence[Place], index: int, plant: Plant) -> Program:
    """Return `program`, which was compiled against `plant`, begun at instruction `index` in the iterations of the loops `around` it.

    `index` may be the end of the innermost of them, or the beginning of the cleanup: then nothing of that is left to do.

    Raises:
        InvalidInputError: it is too long.
    """
    instructions = program.instructions
    around, index = _position(around, index)
    way = _way(instructions, around, index)
    ahead = instructions[around[0].index if around else index : program.cleanup]
    purges = _purges(way, ahead, plant)
    layout = _Layout(instructions)
    layout.made += _restored(way, _lasting(way), {})
    layout.made += _restored(way, purges.keys(), purges)
    layout.go_on(around, index, program.cleanup)
    cleanup = len(layout.made)
    layout.copy(program.cleanup, len(instructions))
    made = tuple(layout.made)
    found, proof = estimate(made, plant), verify(made, cleanup, plant)
    violations = (*size_violations(made, found), *proof.violations)
    if violations:
        raise InvalidInputError(violations)
    return msgspec.structs.replace(
        program,
        instructions=made,
        cleanup=cleanup,
        estimate=found,
        separations=proof.separations,
    )


class _Layout:
    """Instructions taken over one after another, their marks pointing to where they lie now."""

    def __init__(self, instructions: Sequence[Instruction]) -> None:
        self.made: list[Instruction] = []
        self._from = instructions

    def copy(self, begin: int, behind: int) -> None:
        """Take over a stretch with all of each loop in it."""
        moved = len(self.made) - begin
        for each in self._from[begin:behind]:
            match each:
                case Loop():
                    self.made.append(msgspec.structs.replace(each, end=each.end + moved))
                case EndLoop():
                    self.made.append(EndLoop(begin=each.begin + moved))
                case _:
                    self.made.append(each)

    def go_on(self, around: Sequence[Place], index: int, behind: int) -> None:
        """Take over what is left of a stretch, begun at `index` in the middle of the loops in it."""
        if not around:
            self.copy(index, behind)
            return
        place = around[0]
        if index == place.index + 1:
            self._loop(around, index, place.cycle, None)
        else:
            self._loop(around, index, place.cycle, place.cycle)
            if place.cycle < place.loop.count:
                self._loop(around[:1], place.index + 1, place.cycle + 1, None)
        self.copy(place.loop.end + 1, behind)

    def _loop(self, around: Sequence[Place], index: int, first: int, last: int | None) -> None:
        """Take over a loop from one iteration to another, the last one for None; its body from `index` on."""
        place, *inner = around
        begin = len(self.made)
        self.made.append(place.loop)
        self.go_on(inner, index, place.loop.end)
        last = None if last == place.loop.count else last
        self.made[begin] = msgspec.structs.replace(
            place.loop, end=len(self.made), first=first, last=last
        )
        self.made.append(EndLoop(begin=begin))


def _position(around: Sequence[Place], index: int) -> tuple[tuple[Place, ...], int]:
    """Return the same position, told by what comes next: behind the end of an iteration begins the next one, or what follows the loop."""
    around = tuple(around)
    while around and index == around[-1].loop.end:
        *outer, place = around
        if place.cycle < place.loop.count:
            place = msgspec.structs.replace(place, cycle=place.cycle + 1)
            return (*outer, place), place.index + 1
        around, index = tuple(outer), place.loop.end + 1
    return around, index


def _way(
    instructions: Sequence[Instruction], around: Sequence[Place], index: int
) -> list[Instruction]:
    """Return what has been done before the position: all once, of a loop that is in a later iteration the one before."""
    way: list[Instruction] = []
    begin = 0
    for place in around:
        way += instructions[begin : place.index]
        begin = place.index + 1
        if place.cycle > 1:
            way += instructions[begin : place.loop.end]
    way += instructions[begin:index]
    return [each for each in way if not isinstance(each, Loop | EndLoop)]


def _lasting(way: Sequence[Instruction]) -> Collection[int]:
    """Return where on the way those steps are that have to be done again for what they left."""
    found: set[int] = set()
    written: set[str] = set()
    read: set[str] = set()
    for at, each in reversed([*enumerate(way)]):
        match each:
            case Set() | Ramp():
                target = each.parameter or each.gas or ""
                if target not in written:
                    found.add(at)
                written.add(target)
            case WaitFor():
                if not read.issuperset(each.reads):
                    found.add(at)
                read.update(each.reads)
            case _:
                pass
    return found


def _purges(
    way: Sequence[Instruction], ahead: Sequence[Instruction], plant: Plant
) -> dict[int, int]:
    """Return where on the way the purges are that have to be done again, with the least time that each has to last.

    A group that has none on the way has enough of them ahead, before its first opening: so it has been proven of the whole.
    """
    opened = {each.valve for each in ahead if isinstance(each, Pulse)}
    found: dict[int, int] = {}
    for group in plant.groups:
        if opened.isdisjoint(group.valves):
            continue
        for at, each in reversed([*enumerate(way)]):
            if isinstance(each, Purge) and counts(each, group):
                found[at] = max(found.get(at, each.duration_ns), group.minimum_purge_ns)
                break
    return found


def _restored(
    way: Sequence[Instruction], wanted: Collection[int], least_ns: Mapping[int, int]
) -> list[Instruction]:
    """Return the wanted steps of the way in its order, marked as restoring; what ran side by side does so again."""
    made: list[Instruction] = []
    at = 0
    while at < len(way):
        each = way[at]
        if isinstance(each, Together):
            branches = {
                name: [_marked(way, i, least_ns) for i in range(begin, behind) if i in wanted]
                for name, (begin, behind) in zip(each.names, together.spans(each, at), strict=True)
            }
            made += _side_by_side(
                each, {name: leaves for name, leaves in branches.items() if leaves}
            )
            at = together.end(each, at)
            continue
        if at in wanted:
            made.append(_marked(way, at, least_ns))
        at += 1
    return made


def _side_by_side(mark: Together, branches: Mapping[str, Sequence[Leaf]]) -> list[Instruction]:
    """Return the leaves of the branches, behind a mark where there are several."""
    leaves: list[Instruction] = [leaf for branch in branches.values() for leaf in branch]
    if len(branches) < 2:
        return leaves
    again = msgspec.structs.replace(
        mark,
        name=RESTORE_MARK + mark.name,
        names=tuple(branches),
        lengths=tuple(len(branch) for branch in branches.values()),
    )
    return [again, *leaves]


def _marked(way: Sequence[Instruction], at: int, least_ns: Mapping[int, int]) -> Leaf:
    """Return a leaf of the way as one that restores; a purge lasts at least its time in `least_ns`."""
    leaf = way[at]
    assert not isinstance(leaf, Loop | EndLoop | Together), "marks do nothing that lasts"
    name = RESTORE_MARK + leaf.name
    if isinstance(leaf, Purge):
        duration_ns = max(leaf.duration_ns, least_ns.get(at, 0))
        return msgspec.structs.replace(leaf, name=name, duration_ns=duration_ns)
    return msgspec.structs.replace(leaf, name=name)
