"""One leaf, whichever it is: how it begins, what it makes of the news, how it ends on record."""

from collections.abc import Callable

from ald.engine import counter, hold, prompting, pulse, purge, ramp, setpoint, timed, waiting
from ald.engine.inputs import Answered, Looked
from ald.engine.state import (
    Phase,
    Prompting,
    Pulsing,
    Purging,
    Ramping,
    Setting,
    Settling,
    Waiting,
    Watching,
)
from ald.engine.turn import Turn
from ald.engine.verdict import Failed, Fatal, Verdict
from ald.errors import SafetyError
from ald.program.model import Leaf, Prompt, Pulse, Purge, Ramp, Set, Wait, WaitFor
from ald.program.start_at import RESTORE_MARK
from ald.records.event import RunOutcome, StepEnded, StepStarted
from ald.records.scan import Scan
from ald.wire import Reached

LATE_NS = 50_000_000
"""A leaf that begins later than this moves the schedule, instead of cutting the next steps short to catch up."""

KINDS: dict[type[Leaf], str] = {
    Pulse: "valve",
    Purge: "purge",
    Set: "set",
    Ramp: "ramp",
    Wait: "wait",
    WaitFor: "waitFor",
    Prompt: "prompt",
}
"""What the record calls the kinds of leaves: the words of the recipe."""


def begin(turn: Turn, leaf: Leaf) -> Verdict | None:
    """Put the beginning of a leaf on record, then begin it."""
    run = turn.run
    late_ns = turn.at_ns - run.due_ns
    if late_ns > LATE_NS:
        turn.change_run(due_ns=turn.at_ns, slip_ns=run.slip_ns + late_ns)
    turn.change_run(
        begun=run.begun + 1,
        ordinal=run.begun + 1,
        leaf=leaf,
        around=run.counters,
        phase=None,
    )
    if not run.in_cleanup and not leaf.name.startswith(RESTORE_MARK):
        around = counter.iterations(run.program, run.counters)
        turn.change_run(reached=Reached(step=leaf.name, iterations=around))
    turn.journal(
        StepStarted(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            run=run.identity.uid,
            ordinal=run.begun + 1,
            path=leaf.path,
            name=leaf.name,
            step=KINDS[type(leaf)],
            iterations=tuple(c.iteration for c in run.counters),
        )
    )
    verdict = guarded(turn, lambda: _began(turn, leaf))
    match verdict:
        case Failed(error=why) | Fatal(message=why) if turn.run.phase is None:
            # It was over before it was under way, and on record it had begun.
            ended(turn, why)
        case _:
            pass
    return verdict


def is_ready(phase: Phase | None) -> bool:
    """Tell whether what comes next in a leaf is the trigger of a pulse that the PLC times."""
    return isinstance(phase, Pulsing) and phase.is_ready


def pull(turn: Turn) -> Verdict | None:
    """Go on with a pulse that is ready to be triggered."""
    phase = turn.run.phase
    assert isinstance(phase, Pulsing), "the pulse is ready"
    assert phase.is_ready, "the pulse is ready"
    return guarded(turn, lambda: timed.pull(turn, phase))


def give_up(turn: Turn, error: str) -> Verdict | None:
    """Let a pulse fail that was ready to be triggered, and is not to be any more."""
    phase = turn.run.phase
    assert isinstance(phase, Pulsing), "the pulse is ready"
    return guarded(turn, lambda: pulse.give_up(turn, phase, error))


def ended(turn: Turn, error: str) -> None:
    """Put the end of the leaf on record; an empty `error` says that it is done."""
    run = turn.run
    turn.journal(
        StepEnded(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            run=run.identity.uid,
            ordinal=run.ordinal,
            error=error,
        )
    )
    done = run.leaves_done if error else run.leaves_done + 1
    turn.change_run(leaves_done=done, phase=None)


def ticked(turn: Turn) -> Verdict | None:
    """Time has passed; while the run is paused it has not."""
    match None if hold.is_paused(turn.run) else turn.run.phase:
        case Pulsing() as phase:
            _pulse_ticked(turn, phase)
            return None
        case Purging() as phase:
            return purge.tick(turn, phase)
        case Ramping() as phase:
            return ramp.tick(turn, phase)
        case Waiting() | Watching() | Prompting() as phase:
            return _waited(turn, phase)
        case Setting() | Settling() | None:
            return None


def answered(turn: Turn, given: Answered) -> Verdict | None:
    """A write has been answered."""
    match turn.run.phase:
        case Pulsing(timer=None) as phase:
            return pulse.answered(turn, phase, given)
        case Pulsing() as phase:
            return timed.answered(turn, phase, given)
        case Purging() as phase:
            return purge.answered(turn, phase, given)
        case Setting() as phase:
            return setpoint.answered(turn, phase, given)
        case Ramping() as phase:
            return ramp.answered(turn, phase, given)
        case Waiting() | Watching() | Prompting() | Settling() | None:
            return None


def looked(turn: Turn, given: Looked) -> Verdict | None:
    """A look has found something; only a pulse that the PLC times looks."""
    phase = turn.run.phase
    return timed.looked(turn, phase, given) if isinstance(phase, Pulsing) else None


def scanned(turn: Turn, scan: Scan) -> Verdict | None:
    """The plant has been read."""
    match turn.run.phase:
        case Purging() as phase:
            return purge.scanned(turn, phase, scan)
        case Watching() as phase if not hold.is_paused(turn.run):
            return waiting.scanned(turn, phase, scan)
        case _:
            return None


def guarded(turn: Turn, act: Callable[[], Verdict | None]) -> Verdict | None:
    """Return what `act` comes to; a broken safety rule undoes all that it began and ends the run."""
    mark = turn.mark()
    try:
        return act()
    except SafetyError as error:
        turn.rewind(mark)
        return Fatal(outcome=RunOutcome.SAFETY_VIOLATION, message=str(error))


def _began(turn: Turn, leaf: Leaf) -> Verdict | None:
    match leaf:
        case Pulse():
            _begin_pulse(turn, leaf)
        case Purge():
            return purge.begin(turn, leaf)
        case Set():
            setpoint.begin(turn, leaf)
        case Ramp():
            return ramp.begin(turn, leaf)
        case Wait():
            waiting.begin_wait(turn, leaf)
        case WaitFor():
            waiting.begin_watch(turn, leaf, turn.run.conditions[turn.run.index])
        case Prompt():
            prompting.begin(turn, leaf)
    return None


def _waited(turn: Turn, phase: Waiting | Watching | Prompting) -> Verdict | None:
    match phase:
        case Waiting():
            return waiting.tick_wait(turn, phase)
        case Watching():
            return waiting.tick_watch(turn, phase)
        case Prompting():
            return prompting.tick(turn, phase)


def _begin_pulse(turn: Turn, leaf: Pulse) -> None:
    pulse.begin(turn, leaf)
    phase = turn.run.phase
    if isinstance(phase, Pulsing) and phase.timer is not None:
        timed.begin(turn, phase)


def _pulse_ticked(turn: Turn, phase: Pulsing) -> None:
    if phase.timer is None:
        pulse.tick(turn, phase)
    else:
        timed.tick(turn, phase)
