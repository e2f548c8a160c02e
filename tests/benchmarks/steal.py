"""How much of the processors the host took away from this virtual machine, from /proc/stat (proc(5))."""

from pathlib import Path

import msgspec

PROC_STAT = Path("/proc/stat")


class Ticks(msgspec.Struct, frozen=True):
    """Time of all processors together since the boot, in ticks. `steal`: the host ran something else."""

    total: int
    idle: int
    steal: int


def read(path: Path = PROC_STAT) -> Ticks:
    """Return the counts now."""
    return parse(path.read_text())


def parse(text: str) -> Ticks:
    """Return the counts in the first line: user nice system idle iowait irq softirq steal guest guest_nice.

    Raises:
        ValueError: not the text of /proc/stat.
    """
    line = text.partition("\n")[0]
    name, _, numbers = line.partition(" ")
    fields = numbers.split()
    if name != "cpu" or len(fields) < 8:
        raise ValueError(f"/proc/stat begins with {line!r}")
    # Time of guests is part of user and nice already.
    user, nice, system, idle, iowait, irq, softirq, steal = map(int, fields[:8])
    total = user + nice + system + idle + iowait + irq + softirq + steal
    return Ticks(total=total, idle=idle + iowait, steal=steal)


def share(before: Ticks, after: Ticks) -> float:
    """Return which share of the time between the two was stolen, 0 to 1."""
    total = after.total - before.total
    return (after.steal - before.steal) / total if total > 0 else 0.0
