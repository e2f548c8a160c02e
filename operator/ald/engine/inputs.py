"""What the engine is told: one frozen struct for each kind of input, each with the monotonic time at which it holds."""

import msgspec

from ald.engine.effects import Reservation
from ald.engine.state import LastRun
from ald.plant.model import Plant
from ald.records.event import PulseTiming, RunIdentity, RunOutcome, TimedBy
from ald.records.scan import Scan
from ald.wire import Reached, RunAction, RunOrder


class OpenPulse(msgspec.Struct, frozen=True, kw_only=True):
    """A pulse that had begun when the executor died; `opened_sent_ns` is 0 where the write may not have left."""

    path: str
    name: str
    iterations: tuple[int, ...]
    valve: str
    open_ns: int
    due_ns: int
    opened_sent_ns: int
    opened_ack_ns: int
    timed_by: TimedBy = TimedBy.GATEWAY


class OpenLeaf(msgspec.Struct, frozen=True, kw_only=True):
    """A leaf under way in a branch: its number, and the pulse that it is, if it is one."""

    ordinal: int
    pulse: OpenPulse | None = None


class OpenRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as durable state remembers it: the last leaf that began, and what was counted up to then.

    `valves` are those that any of its pulses opens, where `pulse` may be out of date. `latch`: it was being ended by what
    somebody has to clear. `leaf_ended` and `pulse` are of the one leaf under way; `beside` are those of the branches of a `together`.
    `is_exact` False: memory is gone, and this is how the run began; how far it has come since then, nobody knows.
    `resumable`: nothing was ending it, and its steps were not done. begun, width_counts: for another attempt to count on from.
    is_counted: as in `Run`. `reservation`: how far it may have come where `is_exact` is False, None where even that is not known.
    """

    run: RunIdentity
    program_digest: str
    leaves_total: int
    started_wall_ns: int
    ordinal: int
    step: str
    path: str
    iterations: tuple[tuple[int, int], ...]
    leaf_ended: bool
    leaves_done: int
    pulses: int
    worst_error_ns: int
    timing: PulseTiming = PulseTiming()
    latch: bool = False
    pulse: OpenPulse | None = None
    beside: tuple[OpenLeaf, ...] = ()
    valves: tuple[str, ...] = ()
    reached: Reached = Reached()
    is_exact: bool = True
    attempt: int = 1
    resumable: bool = False
    begun: int = 0
    width_counts: tuple[int, ...] = ()
    is_counted: bool = True
    reservation: Reservation | None = None


class Unsafe(msgspec.Struct, frozen=True, kw_only=True):
    """A machine left without a run, but not safe: `valves` may be open; `latch`: it was Aborted, and nobody has cleared it."""

    valves: tuple[str, ...] = ()
    latch: bool = False


class _Input(msgspec.Struct, frozen=True, kw_only=True):
    at_ns: int


class Started(_Input, frozen=True, kw_only=True):
    """The executor begins. `plant` is what lay on the volume; `open_run` what durable state says was going on.

    `wall_offset_ns` is UTC minus monotonic. `started_uids` and `last_run` are what earlier sessions left on the volume.
    `is_doubtful`: what they left is damaged, so that a run may have been on. `unsafe`: no run was on, but the whole safe state
    was asked for and never confirmed.
    """

    session: str
    version: str
    wall_offset_ns: int
    plant: Plant | None
    open_run: OpenRun | None
    started_uids: tuple[str, ...] = ()
    last_run: LastRun | None = None
    is_doubtful: bool = False
    unsafe: Unsafe | None = None


class PlantGiven(_Input, frozen=True, kw_only=True):
    """Somebody hands over a plant; `confirmed` says that it is the operator."""

    plant: Plant
    plant_digest: str
    confirmed: bool


class RunGiven(_Input, frozen=True, kw_only=True):
    """The operator wants this run executed. `write_spread_ns`: how much write round trips vary as measured, None: too few."""

    order: RunOrder
    write_spread_ns: int | None = None


class AbortAsked(_Input, frozen=True, kw_only=True):
    """End the run now and go to the safe state. An empty uid means whatever runs."""

    uid: str
    by: str
    reason: str
    outcome: RunOutcome = RunOutcome.ABORTED


class ActionAsked(_Input, frozen=True, kw_only=True):
    """The run with this uid is to do this from now on."""

    uid: str
    action: RunAction
    by: str
    reason: str


class ClearAsked(_Input, frozen=True, kw_only=True):
    """Somebody looked at the machine and wants it out of Aborted."""

    by: str
    comment: str


class ConfirmAsked(_Input, frozen=True, kw_only=True):
    """Somebody answers the prompt of this id."""

    target: str
    by: str
    comment: str


class SafeStateAsked(_Input, frozen=True, kw_only=True):
    """Somebody wants the machine safe, and looked at before it does anything again."""

    by: str
    comment: str


class ShutdownAsked(_Input, frozen=True, kw_only=True):
    """The process is to end."""

    reason: str


class LinkUp(_Input, frozen=True, kw_only=True):
    """The connection to the PLC stands."""


class LinkDown(_Input, frozen=True, kw_only=True):
    """The connection to the PLC is gone; every write in flight has been answered as unknown before."""

    message: str


class Sent(_Input, frozen=True, kw_only=True):
    """The write with this token was handed to the kernel at `sent_ns`."""

    token: int
    sent_ns: int


class Answered(_Input, frozen=True, kw_only=True):
    """The write with this token is settled: acknowledged, refused, or (`unknown`) sent and never answered."""

    token: int
    ok: bool
    unknown: bool
    error: str
    sent_ns: int
    acked_ns: int


class Looked(_Input, frozen=True, kw_only=True):
    """What a look with this token found: bits as 0 and 1, or words; None where nothing was read.

    `sent_ns`: when the request was handed to the kernel, 0: it never was. `acked_ns`: when its answer came.
    """

    token: int
    values: tuple[int, ...] | None
    error: str
    sent_ns: int
    acked_ns: int


class Scanned(_Input, frozen=True, kw_only=True):
    """One reading of all signals is complete."""

    scan: Scan


class ClockStep(_Input, frozen=True, kw_only=True):
    """The wall clock jumped against the monotonic one by `step_ns`."""

    step_ns: int


class RecordRoom(_Input, frozen=True, kw_only=True):
    """Whether events still find room on record. Without, the run holds at the next hold point."""

    ok: bool


class Reserved(_Input, frozen=True, kw_only=True):
    """The volume knows now that this attempt at a run may have begun so many cycles."""

    run: str
    attempt: int
    cycle: int


class WatchdogSeen(_Input, frozen=True, kw_only=True):
    """Whether the PLC has acknowledged a heartbeat lately, and whether somebody else moved the register (`is_foreign`)."""

    ok: bool
    is_foreign: bool = False


class Tick(_Input, frozen=True, kw_only=True):
    """Time has passed; sent when `wake_ns` of the state is reached."""


Input = (
    Started
    | PlantGiven
    | RunGiven
    | AbortAsked
    | ActionAsked
    | ClearAsked
    | SafeStateAsked
    | ConfirmAsked
    | ShutdownAsked
    | LinkUp
    | LinkDown
    | Sent
    | Answered
    | Looked
    | Scanned
    | ClockStep
    | RecordRoom
    | Reserved
    | WatchdogSeen
    | Tick
)
