"""Writes of set points as they are settled: on record, and remembered where they were acknowledged."""

from msgspec.structs import replace

from ald.engine import reading
from ald.engine.inputs import Answered
from ald.engine.layout import same_value
from ald.engine.state import Known, Phase, Purging, Ramping, Setting, phases
from ald.engine.turn import Turn
from ald.engine.verdict import Failed
from ald.records.event import WriteOutcome, Written

Writing = Setting | Ramping | Purging
"""The phases that write a set point."""


def settled(turn: Turn, phase: Writing, answer: Answered) -> Failed | None:
    """Put the write of a phase on record, and remember its value when it was acknowledged, or that nobody knows it any more."""
    by, parameter, value = _wanted(turn, phase)
    _record(turn, answer, by=by, parameter=parameter, value=value)
    if answer.ok:
        return None
    return Failed(error=f"{parameter} was not set to {value:g}: {answer.error}")


def late(turn: Turn, answer: Answered) -> None:
    """Put a write on record that was on its way when the run's end began; of one that never left there is nothing to say."""
    ending = turn.state.ending
    assert ending is not None, "the run is being ended"
    for phase in phases(turn.run):
        if not isinstance(phase, Writing) or phase.write != answer.token:
            continue
        if answer.sent_ns:
            settled(turn, phase, answer)
        turn.change(ending=replace(ending, answered=(*ending.answered, answer.token)))


def unanswered(turn: Turn, phase: Phase | None, why: str) -> None:
    """Put a write on record whose answer the run's end did not wait for, if there is one: nobody knows what became of it."""
    if not isinstance(phase, Writing) or phase.write is None:
        return
    ending, token = turn.state.ending, phase.write
    if ending is not None and token in ending.answered:
        return
    unknown = Answered(
        at_ns=turn.at_ns, token=token, ok=False, unknown=True, error=why, sent_ns=0, acked_ns=0
    )
    settled(turn, phase, unknown)


def _wanted(turn: Turn, phase: Writing) -> tuple[str, str, float]:
    """Return on whose behalf which parameter is written, and with what."""
    match phase:
        case Setting(leaf=leaf):
            parameter = turn.layout.setpoint(parameter=leaf.parameter, gas=leaf.gas)
            return leaf.name, parameter.name, leaf.value
        case Ramping(leaf=leaf, value=value):
            parameter = turn.layout.setpoint(parameter=leaf.parameter, gas=leaf.gas)
            return leaf.name, parameter.name, value
        case Purging(leaf=leaf):
            flow = leaf.flow if not phase.restoring else phase.before
            assert flow is not None, "only a flow that moved is given back"
            return "purge", turn.layout.setpoint(parameter=None, gas=leaf.gas).name, flow


def _record(turn: Turn, answer: Answered, *, by: str, parameter: str, value: float) -> None:
    outcome = WriteOutcome.UNKNOWN if answer.unknown else WriteOutcome.REFUSED
    if answer.ok:
        outcome = WriteOutcome.CONFIRMED
        _keep(turn, parameter, _acknowledged(turn, answer, parameter, value))
    elif answer.unknown:
        before, known = reading.known(turn.state, parameter), turn.state.written.get(parameter)
        kept = value if before is None else before
        acked_ns = known.acked_ns if known is not None else 0
        # It moved, perhaps, later than anything was acknowledged: so it is doubtful.
        _keep(turn, parameter, Known(value=kept, acked_ns=acked_ns, moved_ns=turn.at_ns))
    turn.journal(
        Written(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            run=turn.run.identity.uid,
            ordinal=turn.run.ordinal,
            by=by,
            target=parameter,
            value=value,
            sent_ns=answer.sent_ns,
            ack_ns=answer.acked_ns,
            outcome=outcome,
            error=answer.error,
        )
    )


def _acknowledged(turn: Turn, answer: Answered, parameter: str, value: float) -> Known:
    known = turn.state.written.get(parameter)
    before = reading.known(turn.state, parameter)
    is_same = before is not None and same_value(turn.layout.parameters[parameter], value, before)
    moved_ns = answer.acked_ns
    if is_same and not reading.is_doubtful(turn.state, parameter):
        moved_ns = known.moved_ns if known is not None else 0
    return Known(value=value, acked_ns=answer.acked_ns, moved_ns=moved_ns)


def _keep(turn: Turn, parameter: str, known: Known) -> None:
    turn.change(written={**turn.state.written, parameter: known})
