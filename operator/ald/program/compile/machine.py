"""From a Machine to a Plant, or to every rule that the Machine breaks."""

import msgspec

from ald.api import machine as api
from ald.api.meta import MACHINE_NAME_LENGTH_MAX
from ald.api.plc import PLC
from ald.plant.model import (
    AddressRange,
    DataType,
    Heartbeat,
    Identity,
    LinkSettings,
    Mode,
    Order,
    Parameter,
    Plant,
    Point,
    Table,
    TimedPulse,
    Valve,
)
from ald.program.compile import addressing, parameters, protection
from ald.program.compile.findings import Findings
from ald.program.compile.interlocks import compile_interlocks, compile_readiness
from ald.units import parse_duration_ns

HEARTBEAT_PERIODS_MIN = 2
"""The PLC waits for at least this many heartbeats, so that one late write does not close the valves."""


SCAN_GAP_PERIODS_MIN = 2
"""A scan takes a period to come, and may come a little late."""

SCAN_GAP_PERIODS = 3
SCAN_GAP_NS = 5_000_000_000
"""Without `maxScanGap` a machine counts as unseen after the longer of the two."""


def compile_machine(spec: api.MachineSpec, identity: Identity, generation: int) -> Plant:
    """Return the frozen plant of a machine's spec that the models of `ald.api` have accepted.

    Raises:
        InvalidInputError: with every broken rule, each with its path in the spec.
    """
    findings = Findings()
    _check_name(identity, findings)
    _check_link(spec, findings)
    by_name = parameters.compile_parameters(spec.parameters, findings)
    addressing.check_addresses(spec, findings)
    gases = protection.compile_gases(spec, by_name, findings)
    owned = {gas.setpoint for gas in gases}
    valves = tuple(_valve(valve) for valve in spec.valves)
    protection.check_valves(spec, findings)
    groups = protection.compile_groups(spec, gases, by_name, findings)
    safe_state = protection.compile_safe_state(spec, gases, by_name, findings)
    heartbeat = _heartbeat(spec.heartbeat, findings)
    max_scan_gap_ns = _max_scan_gap_ns(spec, findings)
    interlocks = compile_interlocks(spec.interlocks, by_name, owned, findings)
    readiness = compile_readiness(spec.readiness, by_name, owned, findings)
    findings.finish()
    return Plant(
        identity=identity,
        generation=generation,
        link=_link(spec.plc),
        scan_period_ns=_ns(spec.scan.period),
        max_hold_ns=_ns(spec.max_hold),
        max_scan_gap_ns=max_scan_gap_ns,
        mode=Mode(spec.mode),
        parameters=tuple(_to_owner(p) if p.name in owned else p for p in by_name.values()),
        valves=valves,
        gases=gases,
        groups=groups,
        unrestricted_valves=spec.unrestricted_valves,
        safe_state=safe_state,
        heartbeat=heartbeat,
        allow_without_watchdog=spec.allow_without_watchdog,
        interlocks=interlocks,
        readiness=readiness,
    )


def _valve(valve: api.Valve) -> Valve:
    return Valve(
        name=valve.name,
        number=valve.number,
        coil=valve.coil,
        max_open_ns=_ns(valve.maximum_open),
        timed=_timed(valve.timed_pulse) if valve.timed_pulse is not None else None,
    )


def _timed(timed: api.TimedPulse) -> TimedPulse:
    duration, done = timed.duration, timed.done
    return TimedPulse(
        duration=Point(
            table=Table.HOLDING,
            address=duration.address,
            type=DataType(duration.type),
            order=Order(duration.order),
        ),
        resolution_ns=_ns(duration.resolution),
        trigger=timed.trigger,
        done=Point(table=Table(done.table), address=done.address, type=DataType.BOOL),
    )


def _to_owner(parameter: Parameter) -> Parameter:
    """Take a gas's set point away from everybody but the gas."""
    return msgspec.structs.replace(parameter, writable=False)


def _check_name(identity: Identity, findings: Findings) -> None:
    if len(identity.name) > MACHINE_NAME_LENGTH_MAX:
        findings.add(
            "metadata.name",
            f"the name of a machine has at most {MACHINE_NAME_LENGTH_MAX} characters",
            "choose a shorter name; what belongs to the machine gets a longer one",
            value=identity.name,
        )
    # The API server takes it for a Machine, and not for the Service of its gateway.
    if "." in identity.name or identity.name[:1].isdigit():
        findings.add(
            "metadata.name",
            "the name of a machine begins with a letter and has no dot",
            "choose another name; the machine's Service is called after it",
            value=identity.name,
        )


def _check_link(spec: api.MachineSpec, findings: Findings) -> None:
    for index, each in enumerate(spec.plc.readable):
        if each.first > each.last:
            findings.add(
                f"spec.plc.readable[{index}]",
                "the range ends before it begins",
                "exchange first and last",
                value=f"{each.first} to {each.last}",
            )


def _link(plc: PLC) -> LinkSettings:
    return LinkSettings(
        host=plc.host,
        port=plc.port,
        unit=plc.unit,
        timeout_ns=_ns(plc.timeout),
        requests_in_flight=plc.requests_in_flight,
        max_registers=plc.limits.max_registers,
        max_bits=plc.limits.max_bits,
        max_gap=plc.limits.max_gap,
        shared_registers=plc.shared_registers,
        shared_bits=plc.shared_bits,
        readable=tuple(
            AddressRange(table=Table(r.table), first=r.first, last=r.last) for r in plc.readable
        ),
        cycle_ns=_ns(plc.cycle),
        write_spread_ns=_ns(plc.write_spread),
        pause_connect_ns=_ns(plc.pauses.after_connect),
        pause_request_ns=_ns(plc.pauses.between_requests),
    )


def _max_scan_gap_ns(spec: api.MachineSpec, findings: Findings) -> int:
    period_ns = _ns(spec.scan.period)
    if spec.max_scan_gap is None:
        return max(SCAN_GAP_NS, SCAN_GAP_PERIODS * period_ns)
    gap_ns = _ns(spec.max_scan_gap)
    if gap_ns < SCAN_GAP_PERIODS_MIN * period_ns:
        findings.add(
            "spec.maxScanGap",
            f"the gap is at least {SCAN_GAP_PERIODS_MIN} scan periods of {spec.scan.period}",
            "the next scan could not come in time: allow a longer gap, or scan more often",
            value=spec.max_scan_gap,
        )
    return gap_ns


def _heartbeat(heartbeat: api.Heartbeat | None, findings: Findings) -> Heartbeat | None:
    if heartbeat is None:
        return None
    period_ns, timeout_ns = _ns(heartbeat.period), _ns(heartbeat.timeout)
    if timeout_ns < HEARTBEAT_PERIODS_MIN * period_ns:
        findings.add(
            "spec.heartbeat.timeout",
            f"the timeout is at least {HEARTBEAT_PERIODS_MIN} periods of {heartbeat.period}",
            "one late heartbeat would close the valves: shorten the period or lengthen the timeout",
            value=heartbeat.timeout,
        )
    return Heartbeat(address=heartbeat.address, period_ns=period_ns, timeout_ns=timeout_ns)


def _ns(text: str) -> int:
    """Return a duration that the models have checked already."""
    return parse_duration_ns(text, "")
