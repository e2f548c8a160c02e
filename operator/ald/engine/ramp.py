"""A set point on its way at a steady rate: one write a second at most, and the exact end."""

from msgspec.structs import replace

from ald.engine import setpoint, writing
from ald.engine.effects import Lane
from ald.engine.inputs import Answered
from ald.engine.layout import target_of
from ald.engine.state import Ramping
from ald.engine.turn import Turn
from ald.engine.verdict import Done, Failed, Verdict
from ald.program.model import Ramp
from ald.units import DURATION_NS_MAX, format_duration

STEP_NS = 1_000_000_000
"""Time between two writes."""


def begin(turn: Turn, leaf: Ramp) -> Verdict | None:
    """Find where the set point is; the way from there decides how long it takes."""
    parameter = turn.layout.setpoint(parameter=leaf.parameter, gas=leaf.gas)
    start = setpoint.standing(turn, parameter, "a ramp has nowhere to start")
    if isinstance(start, Failed):
        return start
    takes_ns = abs(leaf.to - start) / leaf.per_second * 1e9
    if takes_ns > DURATION_NS_MAX:
        longest = format_duration(DURATION_NS_MAX)
        return Failed(error=f"from {start:g} to {leaf.to:g} takes longer than {longest}")
    began_ns = turn.run.due_ns
    end_ns = began_ns + round(takes_ns)
    phase = Ramping(
        leaf=leaf,
        start=start,
        began_ns=began_ns,
        end_ns=end_ns,
        next_ns=_after(began_ns, end_ns),
        value=start,
    )
    turn.change_run(phase=phase)
    return tick(turn, phase)


def wake_ns(phase: Ramping) -> int | None:
    """Return when the next write is due."""
    return None if phase.write is not None else phase.next_ns


def tick(turn: Turn, phase: Ramping) -> Verdict | None:
    """Write the next value when it is due."""
    if phase.write is not None or turn.at_ns < phase.next_ns:
        return None
    leaf = phase.leaf
    parameter = turn.layout.setpoint(parameter=leaf.parameter, gas=leaf.gas)
    value = _value(phase, turn.at_ns)
    setpoint.forget(turn, parameter.name)
    token = turn.write(Lane.RECIPE, target_of(parameter, value))
    turn.change_run(phase=replace(phase, value=value, write=token))
    return None


def answered(turn: Turn, phase: Ramping, answer: Answered) -> Verdict | None:
    """Take in the answer to a write; the last one ends the leaf."""
    if answer.token != phase.write:
        return None
    failed = writing.settled(turn, phase, answer)
    if failed is not None:
        return failed
    leaf = phase.leaf
    if phase.value == leaf.to:
        parameter = turn.layout.setpoint(parameter=leaf.parameter, gas=leaf.gas)
        setpoint.expect(turn, step=leaf.name, parameter=parameter.name, value=leaf.to)
        # What a late link adds to the end shifts the rest of the schedule.
        return Done(due_ns=max(phase.end_ns, turn.run.due_ns), nominal_ns=0)
    turn.change_run(phase=replace(phase, write=None, next_ns=_after(phase.next_ns, phase.end_ns)))
    return None


def _after(previous_ns: int, end_ns: int) -> int:
    """Return the time of the write after `previous_ns`: a second later, and none within the last second but the end."""
    following = previous_ns + STEP_NS
    return end_ns if following + STEP_NS > end_ns else following


def _value(phase: Ramping, at_ns: int) -> float:
    """Return where the set point should be at `at_ns`."""
    leaf = phase.leaf
    if phase.next_ns >= phase.end_ns or at_ns >= phase.end_ns:
        return leaf.to
    way = leaf.per_second * (at_ns - phase.began_ns) / 1e9
    return phase.start + way if leaf.to > phase.start else phase.start - way
