"""Which bits and registers belong to whom: no two owners on one address, and nobody writes what belongs to another.

Addresses are compared after merging the spaces that a PLC shares: with `sharedRegisters` an input register is the holding
register of the same number, with `sharedBits` a discrete input is the coil of the same number. A claim may be of one bit of
a register only: it meets whatever takes the whole register or the same bit, and not its neighbours.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from ald.errors import Violation
from ald.plant.model import Table

ADDRESS_MAX = 65535
"""Protocol addresses have 16 bits."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """`count` addresses of `table` from `first` on, used by `owner` (as people say it: `valve tma`).

    `path` is the object that says so (`spec.valves[0]`), `field` the field of it that holds the address.
    `parameter` is the parameter's name, empty for a valve or the heartbeat. `alias_of` names the parameter of which this one
    is declared the read-only twin. `exclusive` claims share their addresses with nobody, not even with readers. `bit`: of one
    register only this bit, 0 the least significant; None for all of it.
    """

    owner: str
    path: str
    field: str
    table: Table
    first: int
    count: int
    parameter: str = ""
    writable: bool = False
    alias_of: str | None = None
    exclusive: bool = False
    bit: int | None = None

    def meets(self, other: "Claim") -> bool:
        """Tell whether two claims on the same address have a bit of it in common."""
        return self.bit is None or other.bit is None or self.bit == other.bit


def violations(
    claims: Sequence[Claim], *, shared_registers: bool, shared_bits: bool
) -> Iterator[Violation]:
    """Yield each rule that the claims break: addresses outside the space, overlaps, aliases that are none."""
    for claim in claims:
        if claim.first + claim.count - 1 > ADDRESS_MAX:
            yield Violation(
                path=f"{claim.path}.{claim.field}",
                value=str(claim.first),
                rule=f"{claim.owner} takes {claim.count} registers and ends behind address {ADDRESS_MAX}",
                hint="choose a smaller address or type",
            )
    pairs = tuple(overlaps(claims, shared_registers=shared_registers, shared_bits=shared_bits))
    for earlier, later in pairs:
        found = _overlap_violation(earlier, later)
        if found is not None:
            yield found
    yield from _alias_violations(claims, pairs)


def overlaps(
    claims: Sequence[Claim], *, shared_registers: bool, shared_bits: bool
) -> Iterator[tuple[Claim, Claim]]:
    """Yield each pair of claims that have an address in common once, in the order of `claims`."""
    taken: defaultdict[tuple[Table, int], list[int]] = defaultdict(list)
    for index, claim in enumerate(claims):
        space = _space(claim.table, shared_registers=shared_registers, shared_bits=shared_bits)
        met: set[int] = set()
        for address in range(claim.first, claim.first + claim.count):
            here = taken[space, address]
            met.update(other for other in here if claims[other].meets(claim))
            here.append(index)
        for other in sorted(met):
            yield claims[other], claim


def _space(table: Table, *, shared_registers: bool, shared_bits: bool) -> Table:
    if table is Table.INPUT and shared_registers:
        return Table.HOLDING
    if table is Table.DISCRETE and shared_bits:
        return Table.COIL
    return table


def _overlap_violation(earlier: Claim, later: Claim) -> Violation | None:
    """Return what is wrong with two claims on one address, blaming the parameter where only one of them is."""
    blamed, owner = (
        (later, earlier) if later.parameter or not earlier.parameter else (earlier, later)
    )
    where = f"{blamed.path}.{blamed.field}"
    value = f"{blamed.table.value} {blamed.first}"
    value += "" if blamed.bit is None else f" bit {blamed.bit}"
    if not blamed.parameter or owner.exclusive:
        return Violation(
            path=where,
            value=value,
            rule=f"{blamed.owner} lies on the address of {owner.owner}",
            hint="give one of them an address of its own",
        )
    if not owner.parameter:
        if not blamed.writable:
            return None
        return Violation(
            path=where,
            value=value,
            rule=f"{blamed.owner} would write what belongs to {owner.owner}",
            hint="make it read-only (writable: false), or correct its address",
        )
    if _are_twins(earlier, later):
        return None
    return Violation(
        path=where,
        value=value,
        rule=f"{blamed.owner} overlaps {owner.owner}",
        hint=f"correct one address, or declare a read-only twin with aliasOf: {owner.parameter}",
    )


def _are_twins(earlier: Claim, later: Claim) -> bool:
    """True where one is declared the other's twin, or both are twins of a third."""
    return (
        later.alias_of == earlier.parameter
        or earlier.alias_of == later.parameter
        or (later.alias_of is not None and later.alias_of == earlier.alias_of)
    )


def _alias_violations(
    claims: Sequence[Claim], pairs: Sequence[tuple[Claim, Claim]]
) -> Iterator[Violation]:
    known = {claim.parameter: claim for claim in claims if claim.parameter}
    touching = {frozenset((a.parameter, b.parameter)) for a, b in pairs}
    for claim in claims:
        if claim.alias_of is None:
            continue
        target = known.get(claim.alias_of)
        rule, hint = "", "correct the name or leave aliasOf out"
        if target is None:
            rule = f"there is no parameter {claim.alias_of}"
        elif target is claim:
            rule = "a parameter is no twin of itself"
        elif target.alias_of is not None:
            rule = f"{claim.alias_of} is itself a twin of {target.alias_of}"
            hint = f"write aliasOf: {target.alias_of}"
        elif frozenset((claim.parameter, claim.alias_of)) not in touching:
            rule = f"{claim.owner} has no address in common with {claim.alias_of}"
        elif claim.writable:
            rule, hint = "a twin is read-only", "leave writable out here"
        if rule:
            yield Violation(
                path=f"{claim.path}.aliasOf", value=claim.alias_of, rule=rule, hint=hint
            )
