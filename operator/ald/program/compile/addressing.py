"""The addresses of a machine: who claims which, judged by `ald.plant.addresses`, and whether the PLC lets them be read."""

from collections.abc import Iterator

from ald.api import machine as api
from ald.api.plc import PLC
from ald.plant import addresses
from ald.plant.addresses import Claim
from ald.plant.model import DataType, Table
from ald.program.compile.findings import Findings


def check_addresses(spec: api.MachineSpec, findings: Findings) -> None:
    """Note each address outside the space, each overlap, each alias that is none, and each value that no request reads."""
    claimed = tuple(claims(spec))
    findings.extend(
        addresses.violations(
            claimed,
            shared_registers=spec.plc.shared_registers,
            shared_bits=spec.plc.shared_bits,
        )
    )
    for claim in claimed:
        _check_readable(claim, spec.plc, findings)


def _check_readable(claim: Claim, plc: PLC, findings: Findings) -> None:
    """A value is read in one request or not at all, so that none is ever torn. The heartbeat is only written."""
    if claim.exclusive:
        return
    path = f"{claim.path}.{claim.field}"
    if not claim.table.is_bits and claim.count > plc.limits.max_registers:
        findings.add(
            path,
            f"{claim.owner} takes {claim.count} registers, and {plc.limits.max_registers} are read at once",
            "raise spec.plc.limits.maxRegisters",
            value=claim.first,
        )
    shared = plc.shared_bits if claim.table.is_bits else plc.shared_registers
    ranges = [
        r
        for r in plc.readable
        if r.table == claim.table.value
        or (shared and Table(r.table).is_bits == claim.table.is_bits)
    ]
    last = claim.first + claim.count - 1
    if ranges and not any(r.first <= claim.first and last <= r.last for r in ranges):
        findings.add(
            path,
            f"{claim.owner} lies in none of the readable ranges",
            f"add a range of table {claim.table.value} to spec.plc.readable that holds it",
            value=claim.first,
        )


def claims(spec: api.MachineSpec) -> Iterator[Claim]:
    """Yield what the valves with their timers, the heartbeat and the parameters claim, owners before those who may only read."""
    for index, valve in enumerate(spec.valves):
        yield Claim(
            owner=f"valve {valve.name}",
            path=f"spec.valves[{index}]",
            field="coil",
            table=Table.COIL,
            first=valve.coil,
            count=1,
        )
        if valve.timed_pulse is not None:
            yield from _timed_pulse(
                valve.name, f"spec.valves[{index}].timedPulse", valve.timed_pulse
            )
    if spec.heartbeat is not None:
        yield Claim(
            owner="the heartbeat",
            path="spec.heartbeat",
            field="address",
            table=Table.HOLDING,
            first=spec.heartbeat.address,
            count=1,
            exclusive=True,
        )
    for index, parameter in enumerate(spec.parameters):
        table = Table(parameter.table)
        yield Claim(
            owner=f"parameter {parameter.name}",
            path=f"spec.parameters[{index}]",
            field="address",
            table=table,
            first=parameter.address,
            count=1 if table.is_bits else DataType(parameter.type).words,
            parameter=parameter.name,
            writable=parameter.writable,
            alias_of=parameter.alias_of,
            bit=parameter.bit,
        )


def _timed_pulse(valve: str, path: str, timed: api.TimedPulse) -> Iterator[Claim]:
    """Yield what the PLC's timer of one valve claims."""
    yield Claim(
        owner=f"the width of valve {valve}",
        path=f"{path}.duration",
        field="address",
        table=Table.HOLDING,
        first=timed.duration.address,
        count=DataType(timed.duration.type).words,
    )
    yield Claim(
        owner=f"the trigger of valve {valve}",
        path=path,
        field="trigger",
        table=Table.COIL,
        first=timed.trigger,
        count=1,
    )
    yield Claim(
        owner=f"the done bit of valve {valve}",
        path=f"{path}.done",
        field="address",
        table=Table(timed.done.table),
        first=timed.done.address,
        count=1,
    )
