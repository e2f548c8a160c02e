"""What the status of a Machine says, and whether its gateway needs the configuration. Pure."""

from __future__ import annotations

import msgspec

from ald.controller.apply import Document
from ald.controller.conditions import Fact, bounded, conditions, listed, rfc3339
from ald.controller.drain import PATIENCE_S, SILENT_PATIENCE_S
from ald.controller.history import history_current, stalled
from ald.controller.readiness import ready_for_run
from ald.controller.real_time import real_time
from ald.controller.views import BUSY, Situation
from ald.controller.world import generation, is_deleting
from ald.plant.model import Mode, Plant
from ald.records.event import MachineState
from ald.wire import DriverStatus

VOLATILE = frozenset({"lastScan"})
"""Fields of the status that change with every scan and matter to nobody at once."""

NO_WATCHDOG = (
    "Runs are refused without a heartbeat, with which the PLC notices that the gateway is gone:"
    " declare spec.heartbeat, or set spec.allowWithoutWatchdog: true."
)
FOREIGN_MASTER = (
    "Runs are refused while somebody else writes the heartbeat register: another gateway, or a program on the PLC."
    " Find it and stop it."
)
_STATES = {MachineState.COMPLETING: "Execute"}
"""The cleanup steps are a part of executing, for people."""


class MachineDecision(msgspec.Struct, frozen=True, kw_only=True):
    """The status as it should be, and whether to hand the plant to the gateway now."""

    status: Document
    push: bool


def decide_machine(situation: Situation, *, now: str) -> MachineDecision:
    """Return what to do about one machine; `now` is an RFC 3339 time. The Machine exists."""
    machine = situation.machine
    assert machine is not None, "only a Machine that exists has a status"
    old = machine.get("status", {})
    facts = (
        _ready(situation),
        _configured(situation),
        _update(situation),
        _connected(situation),
        _watchdog(situation),
        _interlocked(situation),
        real_time(situation.reach.driver),
        ready_for_run(situation.reach.driver),
        history_current(situation.reach.history),
    )
    status: Document = {
        "observedGeneration": generation(machine),
        "state": old.get("state", MachineState.STOPPED.value),
        "message": bounded(_summary(situation, facts[0])),
        "conditions": conditions(
            facts, old.get("conditions", []), now=now, generation=generation(machine)
        ),
    }
    driver = situation.reach.driver
    if driver is not None:
        status |= _from_driver(driver)
    active = situation.reach.active_run
    if active is not None:
        status["currentRun"] = active.run.name
    return MachineDecision(status=status, push=needs_push(situation))


def needs_push(situation: Situation) -> bool:
    """Return whether the gateway should be given the plant: it answers, works from another, and is not busy."""
    driver = situation.reach.driver
    return (
        driver is not None
        and situation.plant is not None
        and not situation.is_current
        and driver.state not in BUSY
        and situation.reach.active_run is None
    )


def _from_driver(driver: DriverStatus) -> Document:
    status: Document = {
        "state": _STATES.get(driver.state, driver.state.value),
        "gateway": {"session": driver.session, "plantDigest": driver.plant_digest},
        "link": {"connected": driver.link.connected},
    }
    if driver.link.since_wall_ns:
        status["link"]["since"] = rfc3339(driver.link.since_wall_ns)
    if driver.link.worst_valve_wait_ns:
        status["link"]["worstValveWait"] = driver.link.worst_valve_wait_ns / 1e9
    if driver.scan.wall_ns:
        status["lastScan"] = {
            "sequence": driver.scan.sequence,
            "time": rfc3339(driver.scan.wall_ns),
            "late": driver.scan.late,
        }
    return status


def _summary(situation: Situation, ready: Fact) -> str:
    """Return what the status board says: what the machine is up to, and whether that is being kept."""
    return " ".join(filter(None, (ready.message, stalled(situation.reach.history))))


def _ready(situation: Situation) -> Fact:
    for status, reason, message in _obstacles(situation):
        if reason:
            return Fact(type="Ready", status=status, reason=reason, message=message)
    if situation.plant is not None and situation.plant.mode is Mode.OBSERVE:
        message = (
            "Scanning. Mode is Observe: nothing is written; set spec.mode: Control to run recipes."
        )
        return Fact(type="Ready", status="True", reason="Observing", message=message)
    active = situation.reach.active_run
    message = f"Running {active.run.name}." if active else "Ready for a run."
    if active is not None and active.held:
        message = f"Run {active.run.name} is held: {_sentence(active.held)}"
    return Fact(type="Ready", status="True", reason="Ready", message=message)


def _obstacles(situation: Situation) -> list[tuple[str, str, str]]:
    """What may keep a machine from being ready, the most telling first; entries without a reason do not apply."""
    reach, driver = situation.reach, situation.reach.driver
    deleting = situation.machine is not None and is_deleting(situation.machine)
    found = [
        ("False", "Terminating" if deleting else "", _terminating(situation)),
        (
            "False",
            "InvalidSpec" if situation.violations else "",
            f"Correct the spec: {listed(situation.violations)}",
        ),
    ]
    if reach.status is None:
        unknown = reach.reason == "Pending"
        return [*found, ("Unknown" if unknown else "False", reach.reason, _sentence(reach.message))]
    waiting = reach.status.waiting_for
    found.append(
        (
            "False",
            "WaitingForPredecessor" if waiting else "",
            f"The gateway waits until {waiting} has let go of the PLC.",
        )
    )
    if driver is None:
        return [*found, ("False", "GatewayStarting", "The gateway's driver does not answer yet.")]
    problem = "" if reach.status.journal_ok else "RecordingFailed"
    observes = situation.plant is not None and situation.plant.mode is Mode.OBSERVE
    return [
        *found,
        ("False", "Aborted" if driver.state is MachineState.ABORTED else "", _aborted(driver)),
        (
            "False",
            "" if driver.link.connected else "Disconnected",
            f"No connection to the PLC: {driver.link.message or 'not connected yet'}.",
        ),
        ("False", problem, f"The journal cannot be written: {reach.status.journal_message}."),
        (
            "False",
            "" if situation.is_current or reach.active_run else "Pending",
            _sentence(situation.push_problem or "the configuration is on its way to the gateway"),
        ),
        ("False", "Interlocked" if driver.interlocks.tripped else "", interlocks(driver)),
        ("False", "NoHeartbeat" if lacks_watchdog(situation.plant) else "", NO_WATCHDOG),
        (
            "False",
            "Stopped" if driver.state is MachineState.STOPPED and not observes else "",
            _sentence(driver.message or "the machine is stopped"),
        ),
    ]


def lacks_watchdog(plant: Plant | None) -> bool:
    """Return whether a plant has no heartbeat and does not say that runs may do without."""
    return (
        plant is not None
        and plant.mode is Mode.CONTROL
        and plant.heartbeat is None
        and not plant.allow_without_watchdog
    )


def _configured(situation: Situation) -> Fact:
    driver, active = situation.reach.driver, situation.reach.active_run
    if situation.violations:
        status, reason, message = "False", "InvalidSpec", listed(situation.violations, 10)
    elif driver is None:
        status, reason, message = "Unknown", "Pending", "Waits for the gateway."
    elif not situation.is_current and (active is not None or driver.state in BUSY):
        what = f"run {active.run.name} has ended" if active else "the machine is idle"
        status, reason, message = "False", "WaitingForRun", f"Taken over when {what}."
    elif not situation.is_current:
        status, reason = "False", "Pending"
        message = _sentence(situation.push_problem or "being handed to the gateway")
    else:
        status, reason, message = "True", "Accepted", "The gateway works from this spec."
    return Fact(type="Configured", status=status, reason=reason, message=message)


def _update(situation: Situation) -> Fact:
    """Whether the gateway itself is to be replaced: by an upgrade, or by other resources or storage."""
    active = situation.reach.active_run
    if not situation.template_waits:
        status, reason, message = "False", "UpToDate", "The gateway is of this operator's version."
    elif active is not None or situation.is_busy:
        status, reason = "True", "WaitingForRun"
        which = f"run {active.run.name}" if active is not None else "the run that it may have"
        message = f"A new version of the gateway waits for {which} to end."
    else:
        status, reason = "True", "Replacing"
        message = "A new version of the gateway takes over once the old one is gone."
    return Fact(type="UpdatePending", status=status, reason=reason, message=message)


def _terminating(situation: Situation) -> str:
    active = situation.reach.active_run
    if active is not None:
        return f"Being deleted; waits for run {active.run.name} to end."
    if situation.undrained is None:
        what, bound = "the gateway says what it has recorded", f"for {SILENT_PATIENCE_S:.0f} s"
    else:
        what = f"{situation.undrained} records are in the history"
        bound = f"for {PATIENCE_S:.0f} s without progress"
    return f"Being deleted; waits until {what}, at most {bound}."


def _connected(situation: Situation) -> Fact:
    driver = situation.reach.driver
    if driver is None:
        reason = situation.reach.reason if situation.reach.status is None else "GatewayStarting"
        message = "Not known while the gateway does not answer."
        return Fact(type="Connected", status="Unknown", reason=reason, message=message)
    if driver.link.connected:
        refusals = driver.scan.refusals
        message = f"The PLC answers, but refuses: {refusals}." if refusals else "The PLC answers."
        if driver.link.is_holding_back:
            message = (
                "The PLC is connected, but has failed at scans several times in a row: they are held back for up to a"
                " second at a time until it answers one. Heartbeat, valves and safe state are not."
            )
        return Fact(type="Connected", status="True", reason="Connected", message=message)
    message = f"No connection to the PLC: {driver.link.message or 'not connected yet'}."
    return Fact(type="Connected", status="False", reason="Disconnected", message=message)


def _watchdog(situation: Situation) -> Fact:
    plant, driver = situation.plant, situation.reach.driver
    if plant is None:
        status, reason = "Unknown", "InvalidSpec" if situation.violations else "Pending"
        message = "Not known without a valid spec."
    elif plant.heartbeat is None:
        status, reason = "False", "NoHeartbeat"
        message = (
            "No heartbeat register: the PLC does not notice when the gateway is gone."
            " Declare spec.heartbeat and let the PLC close its valves when it stops."
        )
    elif plant.mode is Mode.OBSERVE:
        status, reason = "False", "Observing"
        message = "Mode is Observe: no heartbeat is written."
    elif driver is None:
        status, reason, message = "Unknown", "Pending", "Not known while the gateway is away."
    elif driver.foreign_master:
        status, reason, message = "False", "ForeignMaster", FOREIGN_MASTER
    elif driver.watchdog:
        status, reason = "True", "HeartbeatConfigured"
        message = "The PLC takes the heartbeat. That it acts on it is the PLC program's duty."
    else:
        status, reason = "False", "Disconnected"
        message = "The last heartbeat was not acknowledged by the PLC."
    return Fact(type="PLCWatchdog", status=status, reason=reason, message=message)


def _interlocked(situation: Situation) -> Fact:
    driver = situation.reach.driver
    if driver is None:
        status, reason = "Unknown", "Pending"
        message = "Not known while the gateway is away."
    elif driver.interlocks.tripped:
        status, reason, message = "True", "Interlocked", interlocks(driver)
    elif not driver.interlocks.declared:
        status, reason, message = "False", "NoInterlocks", "The machine declares no interlock."
    elif not driver.link.connected:
        status, reason = "Unknown", "Disconnected"
        message = "Not known without a connection to the PLC."
    else:
        status, reason = "False", "InterlocksSatisfied"
        message = f"{driver.interlocks.declared} interlocks are satisfied."
    return Fact(type="Interlocked", status=status, reason=reason, message=message)


def interlocks(driver: DriverStatus) -> str:
    """Return which interlocks have tripped, the first one first, and why; empty for none."""
    found = driver.interlocks
    if not found.tripped:
        return ""
    named = f"{', '.join(found.tripped)}; first was {found.first_out}"
    return f"{_sentence(found.message)} Tripped: {named}."


def _aborted(driver: DriverStatus) -> str:
    why = driver.message.rstrip(".") or "aborted"
    return f"Aborted: {why}. Look at the machine, then apply a MachineAction with verb: Clear."


def _sentence(text: str) -> str:
    """Return a message with a capital letter and a full stop."""
    text = text.strip()
    if "://" in text.split(" ", 1)[0]:
        text = f"The gateway at {text}"
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
