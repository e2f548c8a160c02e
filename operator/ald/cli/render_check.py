"""A checked recipe for a person: steps, what is proven, openings. Pure."""

from __future__ import annotations

import msgspec
from rich.console import RenderableType

from ald.cli.render import columns
from ald.program.compile.inputs import Value
from ald.program.proof_table import ProofRow
from ald.program.table import Row


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe that the operator would accept for a machine; `leaves` are the steps with every loop multiplied out."""

    recipe: str
    machine: str
    leaves: int
    duration: str
    inputs: dict[str, Value]
    steps: tuple[Row, ...]
    proof: tuple[ProofRow, ...]
    openings: dict[str, int]


def checked_page(found: Checked) -> tuple[RenderableType, ...]:
    """Return what to print: one line, the step table, the proof, the openings."""
    given = ", ".join(f"{name}={value}" for name, value in found.inputs.items())
    head = f"{found.recipe} on {found.machine}: accepted, {found.leaves:,} steps, {found.duration}"
    steps = columns("", "step", "kind", "what", ">runs", "each takes")
    for row in found.steps:
        steps.add_row(row.name, row.kind, row.detail, f"{row.count:,}", row.duration)
    proof = columns(
        "Proven: of each group no two valves are open together, and between two of them is purged",
        "group", "valves", "at least", "smallest here", "before step",
    )  # fmt: skip
    for each in found.proof:
        proof.add_row(
            each.group,
            ", ".join(each.valves),
            each.required,
            each.smallest or "no two follow each other",
            each.before or "-",
        )
    opened = ", ".join(f"{valve} {count:,}" for valve, count in found.openings.items() if count)
    heading = (head, f"with {given}") if given else (head,)
    return (*heading, "", steps, "", proof, "", f"openings: {opened or 'none'}")
