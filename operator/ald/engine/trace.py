"""What has to outlive the executor: which run is on, and exactly how far it has come."""

from ald.engine import branch, counter, demand
from ald.engine.inputs import OpenLeaf, OpenPulse, OpenRun, Unsafe
from ald.engine.state import Phase, Pulsing, Run, Settling, State, phases
from ald.records.event import MachineState, TimedBy


def open_run(state: State) -> OpenRun | None:
    """Return what the next executor needs to end this one's run on record; None without a run."""
    run = state.run
    if run is None:
        return None
    return OpenRun(
        run=run.identity,
        program_digest=run.program_digest,
        leaves_total=run.leaves_before + run.program.estimate.leaves,
        started_wall_ns=run.first_wall_ns,
        ordinal=run.ordinal,
        step=run.leaf.name if run.leaf is not None else "",
        path=run.leaf.path if run.leaf is not None else "",
        iterations=counter.iterations(run.program, run.around),
        reached=run.reached,
        leaf_ended=run.phase is None or isinstance(run.phase, Settling),
        leaves_done=run.leaves_done,
        pulses=run.pulses,
        worst_error_ns=run.widths.worst_ns,
        timing=run.widths.timing,
        latch=state.safing is not None and state.safing.latch,
        pulse=_open_pulse(run, run.phase, run.due_ns),
        beside=tuple(
            OpenLeaf(ordinal=each.ordinal, pulse=_open_pulse(run, each.phase, each.due_ns))
            for _, each in branch.under_way(run)
        ),
        attempt=run.attempt,
        resumable=state.ending is None and _goes_on(run),
        begun=run.begun,
        width_counts=run.widths.counts,
        is_counted=run.is_counted,
    )


def unsafe(state: State) -> Unsafe | None:
    """Return what the next executor has to make safe although no run is on; None for nothing."""
    if state.run is not None:
        return None
    safing = state.safing
    is_latched = state.machine is MachineState.ABORTED or (safing is not None and safing.latch)
    if not is_latched and (safing is None or not safing.full):
        return None
    return Unsafe(valves=tuple(sorted(state.open_valves)), latch=is_latched)


def _goes_on(run: Run) -> bool:
    """Tell whether nothing is about to end the steps: no stop, and no failure that still waits for valves to be shut."""
    has_failed = run.broken or run.doubt or any(_is_refused(phase) for phase in phases(run))
    return not (run.in_cleanup or demand.is_stopping(run) or has_failed)


def _is_refused(phase: Phase) -> bool:
    return isinstance(phase, Pulsing) and bool(phase.error)


def _open_pulse(run: Run, phase: Phase | None, due_ns: int) -> OpenPulse | None:
    if not isinstance(phase, Pulsing):
        return None
    leaf = phase.leaf
    return OpenPulse(
        path=leaf.path,
        name=leaf.name,
        iterations=tuple(c.iteration for c in run.counters),
        valve=leaf.valve,
        open_ns=leaf.open_ns,
        due_ns=due_ns,
        opened_sent_ns=phase.opened_sent_ns,
        opened_ack_ns=phase.opened_ack_ns,
        timed_by=TimedBy.GATEWAY if phase.timer is None else TimedBy.PLC,
    )
