"""The status of a RecipeRun as it is written: phase, message, progress, conditions. Pure."""

from __future__ import annotations

import hashlib

import msgspec

from ald.controller.apply import Document
from ald.controller.conditions import Fact, bounded, conditions, rfc3339
from ald.controller.pulse_timing import pulses_of
from ald.controller.run_decision import End, Report, RunFacts
from ald.controller.world import generation
from ald.wire import RunProgress

VOLATILE = frozenset({"iterations", "stepsDone", "percent", "progress", "estimatedEnd", "pulses"})
"""Fields of the status that move all the time; a change of any other is worth an early write."""

CARRIED = (
    "step", "iterations", "stepsDone", "stepsTotal", "percent", "progress", "startedAt", "programDigest",
    "gatewaySession", "pulses", "resumed",
)  # fmt: skip


def progress_details(facts: RunFacts, progress: RunProgress) -> Document:
    """Return what a status shows of the progress that the gateway tells of."""
    driver = facts.situation.reach.driver
    percent = min(100, progress.leaves_done * 100 // max(progress.leaves_total, 1))
    details: Document = {
        "step": progress.step[:400],
        "iterations": " ".join(f"{at}/{count}" for at, count in progress.iterations)[:100],
        "stepsDone": progress.leaves_done,
        "stepsTotal": progress.leaves_total,
        "percent": percent,
        "progress": f"{percent} %",
        # Of the whole run: what is handed over when it is taken up again is the rest of it.
        "programDigest": facts.run.get("status", {}).get("programDigest")
        or progress.program_digest,
        "resumed": progress.attempt - 1,
        # The session that took it: after a restart of the gateway another one tells of its end.
        "gatewaySession": facts.run.get("status", {}).get("gatewaySession")
        or (driver.session if driver else ""),
        "pulses": pulses_of(progress),
    }
    if progress.hold_reason:
        details["held"] = {
            "reason": progress.hold_reason,
            "since": rfc3339(progress.held_since_wall_ns),
            "until": rfc3339(progress.held_until_wall_ns),
        }
        if progress.hold_obstacle not in ("", progress.hold_reason):
            details["held"]["obstacle"] = progress.hold_obstacle
    if progress.prompt_id:
        details["prompt"] = {"id": progress.prompt_id, "message": progress.prompt_message}
    # Nobody knows how long a run will be held.
    is_open_ended = progress.outcome is not None or progress.hold_reason
    times = (
        ("startedAt", progress.started_wall_ns),
        ("endedAt", progress.ended_wall_ns),
        ("estimatedEnd", 0 if is_open_ended else progress.estimated_end_wall_ns),
    )
    return details | {name: rfc3339(at) for name, at in times if at}


def report(
    facts: RunFacts,
    now: str,
    reason: str,
    message: str,
    details: Document | None = None,
    more: tuple[Fact, ...] = (),
) -> Report:
    """Return that the run is not over, with its status."""
    phases = {
        "Running": "Running",
        "Held": "Held",
        "Paused": "Held",
        "GatewayUnreachable": "Running",
        "Resuming": "Held",
        "Queued": "Queued",
    }
    phase = phases.get(reason, "Pending")
    succeeded = Fact(type="Succeeded", status="Unknown", reason=reason, message=message)
    return Report(status=_status(facts.run, now, (succeeded, *more), phase) | (details or {}))


def end(
    facts: RunFacts,
    now: str,
    reason: str,
    message: str,
    details: Document | None = None,
    more: tuple[Fact, ...] = (),
) -> End:
    """Return that the run is over, with its last status."""
    succeeded = reason in ("Completed", "DryRun")
    phase = "Succeeded" if succeeded else reason if reason in ("Aborted", "Stopped") else "Failed"
    verdict = "True" if succeeded else "False"
    fact = Fact(type="Succeeded", status=verdict, reason=reason, message=message)
    status = _status(facts.run, now, (fact, *more), phase) | {"endedAt": now} | (details or {})
    return End(status=status, reason=reason)


def _status(run: Document, now: str, facts: tuple[Fact, ...], phase: str) -> Document:
    """Return a status; the first fact speaks for the run."""
    old = run.get("status", {}).get("conditions", [])
    return {
        "observedGeneration": generation(run),
        "phase": phase,
        "message": bounded(facts[0].message),
        "inputsDigest": run.get("status", {}).get("inputsDigest") or inputs_digest(run),
        "conditions": conditions(facts, old, now=now, generation=generation(run)),
    }


def inputs_digest(run: Document) -> str:
    """Return the digest of a run's inputs."""
    inputs = run["spec"].get("inputs") or {}
    return hashlib.sha256(msgspec.json.encode(inputs, order="deterministic")).hexdigest()
