"""Letting time pass, and waiting until the plant says so."""

from msgspec.structs import replace

from ald.engine import reading
from ald.engine.state import Waiting, Watching
from ald.engine.turn import Turn
from ald.engine.verdict import Done, Failed, Verdict
from ald.program.condition import Condition
from ald.program.model import Wait, WaitFor
from ald.records.scan import Scan
from ald.units import format_duration

GAP_SCANS = 3
"""A condition counts as true without a break only while scans come at least this often, in scan periods."""


def begin_wait(turn: Turn, leaf: Wait) -> None:
    """Begin to wait for `duration_ns`, on the absolute schedule; only a `Tick` ends it.

    So one input ends one leaf, however short the leaves are and however late they come.
    """
    turn.change_run(phase=Waiting(leaf=leaf, end_ns=turn.run.due_ns + leaf.duration_ns))


def tick_wait(turn: Turn, phase: Waiting) -> Verdict | None:
    """Go on when the time is over."""
    if turn.at_ns < phase.end_ns:
        return None
    return Done(due_ns=phase.end_ns, nominal_ns=phase.leaf.duration_ns)


def begin_watch(turn: Turn, leaf: WaitFor, condition: Condition) -> None:
    """Begin to look at every scan."""
    deadline_ns = turn.run.due_ns + leaf.timeout_ns
    turn.change_run(phase=Watching(leaf=leaf, condition=condition, deadline_ns=deadline_ns))


def tick_watch(turn: Turn, phase: Watching) -> Verdict | None:
    """Fail when it took too long."""
    if turn.at_ns < phase.deadline_ns:
        return None
    leaf = phase.leaf
    bad = [name for name in leaf.reads if reading.good(turn.state, name) is None]
    why = f"; not readable: {', '.join(bad)}" if bad else ""
    return Failed(
        error=f"not true for {format_duration(leaf.stable_ns)} within "
        f"{format_duration(leaf.timeout_ns)}: {leaf.condition}{why}"
    )


def scanned(turn: Turn, phase: Watching, scan: Scan) -> Verdict | None:
    """Judge one scan that began after the step did."""
    if scan.started_ns < turn.run.due_ns:
        return None
    is_true = reading.holds(turn.state, phase.condition, turn.at_ns)
    gap_ns = GAP_SCANS * turn.layout.plant.scan_period_ns
    is_unbroken = phase.since_ns is not None and scan.ended_ns - phase.seen_ns <= gap_ns
    since_ns = phase.since_ns if is_unbroken else scan.ended_ns
    if not is_true:
        since_ns = None
    turn.change_run(phase=replace(phase, since_ns=since_ns, seen_ns=scan.ended_ns))
    if since_ns is not None and scan.ended_ns - since_ns >= phase.leaf.stable_ns:
        return Done(due_ns=turn.at_ns, nominal_ns=phase.leaf.stable_ns)
    return None
