"""A purge, and how much of it counts.

A purge counts for an exclusion group when its gas is one of the group's and its commanded flow at least the group's minimum;
and of a gas with a flow feedback only the time in which that is good and at least nine tenths of the commanded flow, of one
without only the time in which its set point does not read less. A scan speaks for the time up to the next one, and the next
one confirms or takes that back. Of a flow whose set point has moved since it began it says nothing: what was purged from then
on counts once a later one has confirmed it. Counted time adds up over purges until a valve of the group opens again.
"""

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from ald.engine import demand, hold, reading, safety, setpoint, writing
from ald.engine.effects import Lane
from ald.engine.inputs import Answered
from ald.engine.layout import same_value, target_of
from ald.engine.state import Exposure, Purging, State
from ald.engine.turn import Turn
from ald.engine.verdict import Done, Failed, Verdict
from ald.plant.limits import FLOW_SHARE_MIN
from ald.plant.model import ExclusionGroup, Gas
from ald.program.model import Purge
from ald.records.scan import Scan
from ald.units import DURATION_NS_MAX, format_duration

FRESH_SCANS = 3
"""A scan speaks for this many scan periods; when no other comes, the flow counts as unknown."""

FLOW_LOW = "PurgeFlowLow"
"""The reason of a hold that waits for the flow."""

QUIET_NS = 250_000_000
"""A purge is drawn out by up to this without a hold when the flow is good and only the link's round trips are missing."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan says of the flow: good or not at `at_ns`, and for the `span_ns` after it."""

    at_ns: int
    is_good: bool
    span_ns: int


def begin(turn: Turn, leaf: Purge) -> Verdict | None:
    """Set the flow, unless it is set already."""
    parameter = turn.layout.setpoint(parameter=None, gas=leaf.gas)
    before = setpoint.standing(turn, parameter, "the purge could not give it its value back")
    if isinstance(before, Failed):
        return before
    # Refused where it may not be written, whatever stands there.
    target = target_of(parameter, leaf.flow)
    end_ns = turn.run.due_ns + leaf.duration_ns
    phase = Purging(leaf=leaf, end_ns=end_ns, before=None, write=None, flowing_ns=None)
    if same_value(parameter, leaf.flow, before) and not reading.is_doubtful(
        turn.state, parameter.name
    ):
        turn.change_run(phase=phase)
        _flowing(turn, phase)
        return None
    setpoint.forget(turn, parameter.name)
    token = turn.write(Lane.RECIPE, target)
    turn.change_run(phase=replace(phase, before=before, write=token))
    return None


def wake_ns(state: State, phase: Purging) -> int | None:
    """Return when the purge is over, or may be with the flow as it is."""
    if phase.write is not None:
        return None
    if not phase.extended:
        return phase.end_ns
    latest_ns = phase.end_ns
    for group, exposure in _owed(state, phase):
        missing_ns = group.minimum_purge_ns - exposure.counted_ns
        if missing_ns <= 0:
            continue
        if exposure.since_ns is None or exposure.since_ns + missing_ns > _trusted_until_ns(
            state, phase
        ):
            # Only a scan can bring this further, and it comes by itself.
            return None
        latest_ns = max(latest_ns, exposure.since_ns + missing_ns)
    return latest_ns


def tick(turn: Turn, phase: Purging) -> Verdict | None:
    """End the purge when its time is over and what it was to purge is purged."""
    if phase.write is not None or turn.at_ns < phase.end_ns:
        return None
    short = list(_short(turn.state, phase, turn.at_ns))
    if not short or demand.is_stopping(turn.run):
        # No step follows on a stopped run, and the first opening of its cleanup is judged like any other.
        hold.end(turn, FLOW_LOW)
        return _finish(turn, phase)
    phase = replace(phase, extended=True)
    turn.change_run(phase=phase)
    is_long = turn.at_ns - phase.end_ns > QUIET_NS
    if is_long or any(not flowing or missing > QUIET_NS for _, missing, flowing in short):
        group, missing, _ = max(short, key=lambda item: item[1])
        hold.start(turn, FLOW_LOW, _why(turn.state, phase, group, missing))
    return None


def answered(turn: Turn, phase: Purging, answer: Answered) -> Verdict | None:
    """Take in the answer to the write that sets the flow, or gives it back."""
    if answer.token != phase.write:
        return None
    failed = writing.settled(turn, phase, answer)
    if failed is not None:
        return failed
    phase = replace(phase, write=None)
    turn.change_run(phase=phase)
    if phase.restoring:
        return _done(turn, phase)
    _flowing(turn, phase)
    return tick(turn, _phase(turn))


def cut(turn: Turn, phase: Purging) -> Verdict | None:
    """Nobody waits for this purge any more: end it here, and give the set point its value back."""
    hold.end(turn, FLOW_LOW)
    return _finish(turn, phase)


def suspend(turn: Turn, phase: Purging) -> None:
    """The run pauses: the gas keeps flowing, and without a feedback nothing of that counts."""
    if not _is_measured(turn, phase):
        _recount(turn, phase, since_ns=None)


def go_on(turn: Turn, phase: Purging) -> None:
    """The run goes on after a pause."""
    if not _is_measured(turn, phase):
        _recount(turn, phase, since_ns=turn.at_ns)


def scanned(turn: Turn, phase: Purging, scan: Scan) -> Verdict | None:
    """Count the time since the last scan, as far as the flow was good; in a pause only what is measured."""
    if phase.flowing_ns is None or phase.restoring:
        return None
    is_paused = hold.is_paused(turn.run)
    if is_paused and not _is_measured(turn, phase):
        return None
    # The flow was read some time after the scan began: what lies before its beginning is certain.
    at_ns = max(scan.started_ns, phase.flowing_ns)
    seen = Seen(
        at_ns=at_ns, is_good=_flow_good(turn.state, phase, at_ns), span_ns=_span_ns(turn, phase)
    )
    updated = {
        group.name: _seen(_exposure(turn.state, group), seen)
        if safety.opened_by_others(turn.state, group) is None
        else Exposure(group=group.name)
        for group in _served(turn.state, phase.leaf)
    }
    turn.change(exposures={**turn.state.exposures, **updated})
    return None if is_paused else tick(turn, phase)


def _is_measured(turn: Turn, phase: Purging) -> bool:
    return turn.layout.gases[phase.leaf.gas].feedback is not None


def _recount(turn: Turn, phase: Purging, since_ns: int | None) -> None:
    """Keep what counts up to now, and count on from `since_ns`."""
    updated = {}
    for group in _served(turn.state, phase.leaf):
        exposure = _exposure(turn.state, group)
        counted_ns = _counted_ns(turn.state, phase, exposure, turn.at_ns)
        updated[group.name] = replace(exposure, counted_ns=counted_ns, since_ns=since_ns)
    turn.change(exposures={**turn.state.exposures, **updated})


def _flowing(turn: Turn, phase: Purging) -> None:
    """The flow is commanded from now on: it counts as long as no scan speaks against it."""
    turn.change_run(phase=replace(phase, flowing_ns=turn.at_ns))
    since = turn.at_ns if _flow_good(turn.state, phase, turn.at_ns) else None
    updated = {
        group.name: replace(_exposure(turn.state, group), since_ns=since)
        for group in _served(turn.state, phase.leaf)
    }
    turn.change(exposures={**turn.state.exposures, **updated})


def _finish(turn: Turn, phase: Purging) -> Verdict | None:
    """Close the account of this purge, and give the set point its value back."""
    updated = {}
    for group in _served(turn.state, phase.leaf):
        exposure = _exposure(turn.state, group)
        updated[group.name] = replace(
            exposure,
            counted_ns=_counted_ns(turn.state, phase, exposure, turn.at_ns),
            since_ns=None,
            commanded_ns=exposure.commanded_ns + phase.leaf.duration_ns,
        )
    turn.change(exposures={**turn.state.exposures, **updated})
    if phase.before is None:
        return _done(turn, phase)
    parameter = turn.layout.setpoint(parameter=None, gas=phase.leaf.gas)
    token = turn.write(Lane.RECIPE, target_of(parameter, phase.before))
    turn.change_run(phase=replace(phase, restoring=True, write=token))
    return None


def _done(turn: Turn, phase: Purging) -> Done:
    # A purge that had to be drawn out moves the whole schedule: no later step is cut short for it.
    due_ns = turn.at_ns if phase.extended else phase.end_ns
    return Done(due_ns=due_ns, nominal_ns=phase.leaf.duration_ns)


def _served(state: State, leaf: Purge) -> Iterator[ExclusionGroup]:
    """Yield the groups that this purge counts for."""
    assert state.layout is not None, "a plant is loaded"
    for group in state.layout.plant.groups:
        if leaf.gas in group.purge_gases and leaf.flow >= group.minimum_flow:
            yield group


def _exposure(state: State, group: ExclusionGroup) -> Exposure:
    return state.exposures.get(group.name, Exposure(group=group.name))


def _seen(exposure: Exposure, seen: Seen) -> Exposure:
    """Return the exposure after a scan; of the time since the one before it counts what that one could speak for."""
    if not seen.is_good:
        return replace(exposure, since_ns=None)
    since = exposure.since_ns
    if since is None or since > seen.at_ns:
        return replace(exposure, since_ns=max(seen.at_ns, since or 0))
    counted_ns = exposure.counted_ns + min(seen.at_ns - since, seen.span_ns)
    return replace(exposure, counted_ns=counted_ns, since_ns=seen.at_ns)


def _flow_good(state: State, phase: Purging, at_ns: int) -> bool:
    """Tell whether the last scan shows the commanded flow at `at_ns`; a gas without feedback is believed unless its set point reads less."""
    assert state.layout is not None, "a plant is loaded"
    gas = state.layout.gases[phase.leaf.gas]
    found = reading.good(state, gas.feedback or gas.setpoint)
    if gas.feedback is None:
        return found is None or _has_moved(state, gas) or _is_enough(phase, found)
    if at_ns > _speaks_until_ns(state, phase):
        return False
    return found is not None and _is_enough(phase, found)


def _is_enough(phase: Purging, found: float) -> bool:
    return found >= FLOW_SHARE_MIN * phase.leaf.flow


def _has_moved(state: State, gas: Gas) -> bool:
    """Tell whether the set point has moved since the last scan began."""
    written = state.written.get(gas.setpoint)
    return written is not None and not reading.is_newer(state, written.moved_ns)


def _counted_ns(state: State, phase: Purging, exposure: Exposure, at_ns: int) -> int:
    """Return how much purge counts at `at_ns`."""
    assert state.layout is not None, "a plant is loaded"
    if exposure.since_ns is None:
        return exposure.counted_ns
    until_ns = min(at_ns, _trusted_until_ns(state, phase))
    return exposure.counted_ns + max(0, until_ns - exposure.since_ns)


def _span_ns(turn: Turn, phase: Purging) -> int:
    """Return how long one scan speaks for the flow; for good where nothing measures it."""
    if turn.layout.gases[phase.leaf.gas].feedback is None:
        return DURATION_NS_MAX
    return FRESH_SCANS * turn.layout.plant.scan_period_ns


def _trusted_until_ns(state: State, phase: Purging) -> int:
    """Return until when the flow counts as good without another scan; 0 where its set point has moved since the last one began."""
    assert state.layout is not None, "a plant is loaded"
    gas = state.layout.gases[phase.leaf.gas]
    is_doubtful = gas.feedback is not None and _has_moved(state, gas)
    return 0 if is_doubtful else _speaks_until_ns(state, phase)


def _speaks_until_ns(state: State, phase: Purging) -> int:
    """Return until when the last scan speaks for the flow."""
    assert state.layout is not None, "a plant is loaded"
    if state.layout.gases[phase.leaf.gas].feedback is None:
        return phase.end_ns + DURATION_NS_MAX
    if state.scan is None:
        return 0
    return state.scan.started_ns + FRESH_SCANS * state.layout.plant.scan_period_ns


def _short(state: State, phase: Purging, at_ns: int) -> Iterator[tuple[ExclusionGroup, int, bool]]:
    """Yield each group that this purge was to satisfy and has not: what is missing, and whether it comes without a scan."""
    for group, exposure in _owed(state, phase):
        missing = group.minimum_purge_ns - _counted_ns(state, phase, exposure, at_ns)
        if missing > 0:
            comes = at_ns + missing <= _trusted_until_ns(state, phase)
            yield group, missing, exposure.since_ns is not None and comes


def _owed(state: State, phase: Purging) -> Iterator[tuple[ExclusionGroup, Exposure]]:
    """Yield the groups that this purge completes by commanded time."""
    for group in _served(state, phase.leaf):
        exposure = _exposure(state, group)
        if exposure.commanded_ns + phase.leaf.duration_ns >= group.minimum_purge_ns:
            yield group, exposure


def _why(state: State, phase: Purging, group: ExclusionGroup, missing_ns: int) -> str:
    assert state.layout is not None, "a plant is loaded"
    stranger = safety.opened_by_others(state, group)
    if stranger is not None:
        return (
            f"valve {stranger} of group {group.name} reads open, and no step has opened it: shut it, or "
            "take it out of the group. No valve of the group opens until then"
        )
    gas = state.layout.gases[phase.leaf.gas]
    shown = gas.feedback or gas.setpoint
    found = reading.good(state, shown)
    seen = "not readable" if found is None else f"{found:g}"
    return (
        f"after {phase.leaf.name} group {group.name} still needs {format_duration(missing_ns)} of "
        f"{gas.name} at {FLOW_SHARE_MIN * phase.leaf.flow:g} or more; {shown} is {seen}. "
        "The gas keeps flowing and no valve opens until then"
    )


def _phase(turn: Turn) -> Purging:
    assert isinstance(turn.run.phase, Purging), "a purge is under way"
    return turn.run.phase
