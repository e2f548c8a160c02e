"""Whether the driver still turns: a time stamp that its loop renews, and that the liveness probe reads.

The stamp is CLOCK_MONOTONIC, one for all containers of a host: a step of the wall clock is no sign of death.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

STUCK_NS = 5_000_000_000
"""A driver that has not turned for this long is dead, whatever its process says."""


def stamp(path: Path, now_ns: int) -> None:
    """Say that the driver turned at `now_ns`, where that can be said: for want of a descriptor nobody has to die in mid-run."""
    # In place and without emptying the file: the probe finds either stamp, also on a volume that has no room left.
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o660)
        try:
            os.pwrite(descriptor, b"%020d\n" % now_ns, 0)
        finally:
            os.close(descriptor)


def is_turning(path: Path, now_ns: int) -> bool:
    """Tell whether the driver has turned lately."""
    try:
        stamped_ns = int(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    # A stamp may be newer than `now_ns`: the driver goes on turning between the look at the clock and that at the file.
    return abs(now_ns - stamped_ns) < STUCK_NS
