"""What the driver says of itself, computed whole from the state, constant in size."""

from msgspec.structs import replace

from ald.engine import counter, demand, hold, interlock, prompting, readiness, schedule
from ald.engine.state import Hold, LastRun, Run, State
from ald.standing import RealTimeStatus
from ald.wire import DriverStatus, LinkStatus, RunProgress, ScanStatus


def driver_status(
    state: State, link: LinkStatus, scan: ScanStatus, real_time: RealTimeStatus | None = None
) -> DriverStatus:
    """Return the status; `link` and `scan` are what the executor counts."""
    plant = state.layout.plant if state.layout is not None else None
    run: RunProgress | None = None
    if state.run is not None:
        run = _active(state, state.run)
    elif state.last_run is not None:
        run = _ended(state.last_run)
    return DriverStatus(
        session=state.session,
        state=state.machine,
        reason=state.reason,
        message=state.message,
        plant_digest=state.plant_digest,
        plant_generation=plant.generation if plant is not None else 0,
        plant_confirmed=state.plant_confirmed,
        link=link,
        scan=replace(scan, gaps=state.scan_gaps),
        safe_confirmed=state.safe_confirmed,
        watchdog=plant is not None and plant.heartbeat is not None and state.watchdog_ok,
        run=run,
        real_time=real_time,
        foreign_master=state.is_foreign,
        interlocks=interlock.status(state),
        readiness=readiness.status(state),
    )


def _active(state: State, run: Run) -> RunProgress:
    # What is being ended waits for nobody and nothing.
    is_on = state.ending is None
    held = run.hold if is_on else None
    prompt = prompting.waiting(run) if is_on else None
    end_ns = schedule.end_ns(state, run) if is_on else None
    return RunProgress(
        run=run.identity,
        program_digest=run.program_digest,
        step=run.leaf.name if run.leaf is not None else "",
        path=run.leaf.path if run.leaf is not None else "",
        iterations=counter.iterations(run.program, run.around),
        leaves_done=run.leaves_done,
        leaves_total=run.leaves_before + run.program.estimate.leaves,
        started_wall_ns=run.first_wall_ns,
        ended_wall_ns=0,
        estimated_end_wall_ns=_wall_ns(state, end_ns) if end_ns is not None else 0,
        pulses=run.pulses,
        worst_error_ns=run.widths.worst_ns,
        timing=run.widths.timing,
        held=held.message if held is not None else "",
        outcome=None,
        message=demand.message(run) if state.ending is None else state.ending.message,
        action=run.asked.action,
        hold_reason=held.reason if held is not None else "",
        hold_obstacle=held.obstacle if held is not None else "",
        held_since_wall_ns=_wall_ns(state, held.since_ns) if held is not None else 0,
        held_until_wall_ns=_held_until_wall_ns(state, held),
        prompt_id=prompt.prompt_id if prompt is not None else "",
        prompt_message=prompt.leaf.message if prompt is not None else "",
        reached=run.reached,
        attempt=run.attempt,
        exact=run.is_counted,
    )


def _held_until_wall_ns(state: State, held: Hold | None) -> int:
    if held is None or state.layout is None:
        return 0
    return _wall_ns(state, hold.deadline_ns(state.layout.plant.max_hold_ns, held))


def _wall_ns(state: State, at_ns: int) -> int:
    return at_ns + state.wall_offset_ns


def _ended(last: LastRun) -> RunProgress:
    return RunProgress(
        run=last.run,
        program_digest=last.program_digest,
        step=last.step,
        path=last.path,
        iterations=last.iterations,
        leaves_done=last.leaves_done,
        leaves_total=last.leaves_total,
        started_wall_ns=last.started_wall_ns,
        ended_wall_ns=last.ended_wall_ns,
        estimated_end_wall_ns=last.ended_wall_ns,
        pulses=last.pulses,
        worst_error_ns=last.worst_error_ns,
        timing=last.timing,
        held="",
        outcome=last.outcome,
        message=last.message,
        reached=last.reached,
        attempt=last.attempt,
        resumable=last.resumable,
        exact=last.exact,
    )
