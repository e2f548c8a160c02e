"""Waiting until a descriptor is ready: asleep, but on the spot while an answer is about to come."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ald.kit.clock import Clock


def wait(
    reading: list[int], writing: list[int], until_ns: int, poll_until_ns: int, clock: Clock
) -> tuple[list[int], list[int]]:
    """Return which descriptors can be read and which written, both empty at `until_ns`.

    Before `poll_until_ns` nothing sleeps: other processes get the processor only where the kernel gives it to them.
    """
    while (now_ns := clock.monotonic_ns()) < poll_until_ns and now_ns < until_ns:
        came, takes, _ = select.select(reading, writing, [], 0)
        if came or takes:
            return came, takes
    came, takes, _ = select.select(reading, writing, [], max(0, until_ns - now_ns) / 1e9)
    return came, takes
