"""The condition ReadyForRun of a Machine: what its spec wants to be true before a run starts. Pure."""

from __future__ import annotations

from ald.controller.conditions import Fact
from ald.wire import DriverStatus


def ready_for_run(driver: DriverStatus | None) -> Fact:
    """Return the condition; a run that is on needs it no more."""
    if driver is None:
        status, reason = "Unknown", "Pending"
        message = "Not known while the gateway is away."
    elif not driver.readiness.declared:
        status, reason = "True", "NoConditions"
        message = "The machine declares nothing that a run waits for."
    elif not driver.link.connected:
        status, reason = "Unknown", "Disconnected"
        message = "Not known without a connection to the PLC."
    elif driver.readiness.missing:
        status, reason, message = "False", "ConditionsNotMet", unready(driver)
    else:
        status, reason = "True", "ConditionsMet"
        message = f"{driver.readiness.declared} conditions are met."
    return Fact(type="ReadyForRun", status=status, reason=reason, message=message)


def unready(driver: DriverStatus) -> str:
    """Return what a run waits for, in plain words; empty for nothing."""
    found = driver.readiness
    return f"Not ready for a run: {found.message}." if found.missing else ""
