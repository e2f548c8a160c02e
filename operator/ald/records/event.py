"""What happened, as the gateway's journal holds it: one frozen struct for each kind of event.

Every event has the monotonic time `at_ns` (of this boot of the host) and the UTC wall time `wall_ns`. The order of events is the order
of the feed, never that of their times. Kinds are told apart by the tag `kind`.
"""

import enum

import msgspec

from ald.plant.model import Plant
from ald.program.model import Program


class RunOutcome(enum.Enum):
    """How a run ended; the word is the reason of the condition `Succeeded` of a RecipeRun."""

    COMPLETED = "Completed"
    ABORTED = "Aborted"
    STOPPED = "Stopped"
    STEP_FAILED = "StepFailed"
    GATEWAY_RESTARTED = "GatewayRestarted"
    LINK_LOST = "LinkLost"
    SAFETY_VIOLATION = "SafetyViolation"
    VALVE_MISMATCH = "ValveMismatch"
    VALVE_UNKNOWN = "ValveUnknown"
    HOLD_TIMEOUT = "HoldTimeout"
    INTERLOCK = "Interlock"
    SHUTDOWN = "Shutdown"


class MachineState(enum.Enum):
    """PackML states that this machine can be in (OPC 30060, table 203)."""

    STOPPED = "Stopped"
    IDLE = "Idle"
    EXECUTE = "Execute"
    HELD = "Held"
    COMPLETING = "Completing"
    ABORTING = "Aborting"
    ABORTED = "Aborted"


class WriteOutcome(enum.Enum):
    """What is known of a write."""

    CONFIRMED = "Confirmed"
    MISMATCH = "Mismatch"
    UNKNOWN = "Unknown"
    REFUSED = "Refused"


class TimedBy(enum.Enum):
    """Who ended a pulse after its width."""

    GATEWAY = "gateway"
    PLC = "plc"


class RunIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which RecipeRun; `uid` decides, and a uid once started is never started again."""

    namespace: str
    name: str
    uid: str


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    at_ns: int
    wall_ns: int


class SessionStarted(_Event, frozen=True, kw_only=True, tag="session-started"):
    """A new life of the driver's executor. `found` says in plain words what it found and did."""

    session: str
    version: str
    found: str


class SessionEnded(_Event, frozen=True, kw_only=True, tag="session-ended"):
    """The driver's last record: nothing follows from this session."""

    session: str
    reason: str


class PlantLoaded(_Event, frozen=True, kw_only=True, tag="plant-loaded"):
    """From here on scans are of this plant; carries it whole, so that a reader needs nothing else."""

    plant_digest: str
    plant: Plant


class StateChanged(_Event, frozen=True, kw_only=True, tag="state-changed"):
    """The machine's state; `reason` is one CamelCase word, `message` plain language."""

    state: MachineState
    previous: MachineState
    reason: str
    message: str
    run: str


class RunStarted(_Event, frozen=True, kw_only=True, tag="run-started"):
    """A run begins. Carries the recipe as written (JSON text) and the program, so that the record is complete.

    `attempt` above 1: it goes on after a restart of the gateway; the program is the rest of it then, and ordinals count on.
    """

    run: RunIdentity
    recipe_source: str
    program_digest: str
    program: Program
    attempt: int = 1


class StepStarted(_Event, frozen=True, kw_only=True, tag="step-started"):
    """One leaf begins. `ordinal` counts executed leaves from 1; `iterations` are the counters of the loops around it, from 1."""

    run: str
    ordinal: int
    path: str
    name: str
    step: str
    iterations: tuple[int, ...]


class StepEnded(_Event, frozen=True, kw_only=True, tag="step-ended"):
    """The leaf with this ordinal is done; `error` is empty when it went well."""

    run: str
    ordinal: int
    error: str


class PulseDone(_Event, frozen=True, kw_only=True, tag="pulse-done"):
    """One opening of one valve, with every time that is known, monotonic.

    due_ns: scheduled opening. opened_sent_ns / opened_ack_ns: opening write handed to the kernel / acknowledged by the PLC.
    closed_sent_ns / closed_ack_ns: the same of the closing write; 0 where it is not known. Commanded width is `open_ns`;
    measured width is closed_sent_ns - opened_sent_ns; `error_ns` is measured minus commanded; `uncertainty_ns` bounds what the
    acknowledgements and the declared PLC cycle leave open. `outcome` is that of the closing write.

    Where the PLC has timed it, the opening write is that of the trigger, closed_ack_ns is when the PLC was seen to be done, there
    is no closing write but one that cut it short, and nobody has measured the width: `error_ns` is 0 and says nothing.
    """

    run: str
    ordinal: int
    path: str
    name: str
    iterations: tuple[int, ...]
    valve: str
    open_ns: int
    due_ns: int
    opened_sent_ns: int
    opened_ack_ns: int
    closed_sent_ns: int
    closed_ack_ns: int
    error_ns: int
    uncertainty_ns: int
    outcome: WriteOutcome
    timed_by: TimedBy = TimedBy.GATEWAY


class PulseOpening(_Event, frozen=True, kw_only=True, tag="pulse-opening"):
    """On record before the opening write is sent: after a crash every valve that may have opened is known."""

    run: str
    ordinal: int
    valve: str
    due_ns: int


class Written(_Event, frozen=True, kw_only=True, tag="written"):
    """One write other than a pulse's edges. `by` says on whose behalf: a step name, `safe-state`, `purge`."""

    run: str
    ordinal: int
    by: str
    target: str
    value: float
    sent_ns: int
    ack_ns: int
    outcome: WriteOutcome
    error: str


class HoldStarted(_Event, frozen=True, kw_only=True, tag="hold-started"):
    """The run waits; `reason` one word, `message` says what is held and what it waits for."""

    run: str
    reason: str
    message: str


class HoldEnded(_Event, frozen=True, kw_only=True, tag="hold-ended"):
    """The run goes on."""

    run: str


class PromptConfirmed(_Event, frozen=True, kw_only=True, tag="prompt-confirmed"):
    """Somebody has answered the prompt of the step with this ordinal."""

    run: str
    ordinal: int
    prompt: str
    message: str
    by: str
    comment: str


class InterlockTripped(_Event, frozen=True, kw_only=True, tag="interlock-tripped"):
    """An interlock has been violated for as long as it takes, since `since_ns`; `first_out` names the one that was first.

    `readings` are the values that it names as they were when it was violated, None for one that was not good.
    """

    run: str
    interlock: str
    action: str
    since_ns: int
    readings: dict[str, float | None]
    first_out: str
    message: str


class InterlockCleared(_Event, frozen=True, kw_only=True, tag="interlock-cleared"):
    """A tripped interlock is satisfied again."""

    run: str
    interlock: str


class SafeStateReached(_Event, frozen=True, kw_only=True, tag="safe-state"):
    """The safe state was written. `confirmed` is True only when every write of it was acknowledged."""

    reason: str
    confirmed: bool
    valves_ns: int
    total_ns: int
    detail: str


class PulseTiming(msgspec.Struct, frozen=True, kw_only=True):
    """How exact the pulses of a run were, and how exact its recipe wants them.

    Percentiles and the largest ratio of error to wanted width are of the absolute width errors of `whole` pulses: those that
    were not cut short. max_error_ns and max_relative_error are the recipe's limits, None where there is none. by_plc: whole pulses
    besides these that the PLC timed; nobody measured them, and they are as exact as the PLC: plc_uncertainty_ns.
    """

    whole: int = 0
    by_plc: int = 0
    plc_uncertainty_ns: int = 0
    p50_error_ns: int = 0
    p99_error_ns: int = 0
    worst_relative_error: float = 0.0
    max_error_ns: int | None = None
    max_relative_error: float | None = None


class RunEnded(_Event, frozen=True, kw_only=True, tag="run-ended"):
    """The run is over; one for each RunStarted, and where power was lost right after it perhaps a second one: the first counts.

    `by` names who asked for an abort or a stop, empty otherwise. `exact` False: power was lost, or the whole pod; the counts
    are at least so many, and what the record has of the run may end before the run did.
    """

    run: str
    outcome: RunOutcome
    message: str
    by: str
    leaves_done: int
    pulses: int
    worst_error_ns: int
    timing: PulseTiming = PulseTiming()
    exact: bool = True


class LinkChanged(_Event, frozen=True, kw_only=True, tag="link-changed"):
    """The connection to the PLC came or went."""

    connected: bool
    message: str


class ClockStepped(_Event, frozen=True, kw_only=True, tag="clock-stepped"):
    """The wall clock jumped against the monotonic one by `step_ns`; wall times are re-anchored from here on."""

    step_ns: int


class InputsTaken(_Event, frozen=True, kw_only=True, tag="inputs-taken"):
    """What the driver's engine was told while a run was on: the cause of the `events` records right before this one.

    checkpoint: the state before the run, in the first of its records only. inputs: as `ald.engine.taken` writes them. seal: over
    this event and the seal of the one before.
    """

    run: str
    events: int
    checkpoint: bytes
    inputs: bytes
    seal: str


class Cleared(_Event, frozen=True, kw_only=True, tag="cleared"):
    """Somebody cleared the machine after Aborted."""

    by: str
    comment: str


Event = (
    SessionStarted
    | SessionEnded
    | PlantLoaded
    | StateChanged
    | RunStarted
    | StepStarted
    | StepEnded
    | PulseOpening
    | PulseDone
    | Written
    | HoldStarted
    | HoldEnded
    | PromptConfirmed
    | InterlockTripped
    | InterlockCleared
    | SafeStateReached
    | RunEnded
    | LinkChanged
    | ClockStepped
    | Cleared
    | InputsTaken
)

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)


def run_of(event: Event) -> str:
    """Return the uid of the run that an event belongs to, empty for none."""
    if isinstance(event, RunStarted):
        return event.run.uid
    return str(getattr(event, "run", ""))


def encode_event(event: Event) -> bytes:
    """Return the event as MessagePack."""
    return _ENCODER.encode(event)


def decode_event(data: bytes) -> Event:
    """Return the event.

    Raises:
        msgspec.DecodeError: not an event of this version.
    """
    return _DECODER.decode(data)
