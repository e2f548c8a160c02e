"""What processes say to each other: operator to gateway, front to driver, gateway to logger.

Gateway, HTTPS with mutual TLS, port 8443 (JSON bodies, msgspec; errors are `ErrorReply` with 4xx/5xx):

    PUT  /v1/plant                 PlantPush    -> GatewayStatus    roles: operator
    POST /v1/runs                  RunOrder     -> GatewayStatus    roles: operator     idempotent by run uid
    POST /v1/runs/{uid}/abort      AbortOrder   -> GatewayStatus    roles: operator     idempotent
    POST /v1/runs/{uid}/action     ActionOrder  -> GatewayStatus    roles: operator     idempotent
    POST /v1/clear                 ClearOrder   -> GatewayStatus    roles: operator
    POST /v1/confirm               ConfirmOrder -> GatewayStatus    roles: operator
    POST /v1/safe-state            SafeStateOrder -> GatewayStatus  roles: operator     idempotent
    GET  /v1/status?seen=R&wait=S               -> GatewayStatus    roles: all; long poll until revision > R, S <= 30
    GET  /v1/values                             -> ValuesReply      roles: operator, monitor, gateway
    GET  /v1/feed?after=P&max=N&wait=S          -> FeedBatch (MessagePack)  roles: logger, gateway; N <= 5000, S <= 30
    POST /v1/feed/committed        FeedCommitted -> 204             roles: logger

Front to driver: one SOCK_SEQPACKET Unix socket on the shared memory volume (`driver.sock`), one MessagePack `DriverRequest` a
message (`ald.gateway.packets` splits what no packet holds), answered by one `DriverReply` with the same `id`. Scans and events come through the ring, never through the socket.

A client's role is the last part of its certificate's URI SAN `ald://INSTALLATION/ROLE`; the gateway's own is
`ald://INSTALLATION/gateway/NAMESPACE/NAME`, which clients check instead of a DNS name; shown by a client it is the role `gateway`,
for people who look from inside the pod.
"""

import enum

import msgspec

from ald.plant.model import Plant
from ald.program.model import Program
from ald.records.event import MachineState, PulseTiming, RunIdentity, RunOutcome
from ald.standing import HistoryStatus, InterlockStatus, ReadinessStatus, RealTimeStatus

PROTOCOL = 1
"""Version of everything in this module; a peer of another version is refused by name."""

BODY_BYTES_MAX = 8 * 1024 * 1024
"""Largest request body; a plant of 1000 parameters with a full program stays below 2 MiB."""

FEED_BATCH_MAX = 5000
"""Most records in one feed batch."""

LONG_POLL_S_MAX = 30.0
"""Longest wait of a long poll."""


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was refused: one CamelCase word, plain language, and violations where an input is at fault."""

    reason: str
    message: str
    violations: tuple[str, ...] = ()


class PlantPush(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration, with the digest that the sender computed of it; applied only while no run is active."""

    protocol: int
    plant: Plant
    digest: str


class RunOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Start this run. `recipe_source` is the recipe's spec as JSON text, kept in the record.

    `attempt` counts from 1. A later one goes on with a run that the gateway's restart has cut short: the program is the rest of it, and
    the attempt before is the last run that the gateway knows, `RunProgress.resumable`. (Left out where it is 1: the record of an
    order has a digest.)
    """

    protocol: int
    run: RunIdentity
    recipe_source: str
    program: Program
    program_digest: str
    attempt: int = 1


class AbortOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Go to the safe state at once and end the run."""

    reason: str
    by: str


class RunAction(enum.Enum):
    """What an active run is to do; a stop is final."""

    RUN = "Run"
    PAUSE = "Pause"
    STOP = "Stop"


class ActionOrder(msgspec.Struct, frozen=True, kw_only=True):
    """From now on do this: a level, not an edge, so that it may be sent again. `RunProgress.action` tells what counts."""

    action: RunAction
    reason: str
    by: str


class ClearOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Leave Aborted: somebody looked at the machine."""

    by: str
    comment: str


class SafeStateOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Go to the safe state now, run or no run, and stay Aborted until somebody clears it."""

    by: str
    comment: str


class ConfirmOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Answer the prompt whose id is `target`."""

    target: str
    by: str
    comment: str


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """The last step begun, of those that are not the cleanup, with (iteration, count) of each loop around it, outermost first."""

    step: str = ""
    iterations: tuple[tuple[int, int], ...] = ()


class RunProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The run in progress, or the last one. `outcome` is None while it is active.

    leaves_done of leaves_total; pulses done; worst_error_ns is the largest absolute width error so far, `timing` says more of
    them; times are UTC ns. `iterations` are (counter, count) of each loop around the present step, outermost first. `action` is
    what it was told last. `held` says why it is held, hold_reason in a word, since when, and until when at most; hold_obstacle:
    what is in its way besides a pause. `attempt`: how often it was begun or taken up. `resumable`: the gateway's restart cut it
    short, nobody was ending it, and how far it may have come is known. `exact` False: it lost power; `reached` is the most.
    """

    run: RunIdentity
    program_digest: str
    step: str
    path: str
    iterations: tuple[tuple[int, int], ...]
    leaves_done: int
    leaves_total: int
    started_wall_ns: int
    ended_wall_ns: int
    estimated_end_wall_ns: int
    pulses: int
    worst_error_ns: int
    timing: PulseTiming = PulseTiming()
    held: str
    outcome: RunOutcome | None
    message: str
    action: RunAction = RunAction.RUN
    hold_reason: str = ""
    hold_obstacle: str = ""
    held_since_wall_ns: int = 0
    held_until_wall_ns: int = 0
    prompt_id: str = ""
    prompt_message: str = ""
    reached: Reached = Reached()
    attempt: int = 1
    resumable: bool = False
    exact: bool = True


class LinkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The connection to the PLC. `since_wall_ns` is when `connected` last changed.

    is_holding_back: the breaker is open, so that scans, read-backs and commands wait.
    """

    connected: bool
    message: str
    since_wall_ns: int
    requests: int
    timeouts: int
    reconnects: int
    worst_valve_wait_ns: int
    desyncs: int = 0
    exceptions: int = 0
    failed_connects: int = 0
    is_holding_back: bool = False


class IoTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Round trips of one read block or kind of write: how many fell into each class, the last without an upper bound."""

    request: str
    bounds_ns: tuple[int, ...]
    counts: tuple[int, ...]
    sum_ns: int


class LaneFailures(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one lane of the link that failed in one way: refused, timed-out, desync, held-back or lost."""

    lane: str
    outcome: str
    count: int


class LinkFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What only metrics want to know of the link. Bounded: `ald.plc.times.HISTOGRAMS_MAX`, lanes times outcomes."""

    io_times: tuple[IoTimes, ...]
    failures: tuple[LaneFailures, ...]


class ScanStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The last scan and the counts since the session began; `gaps` are the holds for want of one.

    `refused` counts the values that the PLC does not let be read; `refusals` names them and what else it refuses, for people.
    """

    sequence: int
    wall_ns: int
    late: int
    missed: int
    bad_signals: int
    refused: int = 0
    refusals: str = ""
    gaps: int = 0


class DriverStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the driver says of itself, constant in size.

    `session` changes whenever the executor starts anew. `safe_confirmed` tells whether the last safe state was acknowledged.
    `watchdog` is True when a heartbeat register is declared and its last write was acknowledged. `foreign_master`: somebody
    else moved that register.
    """

    session: str
    state: MachineState
    reason: str
    message: str
    plant_digest: str
    plant_generation: int
    plant_confirmed: bool
    link: LinkStatus
    scan: ScanStatus
    safe_confirmed: bool
    watchdog: bool
    run: RunProgress | None
    foreign_master: bool = False
    interlocks: InterlockStatus = InterlockStatus()
    readiness: ReadinessStatus = ReadinessStatus()
    real_time: RealTimeStatus | None = None


class GatewayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What `GET /v1/status` says. `driver` is None while the driver does not answer; `waiting_for` names a holder in the way.

    `revision` grows with every change worth an early look (state, step, link, run), at most once a second for steps.
    """

    protocol: int
    version: str
    revision: int
    feed: str
    feed_position: int
    feed_committed: int
    journal_ok: bool
    journal_message: str
    waiting_for: str
    driver: DriverStatus | None
    history: HistoryStatus | None = None


class SignalValue(msgspec.Struct, frozen=True, kw_only=True):
    """One value now: quality is good, stale or bad; a bad value is None."""

    name: str
    value: float | None
    unit: str
    quality: str
    age_ms: float


class ValuesReply(msgspec.Struct, frozen=True, kw_only=True):
    """All values of the last scan."""

    sequence: int
    wall_ns: int
    values: tuple[SignalValue, ...]


class FeedRecord(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One record of the feed. `kind` is `scan` (body: ald.records.scan bytes) or `event` (body: ald.records.event bytes)."""

    position: int
    session: str
    kind: str
    body: bytes


class FeedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Records after the asked position, ascending without a gap unless `dropped_to` says what the spool had to drop.

    `feed` is the identity of this journal; `latest` its last position; `dropped_to` is 0, or the last position that is gone.
    """

    feed: str
    latest: int
    dropped_to: int
    records: tuple[FeedRecord, ...]


class FeedCommitted(msgspec.Struct, frozen=True, kw_only=True):
    """The reader has stored everything up to `position` of `feed` for good."""

    feed: str
    position: int


class LoadPlant(msgspec.Struct, frozen=True, kw_only=True, tag="load-plant"):
    """Front to driver: take over this plant. `confirmed` is False when it comes from the volume at start."""

    push: PlantPush
    confirmed: bool


class StartRun(msgspec.Struct, frozen=True, kw_only=True, tag="start-run"):
    """Front to driver: start a run."""

    order: RunOrder


class AbortRun(msgspec.Struct, frozen=True, kw_only=True, tag="abort-run"):
    """Front or `ald stop` to driver: abort. An empty uid means whatever runs."""

    uid: str
    order: AbortOrder


class DirectRun(msgspec.Struct, frozen=True, kw_only=True, tag="direct-run"):
    """Front to driver: what this run is to do from now on."""

    uid: str
    order: ActionOrder


class Clear(msgspec.Struct, frozen=True, kw_only=True, tag="clear"):
    """Front to driver: leave Aborted."""

    order: ClearOrder


class GoSafe(msgspec.Struct, frozen=True, kw_only=True, tag="safe-state"):
    """Front to driver: go to the safe state and stay there."""

    order: SafeStateOrder


class Confirm(msgspec.Struct, frozen=True, kw_only=True, tag="confirm"):
    """Front to driver: somebody answers a prompt."""

    order: ConfirmOrder


class GetStatus(msgspec.Struct, frozen=True, kw_only=True, tag="status"):
    """Front to driver: say how you are."""


class GetFigures(msgspec.Struct, frozen=True, kw_only=True, tag="figures"):
    """Front to driver: say how you are, and what metrics show of the link besides."""


class DriverRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One packet to the driver."""

    id: int
    request: (
        LoadPlant
        | StartRun
        | AbortRun
        | DirectRun
        | Clear
        | GoSafe
        | Confirm
        | GetStatus
        | GetFigures
    )


class DriverReply(msgspec.Struct, frozen=True, kw_only=True):
    """One packet from the driver: its status after the request, or why it refused.

    `at_ns` is the monotonic time at which the status was so: replies of two connections may be read in any order.
    """

    id: int
    at_ns: int
    status: DriverStatus
    error: ErrorReply | None = None
    figures: LinkFigures | None = None
