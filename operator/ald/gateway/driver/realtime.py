"""Real-time priority for the executor: asked for where the chart says so, and told as it was granted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ald.gateway.driver import kernel
from ald.plc.times import Times
from ald.standing import RealTime, RealTimeMode, RealTimeStatus

if TYPE_CHECKING:
    from collections.abc import Callable

PRIORITY = 50
"""Below the kernel's own threads that serve interrupts (50 and more by their own default), above everything else."""

ATTEMPTS: tuple[tuple[str, Callable[[], None]], ...] = (
    ("SCHED_FIFO", lambda: kernel.run_first(PRIORITY)),
    ("locked memory", kernel.lock_memory),
)


def obtain(
    wanted: RealTimeMode, attempts: tuple[tuple[str, Callable[[], None]], ...] = ATTEMPTS
) -> tuple[RealTime, str]:
    """Return what this thread was granted, and why it was not all."""
    if wanted is RealTimeMode.OFF:
        return RealTime.OFF, ""
    refused = []
    for what, ask in attempts:
        try:
            ask()
        except OSError as error:
            refused.append((what, error.strerror or str(error)))
    message = "; ".join(f"no {what}: {why}" for what, why in refused)
    # Priority is what counts; locked memory only rules out a page fault now and then.
    is_granted = attempts[0][0] not in (what for what, _ in refused)
    return (RealTime.GRANTED if is_granted else RealTime.REFUSED), message


class Jitter:
    """How late the loop wakes up from its sleeps: the last thousand, whatever the priority."""

    def __init__(self, granted: tuple[RealTime, str]) -> None:
        self._state, self._message = granted
        self._late = Times()

    def woke(self, late_ns: int) -> None:
        """Take in one sleep that ran its whole time."""
        self._late.add(max(0, late_ns))

    def status(self) -> RealTimeStatus:
        """Return it for the status."""
        return RealTimeStatus(
            state=self._state,
            message=self._message,
            wake_p99_ns=self._late.quantile_ns(0.99) or 0,
        )
