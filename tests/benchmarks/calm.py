"""Waiting for a host that leaves the processors to this machine: what it takes away shows only while they are wanted."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks import steal

PROBE_S = 0.5
"""All processors are kept busy for so long, and what the host took away meanwhile is looked at."""

PAUSE_S = 5.0
"""Wait after a probe that was not calm."""

PATIENCE_S = 600.0
"""Longest time that one benchmark spends waiting, over all its rounds."""

_BURN = (
    f"import time\nend = time.monotonic() + {PROBE_S}\nwhile time.monotonic() < end:\n    pass\n"
)


def busy() -> None:
    """Keep every processor busy for `PROBE_S`."""
    burners = [
        subprocess.Popen([sys.executable, "-S", "-c", _BURN]) for _ in range(os.cpu_count() or 1)
    ]
    for burner in burners:
        burner.wait()


class Calm:
    """Waits before each round, as long as there is patience left."""

    def __init__(
        self,
        share_max: float,
        *,
        ticks: Callable[[], steal.Ticks] = steal.read,
        busy: Callable[[], None] = busy,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._share_max = share_max
        self._ticks, self._busy, self._sleep = ticks, busy, sleep
        self._left_s = PATIENCE_S

    def wait(self) -> None:
        """Return as soon as the host is calm, or when the patience is at its end."""
        while self._left_s > 0:
            before = self._ticks()
            self._busy()
            if steal.share(before, self._ticks()) <= self._share_max:
                return
            self._sleep(PAUSE_S)
            self._left_s -= PROBE_S + PAUSE_S
