"""Set points: one write, acknowledged; then the scans must show it, without the run waiting for them.

A value that is not read back within `READBACK_SCANS` scans begun after the acknowledgement fails the step that is under way
by then, and the record names the step that wrote it.
"""

from msgspec.structs import replace

from ald.engine import reading, writing
from ald.engine.effects import Lane
from ald.engine.inputs import Answered
from ald.engine.layout import same_value, target_of, within_limits
from ald.engine.state import Readback, Setting
from ald.engine.turn import Turn
from ald.engine.verdict import Done, Failed, Verdict
from ald.plant.limits import limit_violation
from ald.plant.model import Parameter
from ald.program.model import Set
from ald.records.event import WriteOutcome, Written
from ald.records.scan import Scan

READBACK_SCANS = 3
"""Scans in which a written value may show."""


def begin(turn: Turn, leaf: Set) -> None:
    """Write the value.

    Raises:
        SafetyError: there is no such set point, or the value is outside its limits.
    """
    parameter = turn.layout.setpoint(parameter=leaf.parameter, gas=leaf.gas)
    token = turn.write(Lane.RECIPE, target_of(parameter, leaf.value))
    turn.change_run(phase=Setting(leaf=leaf, write=token))


def answered(turn: Turn, phase: Setting, answer: Answered) -> Verdict | None:
    """Take in the answer to the write."""
    if answer.token != phase.write:
        return None
    failed = writing.settled(turn, phase, answer)
    if failed is not None:
        return failed
    leaf = phase.leaf
    parameter = turn.layout.setpoint(parameter=leaf.parameter, gas=leaf.gas)
    expect(turn, step=leaf.name, parameter=parameter.name, value=leaf.value)
    return Done(due_ns=turn.at_ns, nominal_ns=0)


def expect(turn: Turn, *, step: str, parameter: str, value: float) -> None:
    """From now on the scans must show this value; an older expectation of the same parameter is over."""
    others = tuple(r for r in turn.run.readbacks if r.parameter != parameter)
    expected = Readback(
        step=step,
        parameter=parameter,
        value=value,
        acked_ns=turn.at_ns,
        scans_left=READBACK_SCANS,
    )
    turn.change_run(readbacks=(*others, expected))


def standing(turn: Turn, parameter: Parameter, otherwise: str) -> float | Failed:
    """Return where the set point stands, as a value that may be written; `otherwise` ends the sentence that says why not."""
    found = reading.known(turn.state, parameter.name)
    if found is None:
        return Failed(error=f"{parameter.name} cannot be read, so {otherwise}")
    value = within_limits(parameter, found)
    broken = limit_violation(parameter, value, parameter.name)
    if broken is not None:
        return Failed(error=f"{broken.rule}, and stands at {value:g}, so {otherwise}; set it first")
    return value


def forget(turn: Turn, parameter: str) -> None:
    """Somebody else writes this parameter now: what was expected of it is over."""
    kept = tuple(r for r in turn.run.readbacks if r.parameter != parameter)
    if len(kept) != len(turn.run.readbacks):
        turn.change_run(readbacks=kept)


def scanned(turn: Turn, scan: Scan) -> str:
    """Compare the scan with what was written; return what is wrong after the last chance, empty while nothing is."""
    waiting = []
    wrong = ""
    for expected in turn.run.readbacks:
        if scan.started_ns < expected.acked_ns:
            waiting.append(expected)
            continue
        parameter = turn.layout.parameters[expected.parameter]
        found = reading.good(turn.state, expected.parameter)
        if found is not None and same_value(parameter, expected.value, found):
            continue
        if expected.scans_left > 1:
            waiting.append(replace(expected, scans_left=expected.scans_left - 1))
            continue
        wrong = _mismatch(turn, expected, found)
    turn.change_run(readbacks=tuple(waiting))
    return wrong


def _mismatch(turn: Turn, expected: Readback, found: float | None) -> str:
    shown = "cannot be read" if found is None else f"reads {found:g}"
    error = (
        f"{expected.parameter} {shown} {READBACK_SCANS} scans after step {expected.step} "
        f"set it to {expected.value:g}"
    )
    turn.journal(
        Written(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            run=turn.run.identity.uid,
            ordinal=turn.run.ordinal,
            by=expected.step,
            target=expected.parameter,
            value=expected.value,
            sent_ns=0,
            ack_ns=expected.acked_ns,
            outcome=WriteOutcome.MISMATCH,
            error=error,
        )
    )
    return error
