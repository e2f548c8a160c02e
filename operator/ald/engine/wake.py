"""When the engine wants to be called next, and when the next valve edge is due."""

from collections.abc import Iterator

from ald.engine import counter, hold, interlock, pulse, purge, ramp
from ald.engine.state import Prompting, Pulsing, Purging, Ramping, Run, State, Waiting, Watching
from ald.program.model import Pulse


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
    match run.phase:
        case Pulsing() as phase:
            return pulse.wake_ns(phase)
        case Purging() as phase:
            # A purge that waits for its flow has no end yet, and only a scan can give it one.
            return purge.wake_ns(state, phase) if _pulse_follows(run) else None
        case Waiting(end_ns=end_ns):
            return end_ns if _pulse_follows(run) else None
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
    phase_ns = _phase_ns(state, run)
    if phase_ns is not None:
        yield phase_ns


def _phase_ns(state: State, run: Run) -> int | None:
    match None if hold.is_paused(run) else run.phase:
        case Pulsing() as phase:
            return pulse.wake_ns(phase)
        case Purging() as phase:
            return purge.wake_ns(state, phase)
        case Ramping() as phase:
            return ramp.wake_ns(phase)
        case Waiting(end_ns=end_ns):
            return end_ns
        case Watching(deadline_ns=deadline_ns) | Prompting(deadline_ns=deadline_ns):
            return deadline_ns
        case _:
            return None


def _pulse_follows(run: Run) -> bool:
    index, _ = counter.seek(run.program, run.index + 1, run.counters)
    return isinstance(counter.leaf_at(run.program, index), Pulse)
