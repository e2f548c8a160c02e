"""This moment on both clocks of the host, read close together: the kernel stamps by the one, and everything else goes by the other."""

from ald.kit.clock import Clock
from ald.simulator.trace import Stamp

TRIES_MAX = 5
NEAR_NS = 5_000
"""Read within this time, the clocks show the same moment; a process that lost its turn in between tries again."""


def now(clock: Clock) -> Stamp:
    """Return it, as exactly as one of a few tries came out."""
    apart_ns, found = _both(clock)
    for _ in range(TRIES_MAX - 1):
        if apart_ns <= NEAR_NS:
            break
        again_ns, again = _both(clock)
        if again_ns < apart_ns:
            apart_ns, found = again_ns, again
    return found


def _both(clock: Clock) -> tuple[int, Stamp]:
    before_ns = clock.monotonic_ns()
    wall_ns = clock.wall_ns()
    apart_ns = clock.monotonic_ns() - before_ns
    return apart_ns, Stamp(before_ns + apart_ns // 2, wall_ns)
