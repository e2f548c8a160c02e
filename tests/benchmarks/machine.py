"""On what a benchmark ran: figures of two machines are never compared without it."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import msgspec

PACKAGES = ("msgspec", "numpy", "pymodbus")
BUSY_LOAD = 0.5
"""With a higher load average before it begins, a benchmark shares the machine with others."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The host, its software, and how busy it was before the first round."""

    processor: str
    processors: int
    memory_mib: int
    kernel: str
    python: str
    versions: dict[str, str]
    load: float

    @property
    def is_busy(self) -> bool:
        return self.load > BUSY_LOAD


def here() -> Machine:
    """Describe this machine now."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    versions["libmodbus"] = _libmodbus()
    return Machine(
        processor=_field(Path("/proc/cpuinfo"), "model name", platform.machine()),
        processors=os.cpu_count() or 0,
        memory_mib=int(_field(Path("/proc/meminfo"), "MemTotal", "0").split()[0]) // 1024,
        kernel=platform.release(),
        python=platform.python_version(),
        versions=versions,
        load=os.getloadavg()[0],
    )


def _field(path: Path, name: str, otherwise: str) -> str:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return otherwise


def _libmodbus() -> str:
    found = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "libmodbus-dev"],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "none"
