"""Everything the engine knows, frozen: the machine, the run in progress, the leaf under way, and the safe state being written."""

from collections.abc import Mapping

import msgspec

from ald.engine.effects import Target
from ald.engine.layout import Layout
from ald.engine.widths import Widths
from ald.program.condition import Condition
from ald.program.model import (
    Leaf,
    Program,
    Prompt,
    Pulse,
    Purge,
    Ramp,
    Set,
    Together,
    Wait,
    WaitFor,
)
from ald.records.event import MachineState, PulseTiming, RunIdentity, RunOutcome, WriteOutcome
from ald.records.scan import Scan
from ald.wire import Reached, RunAction

UIDS_MAX = 256
"""Uids of started runs that a session remembers; the front's journal remembers all."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A value acknowledged at `acked_ns`; counts until a scan that began later. `moved_ns`: when it last became another, or may have."""

    value: float
    acked_ns: int
    moved_ns: int = 0


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """How far an exclusion group is purged since one of its valves was last open.

    valve: the last one open; None is the worst case: any of them, as after every start. counted_ns: purge that counts for
    certain. since_ns: from here on it counts as long as the next scan does not speak against it; None: not now.
    commanded_ns: purge that the recipe commanded, whatever the flow was.
    """

    group: str
    valve: str | None = None
    counted_ns: int = 0
    since_ns: int | None = None
    commanded_ns: int = 0


class SafeWrite(msgspec.Struct, frozen=True, kw_only=True):
    """One write of the safe state: what it says for the record, and what became of it."""

    token: int
    names: tuple[str, ...]
    values: tuple[float, ...]
    target: Target
    is_valve: bool
    sent_ns: int = 0
    acked_ns: int = 0
    outcome: WriteOutcome | None = None
    error: str = ""


class Safing(msgspec.Struct, frozen=True, kw_only=True):
    """The safe state on its way. `full` includes the outputs, otherwise only the valves.

    started_ns: when it was asked for; deadline_ns: when it counts as not confirmed. writes: the present attempt, empty while
    there is no connection. retry_ns: when the next attempt begins although the connection stands. overdue: the deadline has
    passed and was acted upon. latch: Aborted whatever comes, until somebody clears it.
    """

    reason: str
    full: bool
    started_ns: int
    deadline_ns: int
    writes: tuple[SafeWrite, ...] = ()
    retry_ns: int | None = None
    overdue: bool = False
    latch: bool = False


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """The PLC's timer of a pulse under way, on its way through `ald.plant.timed_pulse`.

    prepare: the write of the width or the look at it, None when it stands. was_prepared: it had to be written. look: at the
    width, at the trigger once that `was_checked`, at done once that was `cleared`. next_look_ns: when it is due.
    """

    prepare: int | None = None
    was_prepared: bool = False
    look: int | None = None
    was_checked: bool = False
    cleared: bool = False
    next_look_ns: int | None = None


class Pulsing(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A valve leaf: opening written, open, closing written, in either order answered. Times are 0 and tokens None until they exist.

    `timer`: the PLC closes it; the opening is the write of the trigger then, and its token 0 until it is written.
    """

    leaf: Pulse
    open_token: int
    timer: Timer | None = None
    opened_sent_ns: int = 0
    opened_ack_ns: int = 0
    close_token: int | None = None
    closed_sent_ns: int = 0
    closed_ack_ns: int = 0
    error: str = ""

    @property
    def is_ready(self) -> bool:
        """True while nothing is on its way, and the trigger of the PLC's timer is what comes next: the valve is shut."""
        is_set = self.timer is not None and self.timer.prepare is None
        return is_set and not self.open_token and self.close_token is None


class Purging(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A purge leaf. `before` is the set point to give back, None where it never moved. `flowing_ns`: from when it counts."""

    leaf: Purge
    end_ns: int
    before: float | None
    write: int | None
    flowing_ns: int | None
    restoring: bool = False
    extended: bool = False


class Setting(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A set leaf: one write on its way."""

    leaf: Set
    write: int


class Ramping(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A ramp leaf: from `start` at `began_ns` to the leaf's end at `end_ns`; `next_ns` is the next write's time."""

    leaf: Ramp
    start: float
    began_ns: int
    end_ns: int
    next_ns: int
    value: float
    write: int | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A wait leaf."""

    leaf: Wait
    end_ns: int


class Watching(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A waitFor leaf: true without a break since `since_ns`, last looked at `seen_ns`."""

    leaf: WaitFor
    condition: Condition
    deadline_ns: int
    since_ns: int | None = None
    seen_ns: int = 0


class Prompting(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A prompt leaf: waits for somebody to confirm `prompt_id`."""

    leaf: Prompt
    prompt_id: str
    deadline_ns: int


class Settling(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """No leaf: every step is done, and the last set points wait for their read-back."""


Phase = Pulsing | Purging | Setting | Ramping | Waiting | Watching | Prompting | Settling


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """One branch of the `together` under way: what the run has of a leaf, for this branch alone.

    index: the present instruction; the branch is done when it is `end`. nominal_ns: the shortest time that its leaves so far could
    have taken. cut: why its present leaf ends before its time, empty while it does not.
    """

    index: int
    end: int
    due_ns: int
    nominal_ns: int = 0
    ordinal: int = 0
    leaf: Leaf | None = None
    phase: Phase | None = None
    cut: str = ""


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """A loop around the present instruction: its index and the iteration, from 1."""

    loop: int
    iteration: int


class Readback(msgspec.Struct, frozen=True, kw_only=True):
    """A set point whose written value the next scans must show; `scans_left` more may fail to."""

    step: str
    parameter: str
    value: float
    acked_ns: int
    scans_left: int


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Why the run stands still, since when, and for how long at most where that is not the machine's maxHold.

    is_paused: somebody paused it, so that its present step stands still, too. obstacle: what is in its way besides.
    """

    reason: str
    message: str
    since_ns: int
    longest_ns: int | None = None
    is_paused: bool = False
    obstacle: str = ""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What people want the run to do, who said so last, and why."""

    action: RunAction = RunAction.RUN
    by: str = ""
    reason: str = ""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The run in progress.

    index: the present instruction. counters: the loops around it, outermost first; `around`: those around the leaf. begun: leaves
    begun. ordinal: number of the leaf under way. branches: what runs side by side while the present instruction is a `together`;
    the leaf is that then, and has no phase. broken: why those branches are to come to their end. due_ns: when the present leaf was
    due on the absolute schedule. slip_ns: how much later than the shortest course the schedule lies by now. reached: the last leaf
    begun that is not one of the cleanup and does not only restore. attempt: from 2 on it goes on after a restart, and begun,
    leaves_done, pulses and widths count on; leaves_before of them are no leaves of this program. first_wall_ns: when the first one
    began. is_counted: what those before counted is known. cycle: cycles begun, now at `cycle_place`; `reserved`: the volume knows
    of, `asked_cycles`: asked for, more from `ask_from` on, is_reserved_whole: all of them. marks: where loops begin and end in the
    program. failure: why the first step failed, empty while none did. doubt: what a scan found wrong while a valve was open; it
    fails the leaf once that is shut. asked: what it is to do. stopped: a stop has left steps out.
    """

    identity: RunIdentity
    program: Program
    program_digest: str
    conditions: Mapping[int, Condition]
    attempt: int = 1
    leaves_before: int = 0
    first_wall_ns: int
    is_counted: bool = True
    cycle: int = 0
    cycle_place: tuple[int, ...] = ()
    reserved: int = 0
    asked_cycles: int = 0
    ask_from: int = 0
    is_reserved_whole: bool = False
    marks: tuple[int, ...]
    started_ns: int
    due_ns: int
    index: int = 0
    counters: tuple[Counter, ...] = ()
    around: tuple[Counter, ...] = ()
    in_cleanup: bool = False
    begun: int = 0
    ordinal: int = 0
    leaves_done: int = 0
    pulses: int = 0
    widths: Widths
    slip_ns: int = 0
    leaf: Leaf | Together | None = None
    reached: Reached = Reached()
    phase: Phase | None = None
    branches: tuple[Branch, ...] = ()
    broken: str = ""
    failure: str = ""
    doubt: str = ""
    hold: Hold | None = None
    asked: Asked = Asked()
    stopped: bool = False
    readbacks: tuple[Readback, ...] = ()


class Violated(msgspec.Struct, frozen=True, kw_only=True):
    """An interlock violated without a break since `since_ns`, with what was read then; `tripped`: for as long as it takes."""

    since_ns: int
    readings: Mapping[str, float | None]
    message: str
    tripped: bool = False


def phases(run: Run) -> tuple[Phase, ...]:
    """Return what is under way: one phase, or one of each branch that is not between two leaves."""
    found = (run.phase, *(branch.phase for branch in run.branches))
    return tuple(phase for phase in found if phase is not None)


class Unready(msgspec.Struct, frozen=True, kw_only=True):
    """A condition for a run that is not met: what is said of it, with the values read at `said_ns`."""

    message: str
    said_ns: int


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How the run is to be recorded as ended once the safe state is written or has failed. `answered`: its writes settled since."""

    outcome: RunOutcome
    message: str
    by: str
    answered: tuple[int, ...] = ()


class LastRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run as its status shows it after its end, or after the executor that ran it died.

    `resumable`: it may be taken up by another attempt, which counts on from `begun` leaves and from the pulses in `width_counts`.
    `exact` False: power was lost; it may have come as far as `reached`, and counted at least this much.
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
    pulses: int
    worst_error_ns: int
    timing: PulseTiming = PulseTiming()
    outcome: RunOutcome
    message: str
    reached: Reached = Reached()
    attempt: int = 1
    resumable: bool = False
    exact: bool = True
    begun: int = 0
    width_counts: tuple[int, ...] = ()


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of it.

    wall_offset_ns: UTC minus monotonic. record_ok: there is room for events. watchdog_ok: the last heartbeat was acknowledged.
    is_foreign: the heartbeat register was moved by somebody else. seen_ns: when the last scan ended, or the connection was made
    after it. scan_gaps: how often a run was held because that is too long ago. violated: interlocks by name. first_out: the
    interlock that tripped first, until all are satisfied and the machine is cleared. unready: what no run may start without, by
    name. written: what we wrote last to set points and valves, by signal. exposures: by group; one that is missing is the worst
    case. open_valves: opened by a pulse and not acknowledged as shut. widths: what the duration register of a valve that the
    PLC times is known to hold, in ns. stopping: why the process ends once the safe state is settled, empty while it goes on.
    """

    session: str = ""
    version: str = ""
    wall_offset_ns: int = 0
    machine: MachineState = MachineState.STOPPED
    reason: str = "Starting"
    message: str = "the driver is starting"
    layout: Layout | None = None
    plant_digest: str = ""
    plant_confirmed: bool = False
    connected: bool = False
    record_ok: bool = True
    watchdog_ok: bool = False
    is_foreign: bool = False
    next_token: int = 1
    scan: Scan | None = None
    seen_ns: int = 0
    scan_gaps: int = 0
    violated: Mapping[str, Violated] = msgspec.field(default_factory=dict[str, Violated])
    first_out: str = ""
    unready: Mapping[str, Unready] = msgspec.field(default_factory=dict[str, Unready])
    written: Mapping[str, Known] = msgspec.field(default_factory=dict[str, Known])
    exposures: Mapping[str, Exposure] = msgspec.field(default_factory=dict[str, Exposure])
    open_valves: frozenset[str] = frozenset()
    widths: Mapping[str, int] = msgspec.field(default_factory=dict[str, int])
    safing: Safing | None = None
    safe_confirmed: bool = False
    run: Run | None = None
    ending: Ending | None = None
    last_run: LastRun | None = None
    started_uids: tuple[str, ...] = ()
    stopping: str = ""
