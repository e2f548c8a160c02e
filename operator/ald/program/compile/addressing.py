"""The addresses of a machine: who claims which, judged by `ald.plant.addresses`."""

from collections.abc import Iterator

from ald.api import machine as api
from ald.plant import addresses
from ald.plant.addresses import Claim
from ald.plant.model import DataType, Table
from ald.program.compile.findings import Findings


def check_addresses(spec: api.MachineSpec, findings: Findings) -> None:
    """Note each address outside the space, each overlap, and each alias that is none."""
    findings.extend(
        addresses.violations(
            tuple(claims(spec)),
            shared_registers=spec.plc.shared_registers,
            shared_bits=spec.plc.shared_bits,
        )
    )


def claims(spec: api.MachineSpec) -> Iterator[Claim]:
    """Yield what the valves, the heartbeat and the parameters claim, owners before those who may only read."""
    for index, valve in enumerate(spec.valves):
        yield Claim(
            owner=f"valve {valve.name}",
            path=f"spec.valves[{index}]",
            field="coil",
            table=Table.COIL,
            first=valve.coil,
            count=1,
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
        )
