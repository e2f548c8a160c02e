"""Writes of set points as they are settled: on record, and remembered where they were acknowledged."""

from ald.engine.inputs import Answered
from ald.engine.state import Known
from ald.engine.turn import Turn
from ald.records.event import WriteOutcome, Written


def record(turn: Turn, answer: Answered, *, by: str, parameter: str, value: float) -> None:
    """Put a settled write on record, and remember its value when it was acknowledged."""
    if answer.ok:
        outcome = WriteOutcome.CONFIRMED
        kept = Known(value=value, acked_ns=answer.acked_ns)
        turn.change(written={**turn.state.written, parameter: kept})
    else:
        outcome = WriteOutcome.UNKNOWN if answer.unknown else WriteOutcome.REFUSED
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
