"""When the engine wants to be called next, and when the next valve edge is due."""

from collections.abc import Iterator

from ald.engine import counter, hold, interlock, pulse, purge, ramp, timed
from ald.engine.state import (
    Branch,
    Phase,
    Prompting,
    Pulsing,
    Purging,
    Ramping,
    Run,
    Settling,
    State,
    Waiting,
    Watching,
    phases,
)
from ald.program import together
from ald.program.model import Pulse, Together


def wake_ns(state: State) -> int | None:
    """Return the monotonic time at which a `Tick` is due, None while only something else can bring news."""
    return min(_times(state), default=None)


def edge_ns(state: State) -> int | None:
    """Return when the next valve edge is due as far as it is known: the link keeps scans out of its way.

    It is the closing edge while a valve is open, and the end of a step that a pulse follows.
    """
    run = state.run
    if run is None or state.ending is not None or hold.is_paused(run):
        return None
    edges = [_edge_ns(state, run.phase, is_pulse_next=_pulse_follows(run))]
    edges += [
        _edge_ns(state, each.phase, is_pulse_next=_pulse_follows_in(run, each))
        for each in run.branches
    ]
    return min((edge for edge in edges if edge is not None), default=None)


def _edge_ns(state: State, phase: Phase | None, *, is_pulse_next: bool) -> int | None:
    match phase:
        case Pulsing(timer=None):
            return pulse.wake_ns(phase)
        case Purging() if is_pulse_next:
            # A purge that waits for its flow has no end yet, and only a scan can give it one.
            return purge.wake_ns(state, phase)
        case Waiting(end_ns=end_ns) if is_pulse_next:
            return end_ns
        case _:
            return None


def _times(state: State) -> Iterator[int]:
    safing = state.safing
    if safing is not None:
        if not safing.overdue:
            yield safing.deadline_ns
        if safing.retry_ns is not None and state.connected:
            yield safing.retry_ns
    interlock_ns = interlock.wake_ns(state)
    if interlock_ns is not None:
        yield interlock_ns
    run = state.run
    if run is None or state.ending is not None:
        return
    if run.hold is not None and state.layout is not None:
        yield hold.deadline_ns(state.layout.plant.max_hold_ns, run.hold)
    if _is_scan_awaited(run) and state.layout is not None:
        yield state.seen_ns + state.layout.plant.max_scan_gap_ns
    for phase in () if hold.is_paused(run) else phases(run):
        phase_ns = _phase_ns(state, phase)
        if phase_ns is not None:
            yield phase_ns


def _is_scan_awaited(run: Run) -> bool:
    """Tell whether scans that stop are in the way of the run, and nothing else may say so: of one that is paused, or settles."""
    if run.hold is None:
        return isinstance(run.phase, Settling)
    return run.hold.is_paused and not run.hold.obstacle


def _phase_ns(state: State, phase: Phase) -> int | None:
    match phase:
        case Pulsing():
            return pulse.wake_ns(phase) if phase.timer is None else timed.wake_ns(phase)
        case Purging():
            return purge.wake_ns(state, phase)
        case Ramping():
            return ramp.wake_ns(phase)
        case Waiting(end_ns=end_ns):
            return end_ns
        case Watching(deadline_ns=deadline_ns) | Prompting(deadline_ns=deadline_ns):
            return deadline_ns
        case _:
            return None


def _pulse_follows(run: Run) -> bool:
    index = run.index + 1
    if run.branches:
        mark = run.program.instructions[run.index]
        assert isinstance(mark, Together), "branches belong to a together"
        index = together.end(mark, run.index)
    index, _ = counter.seek(run.program, index, run.counters)
    following = counter.leaf_at(run.program, index)
    if isinstance(following, Together):
        return any(
            isinstance(run.program.instructions[begin], Pulse)
            for begin, _ in together.spans(following, index)
        )
    return isinstance(following, Pulse)


def _pulse_follows_in(run: Run, each: Branch) -> bool:
    """Tell whether a pulse may come next in this branch, or behind all of them when this is its last leaf."""
    if each.index + 1 == each.end:
        return _pulse_follows(run)
    return each.index < each.end and isinstance(run.program.instructions[each.index + 1], Pulse)
