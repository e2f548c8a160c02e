"""What each event changes in the history, as statements; nothing here talks to a database."""

import functools
from collections.abc import Callable, Iterator
from typing import LiteralString
from uuid import UUID

import msgspec

from ald.records.event import (
    Cleared,
    ClockStepped,
    Event,
    HoldEnded,
    HoldStarted,
    InputsTaken,
    InterlockCleared,
    InterlockTripped,
    LinkChanged,
    PlantLoaded,
    PromptConfirmed,
    PulseDone,
    PulseOpening,
    RunEnded,
    RunOutcome,
    RunStarted,
    SafeStateReached,
    SessionEnded,
    SessionStarted,
    StateChanged,
    StepEnded,
    StepStarted,
    TimedBy,
    Written,
    run_of,
)
from ald.store.model import utc

STATUS = {
    RunOutcome.COMPLETED: "completed",
    RunOutcome.ABORTED: "aborted",
    RunOutcome.STOPPED: "aborted",
    RunOutcome.SHUTDOWN: "aborted",
}
"""Outcomes that are no failure."""

_ELSEWHERE = frozenset({"plant", "program", "recipe_source"})
"""Large parts of events that lie in plants and process_executions."""

_WHOLE_RUN = frozenset({"recipe_source"})
"""What lies in process_executions of a run that is resumed."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an event comes from."""

    machine_id: int
    feed: str
    position: int
    session: str


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """SQL and its parameters."""

    sql: LiteralString
    parameters: tuple[object, ...]


def statements(event: Event, place: Place) -> tuple[Statement, ...]:
    """Return what to execute for one event, in order. Rows of its run exist already."""
    return tuple(_facts(event, place))


@functools.singledispatch
def _facts(event: Event, place: Place) -> Iterator[Statement]:
    raise AssertionError(f"no event at {place}: {event!r}")


def _record(
    event: Event, place: Place, elsewhere: frozenset[str] = _ELSEWHERE
) -> Iterator[Statement]:
    """Keep an event that changes no other table, or what is not `elsewhere`."""
    body = {k: v for k, v in msgspec.to_builtins(event).items() if k not in elsewhere}
    yield Statement(
        sql="INSERT INTO machine_events (feed, feed_position, machine_id, process_id, session, kind, timestamp, body) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s::jsonb)",
        parameters=(
            place.feed,
            place.position,
            place.machine_id,
            _uid(run_of(event)),
            place.session,
            body.pop("kind"),
            utc(event.wall_ns),
            msgspec.json.encode(body).decode(),
        ),
    )


_recorded: tuple[Callable[..., object], ...] = tuple(
    _facts.register(kind, _record)
    for kind in (
        SessionStarted,
        SessionEnded,
        PlantLoaded,
        InterlockTripped,
        InterlockCleared,
        SafeStateReached,
        ClockStepped,
        Cleared,
        PromptConfirmed,
    )
)


@_facts.register
def _(_event: InputsTaken, _place: Place) -> Iterator[Statement]:
    """Nothing: it is for a replay from the feed, and as large as everything else of a run together."""
    yield from ()


@_facts.register
def _(event: StateChanged, place: Place) -> Iterator[Statement]:
    yield Statement(
        sql="INSERT INTO machine_state (machine_id, current_state, state_since, reason, message, process_id) "
        "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (machine_id) DO UPDATE SET current_state = excluded.current_state, "
        "state_since = excluded.state_since, reason = excluded.reason, message = excluded.message, "
        "process_id = excluded.process_id, updated_at = now()",
        parameters=(
            place.machine_id,
            event.state.value,
            utc(event.wall_ns),
            event.reason,
            event.message,
            _uid(event.run),
        ),
    )
    yield from _record(event, place)


@_facts.register
def _(event: LinkChanged, place: Place) -> Iterator[Statement]:
    yield Statement(
        sql="INSERT INTO machine_state (machine_id, current_state, state_since, reason, message, plc_connected, plc_since) "
        "VALUES (%s, 'Unknown', %s, '', '', %s, %s) ON CONFLICT (machine_id) DO UPDATE SET "
        "plc_connected = excluded.plc_connected, plc_since = excluded.plc_since, updated_at = now()",
        parameters=(
            place.machine_id,
            utc(event.wall_ns),
            event.connected,
            utc(event.wall_ns),
        ),
    )
    yield from _record(event, place)


@_facts.register
def _(event: RunStarted, place: Place) -> Iterator[Statement]:
    yield _begun(event) if event.attempt == 1 else _resumed(event)
    yield Statement(
        sql="UPDATE machine_state SET process_id = %s, updated_at = now() WHERE machine_id = %s",
        parameters=(_uid(event.run.uid), place.machine_id),
    )
    # The program of the whole run stays where it is; that of the rest has no other place.
    yield from _record(event, place, _ELSEWHERE if event.attempt == 1 else _WHOLE_RUN)


def _begun(event: RunStarted) -> Statement:
    return Statement(
        sql="UPDATE process_executions SET namespace = %s, name = %s, recipe_version = %s::jsonb, program = %s::jsonb, "
        "program_digest = %s, start_time = %s WHERE id = %s",
        parameters=(
            event.run.namespace,
            event.run.name,
            event.recipe_source,
            msgspec.json.encode(event.program).decode(),
            event.program_digest,
            utc(event.wall_ns),
            _uid(event.run.uid),
        ),
    )


def _resumed(event: RunStarted) -> Statement:
    """The end that is on record was that of the attempt before."""
    return Statement(
        sql="UPDATE process_executions SET attempts = %s, status = 'running', outcome = NULL, end_time = NULL, "
        "error_message = NULL, ended_by = NULL WHERE id = %s",
        parameters=(event.attempt, _uid(event.run.uid)),
    )


@_facts.register
def _(event: RunEnded, place: Place) -> Iterator[Statement]:
    # Power lost right after the end has the next gateway end the run once more, by what it knows: the first end counts.
    yield Statement(
        sql="UPDATE process_executions SET status = %s, outcome = %s, end_time = %s, error_message = %s, ended_by = %s, "
        "leaves_done = %s, pulses = %s, worst_error_ns = %s, p50_error_ns = %s, p99_error_ns = %s, "
        "worst_relative_error = %s WHERE id = %s AND end_time IS NULL",
        parameters=(
            STATUS.get(event.outcome, "failed"),
            event.outcome.value,
            utc(event.wall_ns),
            event.message,
            event.by,
            *_counts(event),
            _uid(event.run),
        ),
    )
    yield Statement(
        sql="UPDATE machine_state SET process_id = NULL, updated_at = now() WHERE machine_id = %s AND process_id = %s",
        parameters=(place.machine_id, _uid(event.run)),
    )
    yield from _record(event, place)


def _counts(event: RunEnded) -> tuple[float | None, ...]:
    """Return what was counted of a run; nothing where it is not exact, because unknown is not none."""
    timing = event.timing
    counted = (event.leaves_done, event.pulses, event.worst_error_ns, timing.p50_error_ns)
    all_ = (*counted, timing.p99_error_ns, timing.worst_relative_error)
    return all_ if event.exact else (None,) * len(all_)


@_facts.register
def _(event: StepStarted, _place: Place) -> Iterator[Statement]:
    run = _uid(event.run)
    yield Statement(
        sql="INSERT INTO process_execution_state (execution_id, current_overall_step, current_step_type, "
        "current_step_name, current_step_path, iterations, last_updated) VALUES (%s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (execution_id) DO UPDATE SET current_overall_step = excluded.current_overall_step, "
        "current_step_type = excluded.current_step_type, current_step_name = excluded.current_step_name, "
        "current_step_path = excluded.current_step_path, iterations = excluded.iterations, "
        "last_updated = excluded.last_updated",
        parameters=(
            run,
            event.ordinal,
            event.step,
            event.name,
            event.path,
            list(event.iterations),
            utc(event.wall_ns),
        ),
    )
    yield Statement(
        sql="INSERT INTO step_execution_history (process_id, step_number, step_type, step_name, step_path, iterations, "
        "started_at) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        parameters=(
            run,
            event.ordinal,
            event.step,
            event.name,
            event.path,
            list(event.iterations),
            utc(event.wall_ns),
        ),
    )


@_facts.register
def _(event: StepEnded, _place: Place) -> Iterator[Statement]:
    yield Statement(
        sql="INSERT INTO step_execution_history (process_id, step_number, ended_at, error) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (process_id, step_number) DO UPDATE SET ended_at = excluded.ended_at, error = excluded.error",
        parameters=(_uid(event.run), event.ordinal, utc(event.wall_ns), event.error),
    )


@_facts.register
def _(event: HoldStarted, place: Place) -> Iterator[Statement]:
    yield _held(event.run, f"{event.reason}: {event.message}")
    yield from _record(event, place)


@_facts.register
def _(event: HoldEnded, place: Place) -> Iterator[Statement]:
    yield _held(event.run, "")
    yield from _record(event, place)


@_facts.register
def _(event: PulseOpening, place: Place) -> Iterator[Statement]:
    yield Statement(
        sql="INSERT INTO recipe_execution_audit (machine_id, process_id, feed, feed_position, operation_type, "
        "requested_by, step_sequence, target, operation_initiated_at, final_status) "
        "VALUES (%s, %s, %s, %s, 'valve', '', %s, %s, %s, 'Initiated')",
        parameters=(
            place.machine_id,
            _uid(event.run),
            place.feed,
            place.position,
            event.ordinal,
            event.valve,
            _wall(event, event.due_ns),
        ),
    )


@_facts.register
def _(event: PulseDone, place: Place) -> Iterator[Statement]:
    yield Statement(
        sql="INSERT INTO recipe_execution_audit (machine_id, process_id, feed, feed_position, operation_type, "
        "requested_by, step_sequence, step_path, step_name, iterations, target, target_value, duration_ns, "
        "operation_initiated_at, plc_write_start_time, plc_write_end_time, plc_close_start_time, plc_close_end_time, "
        "error_ns, uncertainty_ns, operation_completed_at, final_status, timed_by) "
        "VALUES (%s, %s, %s, %s, 'valve', %s, %s, %s, %s, %s, %s, 1, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (process_id, step_sequence) WHERE operation_type = 'valve' DO UPDATE SET "
        "requested_by = excluded.requested_by, step_path = excluded.step_path, step_name = excluded.step_name, "
        "iterations = excluded.iterations, target_value = excluded.target_value, duration_ns = excluded.duration_ns, "
        "operation_initiated_at = excluded.operation_initiated_at, plc_write_start_time = excluded.plc_write_start_time, "
        "plc_write_end_time = excluded.plc_write_end_time, plc_close_start_time = excluded.plc_close_start_time, "
        "plc_close_end_time = excluded.plc_close_end_time, error_ns = excluded.error_ns, "
        "uncertainty_ns = excluded.uncertainty_ns, operation_completed_at = excluded.operation_completed_at, "
        "final_status = excluded.final_status, timed_by = excluded.timed_by",
        parameters=(
            place.machine_id,
            _uid(event.run),
            place.feed,
            place.position,
            event.name,
            event.ordinal,
            event.path,
            event.name,
            list(event.iterations),
            event.valve,
            event.open_ns,
            _wall(event, event.due_ns),
            _wall(event, event.opened_sent_ns),
            _wall(event, event.opened_ack_ns),
            _wall(event, event.closed_sent_ns),
            _wall(event, event.closed_ack_ns),
            # Nobody has measured what the PLC has timed.
            None if event.timed_by is TimedBy.PLC else event.error_ns,
            event.uncertainty_ns,
            utc(event.wall_ns),
            event.outcome.value,
            event.timed_by.value,
        ),
    )


@_facts.register
def _(event: Written, place: Place) -> Iterator[Statement]:
    yield Statement(
        sql="INSERT INTO recipe_execution_audit (machine_id, process_id, feed, feed_position, operation_type, "
        "requested_by, step_sequence, target, target_value, operation_initiated_at, plc_write_start_time, "
        "plc_write_end_time, operation_completed_at, final_status, error_message) "
        "VALUES (%s, %s, %s, %s, 'write', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        parameters=(
            place.machine_id,
            _uid(event.run),
            place.feed,
            place.position,
            event.by,
            event.ordinal or None,
            event.target,
            event.value,
            _wall(event, event.sent_ns),
            _wall(event, event.sent_ns),
            _wall(event, event.ack_ns),
            utc(event.wall_ns),
            event.outcome.value,
            event.error or None,
        ),
    )


def _held(run: str, text: str) -> Statement:
    return Statement(
        sql="UPDATE process_execution_state SET held = %s WHERE execution_id = %s",
        parameters=(text, _uid(run)),
    )


def _wall(event: Event, at_ns: int) -> object:
    """Return a monotonic time of an event as UTC; NULL where it is not known (0)."""
    return utc(event.wall_ns + at_ns - event.at_ns) if at_ns else None


def _uid(run: str) -> UUID | str | None:
    """Return a run's uid for a uuid column; what is none goes to the database as it is, which says so."""
    try:
        return UUID(run) if run else None
    except ValueError:
        return run
