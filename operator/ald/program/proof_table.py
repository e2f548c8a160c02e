"""The proof of a program for people: one row an exclusion group, what it asks for and the least that the program gives."""

import msgspec

from ald.plant.model import ExclusionGroup, Plant
from ald.program.model import EndLoop, Program
from ald.program.table import CLEANUP_MARK
from ald.program.verify import gas_unit
from ald.units import format_duration


class ProofRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was proven for one exclusion group.

    Attributes:
        group: its name.
        valves: of which no two are ever open together.
        required: the purge between two of them, `300ms of N2 >= 20 sccm`.
        smallest: the least counted purge between two of them in the whole program, `5s`; empty where no two follow each other.
        before: the step that this purge comes before, `deposit/water`; empty as `smallest` is.
    """

    group: str
    valves: tuple[str, ...]
    required: str
    smallest: str
    before: str


def proof_table(program: Program, plant: Plant) -> tuple[ProofRow, ...]:
    """Return a row for each exclusion group of `plant`, which `program` was compiled against."""
    found = {each.group: each for each in program.separations}
    names = {
        each.path: (CLEANUP_MARK if index >= program.cleanup else "") + each.name
        for index, each in enumerate(program.instructions)
        if not isinstance(each, EndLoop)
    }
    rows = []
    for group in plant.groups:
        separation = found[group.name]
        smallest_ns = separation.smallest_purge_ns
        rows.append(
            ProofRow(
                group=group.name,
                valves=group.valves,
                required=_required(group, plant),
                smallest="" if smallest_ns is None else format_duration(smallest_ns),
                before=names.get(separation.path, ""),
            )
        )
    return tuple(rows)


def _required(group: ExclusionGroup, plant: Plant) -> str:
    flow = f"{group.minimum_flow:g} {gas_unit(group, plant)}".rstrip()
    return (
        f"{format_duration(group.minimum_purge_ns)} of {' or '.join(group.purge_gases)} >= {flow}"
    )
