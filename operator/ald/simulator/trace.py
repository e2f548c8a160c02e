"""What the valves did, as the PLC saw it: every change of a coil with its times, and every overlap of two valves."""

import enum
import itertools
from collections import deque
from collections.abc import Sequence

import msgspec

from ald.plant.model import Table

EDGES_MAX = 200_000
"""Edges kept; the oldest go first."""

WRITES_MAX = 50_000
"""Writes kept; the oldest go first."""

OVERLAPS_MAX = 10_000
"""Overlaps kept; the oldest go first."""


class Stamp(msgspec.Struct, frozen=True):
    """One moment on both clocks of the host: CLOCK_MONOTONIC and UTC, in nanoseconds."""

    at_ns: int
    wall_ns: int

    def after(self, at_ns: int) -> "Stamp":
        """Return the moment `at_ns` of the monotonic clock."""
        return Stamp(at_ns, self.wall_ns + at_ns - self.at_ns)


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """One write that was carried out, whether it changed anything or not. `values` are bits or words from `address` on.

    received_ns: when the kernel received it, monotonic.
    """

    sequence: int
    table: Table
    address: int
    values: tuple[int, ...]
    received_ns: int


class Writes:
    """The bounded record of writes: what was sent twice is in it twice."""

    def __init__(self, writes_max: int = WRITES_MAX) -> None:
        self._writes: deque[Written] = deque(maxlen=writes_max)
        self.latest = 0

    def record(self, table: Table, address: int, values: Sequence[int], stamp: Stamp) -> None:
        """Add one write."""
        self.latest += 1
        self._writes.append(
            Written(
                sequence=self.latest,
                table=table,
                address=address,
                values=tuple(values),
                received_ns=stamp.at_ns,
            )
        )

    def after(self, sequence: int, limit: int) -> list[Written]:
        """Return at most `limit` writes behind `sequence`, in order."""
        first = self.latest - len(self._writes) + 1
        start = max(0, sequence + 1 - first)
        return list(itertools.islice(self._writes, start, start + limit))

    def reset(self) -> None:
        """Forget them; sequences go on."""
        self._writes.clear()


class Cause(enum.Enum):
    """Who changed a coil."""

    WRITE = "write"
    WATCHDOG = "watchdog"
    TIMER = "timer"
    ADMIN = "admin"


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one coil; `valve` is empty for a coil that belongs to no valve.

    received: when the kernel received the write, None where no write caused it. effective: the cycle boundary at which
    the PLC acted. Both on both clocks, nanoseconds; the monotonic one is that of every process on this host.
    """

    sequence: int
    coil: int
    valve: str
    state: bool
    cause: Cause
    received_ns: int | None
    received_wall_ns: int | None
    effective_ns: int
    effective_wall_ns: int


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """Two valves that were open together from `from_ns` (monotonic) on.

    `group` names an exclusion group that both are in, empty for none. Edges of one cycle count in the order in which their
    writes arrived, so that an overlap shorter than a cycle is seen too.
    """

    first: str
    second: str
    group: str
    from_ns: int
    from_wall_ns: int


class Trace:
    """The bounded record of edges and overlaps."""

    def __init__(self, groups: dict[str, frozenset[str]], edges_max: int = EDGES_MAX) -> None:
        self._groups = groups
        self._edges: deque[Edge] = deque(maxlen=edges_max)
        self._overlaps: deque[Overlap] = deque(maxlen=OVERLAPS_MAX)
        self._open: dict[str, None] = {}
        self.latest = 0

    @property
    def dropped_to(self) -> int:
        """The last sequence that is gone, 0 for none."""
        return self.latest - len(self._edges)

    @property
    def overlaps(self) -> tuple[Overlap, ...]:
        return tuple(self._overlaps)

    @property
    def open_valves(self) -> tuple[str, ...]:
        """Valves open now, in the order in which they opened."""
        return tuple(self._open)

    def record(
        self, *, coil: int, valve: str, state: bool, cause: Cause, times: tuple[Stamp | None, Stamp]
    ) -> None:
        """Add one edge; `times` are those of reception and of effect."""
        received, effective = times
        self.latest += 1
        self._edges.append(
            Edge(
                sequence=self.latest,
                coil=coil,
                valve=valve,
                state=state,
                cause=cause,
                received_ns=received.at_ns if received else None,
                received_wall_ns=received.wall_ns if received else None,
                effective_ns=effective.at_ns,
                effective_wall_ns=effective.wall_ns,
            )
        )
        if valve and state:
            self._opened(valve, effective)
        elif valve:
            self._open.pop(valve, None)

    def after(self, sequence: int, limit: int) -> list[Edge]:
        """Return at most `limit` edges behind `sequence`, in order."""
        first = self.dropped_to + 1
        start = max(0, sequence + 1 - first)
        return [self._edges[i] for i in range(start, min(len(self._edges), start + limit))]

    def reset(self) -> None:
        """Forget edges and overlaps; sequences go on, and valves that are open stay known as open."""
        self._edges.clear()
        self._overlaps.clear()

    def _opened(self, valve: str, effective: Stamp) -> None:
        for other in self._open:
            group = next((g for g, v in self._groups.items() if {valve, other} <= v), "")
            self._overlaps.append(
                Overlap(
                    first=other,
                    second=valve,
                    group=group,
                    from_ns=effective.at_ns,
                    from_wall_ns=effective.wall_ns,
                )
            )
        self._open[valve] = None
