"""Whether the driver still turns: a time stamp that its loop renews, and that the liveness probe reads.

The stamp is CLOCK_MONOTONIC, one for all containers of a host: a step of the wall clock is no sign of death.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

STUCK_NS = 5_000_000_000
"""A driver that has not turned for this long is dead, whatever its process says."""


def stamp(path: Path, now_ns: int) -> None:
    """Say that the driver turned at `now_ns`."""
    # In place: the probe finds either stamp, and twenty digits are written by one call.
    with path.open("wb", buffering=0) as file:
        file.write(b"%020d\n" % now_ns)


def is_turning(path: Path, now_ns: int) -> bool:
    """Tell whether the driver has turned lately."""
    try:
        stamped_ns = int(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return 0 <= now_ns - stamped_ns < STUCK_NS
