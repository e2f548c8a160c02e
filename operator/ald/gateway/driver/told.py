"""What of the record people look for on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ald.records.event import (
    Event,
    InputsTaken,
    LinkChanged,
    PlantLoaded,
    RunEnded,
    RunStarted,
    SafeStateReached,
    SessionEnded,
    SessionStarted,
    StateChanged,
)

if TYPE_CHECKING:
    from ald.kit.lines import Lines


def tell(log: Lines, event: Event) -> None:
    """Say it; the record has everything."""
    match event:
        case StateChanged():
            log.info(
                "state_changed",
                state=event.state.value,
                previous=event.previous.value,
                reason=event.reason,
                message=event.message,
                run=event.run,
            )
        case RunEnded():
            log.info(
                "run_ended",
                run=event.run,
                outcome=event.outcome.value,
                message=event.message,
                pulses=event.pulses,
                worst_error_ns=event.worst_error_ns,
            )
        case SessionStarted() | SessionEnded() | LinkChanged() | SafeStateReached():
            log.info("record", what=event)
        case PlantLoaded(plant_digest=found):
            log.info("plant_loaded", digest=found)
        case RunStarted(run=run, program_digest=found):
            log.info("run_started", run=run.uid, name=run.name, digest=found)
        case InputsTaken():
            pass  # For a replay: what it holds is nothing to read.
        case _:
            log.debug("record", what=event)
