"""The condition RealTime of a Machine: what the host granted, and how late its gateway wakes up. Pure."""

from __future__ import annotations

from ald.controller.conditions import Fact
from ald.standing import RealTime
from ald.wire import DriverStatus

_STEP_NS = 125_000


def real_time(driver: DriverStatus | None) -> Fact:
    """Return the condition; its text moves only with large changes of the jitter."""
    told = driver.real_time if driver is not None else None
    if told is None:
        message = "Not known while the gateway's driver does not answer."
        return Fact(type="RealTime", status="Unknown", reason="Pending", message=message)
    jitter = f"99 of 100 wake-ups are at most {_rounded_ms(told.wake_p99_ns):g} ms late."
    if told.state is RealTime.GRANTED:
        but = f" But {told.message}." if told.message else ""
        message = f"Valve edges go before everything else on the host; {jitter}{but}"
        return Fact(type="RealTime", status="True", reason="Granted", message=message)
    if told.state is RealTime.REFUSED:
        message = (
            f"The host refuses real-time priority ({told.message}); runs go on without; {jitter}"
        )
        return Fact(type="RealTime", status="False", reason="Refused", message=message)
    message = f"Not asked for (chart value gateway.realTime is Off); {jitter}"
    return Fact(type="RealTime", status="False", reason="Off", message=message)


def _rounded_ms(ns: int) -> float:
    """Return the next larger power of two times an eighth of a millisecond."""
    step_ns = _STEP_NS
    while step_ns < ns:
        step_ns *= 2
    return step_ns / 1e6
