"""How a gateway stands to its plant, its host and the history, as every status says: interlocks, readiness for a run, real-time priority."""

import enum

import msgspec


class InterlockStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The interlocks: how many there are, the names of those that have tripped, which was the first, and why in plain words."""

    declared: int = 0
    tripped: tuple[str, ...] = ()
    first_out: str = ""
    message: str = ""


class ReadinessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be true before a run starts: how many conditions there are, the names of those not met, and why in plain words."""

    declared: int = 0
    missing: tuple[str, ...] = ()
    message: str = ""


class RealTimeMode(enum.Enum):
    """Whether to ask for real-time priority."""

    OFF = "Off"
    TRY = "Try"


class RealTime(enum.Enum):
    """Whether the executor has real-time priority: not asked for, granted, or refused by the host."""

    OFF = "Off"
    GRANTED = "Granted"
    REFUSED = "Refused"


class RealTimeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What was obtained and, where it was not all, why. wake_p99_ns: how late all but 1 % of its last 1,000 sleeps ended."""

    state: RealTime
    message: str
    wake_p99_ns: int


class HistoryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the reader of the feed, which writes the history, keeps up.

    stalled: records wait, and for long now none was fetched; since_wall_ns: when the last one was, 0 where it never mattered.
    lost: scans dropped before they were fetched.
    """

    stalled: bool
    since_wall_ns: int = 0
    lost: int = 0
