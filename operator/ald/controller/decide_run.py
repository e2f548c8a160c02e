"""What to do about one RecipeRun now, and what its status says. Pure."""

from __future__ import annotations

import hashlib

import msgspec

from ald.controller.apply import Document
from ald.controller.conditions import Fact, bounded, conditions, listed, rfc3339
from ald.controller.decide_machine import (
    FOREIGN_MASTER,
    NO_WATCHDOG,
    interlocks,
    lacks_watchdog,
)
from ald.controller.plan import plan
from ald.controller.pulse_timing import pulses_of, timing_known, timing_lost, timing_met
from ald.controller.readiness import unready
from ald.controller.views import BUSY, Situation
from ald.controller.world import (
    generation,
    has_ended,
    is_deleting,
    uid,
    wanted_action,
    wants_end,
    was_handed_over,
)
from ald.errors import Violation
from ald.plant.model import Mode
from ald.program.go_on import go_on
from ald.program.model import Program
from ald.records.event import MachineState, RunOutcome
from ald.wire import RunAction, RunProgress

MISSING_S_MAX = 120.0
"""How long a run waits for a recipe or machine that is not there; GitOps applies things in any order."""

LOST_S_MAX = 20.0
"""How long a gateway that answers may not know a run that it took, before the run is given up."""

NOTHING_MOVED = "Ended before it started: nothing has moved."

VOLATILE = frozenset({"iterations", "stepsDone", "percent", "progress", "estimatedEnd", "pulses"})
"""Fields of the status that move all the time; a change of any other is worth an early write."""

_CARRIED = (
    "step", "iterations", "stepsDone", "stepsTotal", "percent", "progress", "startedAt", "programDigest",
    "gatewaySession", "pulses",
)  # fmt: skip


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A program for this run on this machine as they are now."""

    program: Program
    digest: str


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no program; `reason` is a run's reason."""

    reason: str
    violations: tuple[Violation, ...]


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides about one run.

    Attributes:
        position: its place among the runs of its machine that no gateway has, from 1.
        missing_s: how long its recipe or machine has been missing, 0 when both are there.
        lost_s: how long a gateway that answers has not known it although it took it.
        checked: what compiling it gave; None while it has not been compiled as things are now.
        refusal: why the gateway did not take it when it was last offered.
        was_taken: whether a gateway has taken it, though its status may not say so yet.
    """

    run: Document
    has_recipe: bool
    situation: Situation
    position: int = 1
    missing_s: float = 0.0
    lost_s: float = 0.0
    checked: Compiled | Rejected | None = None
    refusal: str = ""
    was_taken: bool = False


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Say how the run stands; it is not over. `tell` is what the gateway still has to be told that it shall do."""

    status: Document
    tell: RunAction | None = None


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The run is over: write this status once, and never another."""

    status: Document
    reason: str


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """Compile the run, then decide again."""


class HandOver(msgspec.Struct, frozen=True, kw_only=True):
    """Give the run to the gateway."""

    compiled: Compiled


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """The run is over and says so."""


RunDecision = Report | End | Check | HandOver | Nothing


def decide_run(facts: RunFacts, *, now: str) -> RunDecision:
    """Return the one thing to do about a run; `now` is an RFC 3339 time."""
    if has_ended(facts.run):
        return Nothing()
    progress = facts.situation.reach.progress
    if progress is not None and progress.run.uid == uid(facts.run):
        return _mirror(facts, progress, now)
    if facts.was_taken or was_handed_over(facts.run):
        return _without_word(facts, now)
    if wants_end(facts.run):
        return _end(facts, now, "Aborted", NOTHING_MOVED)
    if wanted_action(facts.run) is RunAction.STOP:
        return _end(facts, now, "Stopped", NOTHING_MOVED)
    return (
        _missing(facts, now)
        or _changed(facts, now)
        or _checked(facts, now)
        or _paused(facts, now)
        or _queued(facts, now)
    )


def _mirror(facts: RunFacts, progress: RunProgress, now: str) -> RunDecision:
    """Show what the gateway says of the run."""
    details = _progress(facts, progress)
    if progress.outcome is None:
        message = progress.held or progress.message or "The gateway runs it."
        reason = "Running"
        if progress.held:
            reason = "Paused" if progress.hold_reason == "Paused" else "Held"
        if wants_end(facts.run):
            message = f"Aborting: {message}"
        report = _report(facts, now, reason, message, details, timing_met(progress))
        return msgspec.structs.replace(report, tell=_untold(facts.run, progress))
    done = progress.outcome is RunOutcome.COMPLETED
    message = progress.message or ("Completed." if done else progress.outcome.value)
    if not done:
        message += _rest(progress)
    return _end(facts, now, progress.outcome.value, message, details, timing_met(progress))


def _rest(progress: RunProgress) -> str:
    """Return where a new run can take this one up, to be added to its message; nothing where it did not end in a loop."""
    text = go_on(progress.reached.step, progress.reached.iterations)
    return f"; {text}" if text else ""


def _untold(run: Document, progress: RunProgress) -> RunAction | None:
    """Return what the gateway does not know yet that the run shall do; a stop is final, and an abort goes its own way."""
    wanted = wanted_action(run)
    if wants_end(run) or progress.action in (wanted, RunAction.STOP):
        return None
    return wanted


def _without_word(facts: RunFacts, now: str) -> RunDecision:
    """A gateway has taken the run, and does not speak of it now."""
    carried = {k: v for k, v in facts.run.get("status", {}).items() if k in _CARRIED}
    if facts.situation.machine is None and facts.missing_s >= MISSING_S_MAX:
        message = "The Machine is gone, and with it the only record of how the run went on."
        return _end(facts, now, "MachineNotFound", message, carried, timing_lost(facts.run))
    if facts.lost_s >= LOST_S_MAX:
        message = (
            "The gateway answers but does not know this run any more: its volume was lost or replaced."
            " The machine was made safe when the gateway started."
        )
        return _end(facts, now, "GatewayRestarted", message, carried, timing_lost(facts.run))
    why = (
        facts.situation.reach.message
        if facts.situation.reach.status is None
        else "its driver starts"
    )
    message = (
        f"The gateway cannot be asked ({why}). It goes on by itself or has made the machine safe;"
        " the outcome is shown when it answers."
    )
    known = timing_known(facts.run)
    return _report(facts, now, "GatewayUnreachable", message, carried, known)


def _missing(facts: RunFacts, now: str) -> RunDecision | None:
    """Wait a while for what the run names, then give up."""
    namespace = facts.run["metadata"]["namespace"]
    machine = facts.situation.machine
    if not facts.has_recipe:
        kind, name, reason = "Recipe", facts.run["spec"]["recipeRef"]["name"], "RecipeNotFound"
    elif machine is None or is_deleting(machine):
        kind, name, reason = "Machine", facts.run["spec"]["machineRef"]["name"], "MachineNotFound"
    else:
        return None
    what = "is being deleted" if machine is not None and kind == "Machine" else "does not exist"
    message = f"{kind} {name} {what} in namespace {namespace}."
    if facts.missing_s >= MISSING_S_MAX:
        return _end(facts, now, reason, f"{message} Create it, then apply a new run.")
    wait = f" The run waits {MISSING_S_MAX:.0f} s for it."
    return _report(facts, now, "Pending", message + wait)


def _checked(facts: RunFacts, now: str) -> RunDecision | None:
    """Compile before queueing, so that a mistake is told at once."""
    situation = facts.situation
    if situation.plant is None:
        message = f"Machine is not valid: {listed(situation.violations)}"
        return _report(facts, now, "MachineNotReady", message, {"queuePosition": facts.position})
    match facts.checked:
        case None:
            return Check()
        case Rejected(reason=reason, violations=violations):
            return _end(facts, now, reason, listed(violations, 10))
        case Compiled(program=program, digest=digest) if facts.run["spec"].get("dryRun"):
            details = {
                "plan": plan(program, situation.plant),
                "stepsTotal": program.estimate.leaves,
                "programDigest": digest,
            }
            return _end(facts, now, "DryRun", "Nothing has moved; see status.plan.", details)
        case _:
            return None


def _changed(facts: RunFacts, now: str) -> RunDecision | None:
    """Refuse a run whose inputs were changed together with its action, where the API server cannot see it."""
    if facts.run.get("status", {}).get("inputsDigest") in (None, "", _inputs_digest(facts.run)):
        return None
    message = "spec.inputs: a run's inputs cannot be changed. Nothing has moved; apply a new run."
    return _end(facts, now, "InvalidInput", message)


def _paused(facts: RunFacts, now: str) -> RunDecision | None:
    """A run that is paused before it starts takes no place in the queue."""
    if wanted_action(facts.run) is not RunAction.PAUSE:
        return None
    message = "Paused before it started: it waits outside the queue. Set action: Run to queue it."
    return _report(facts, now, "Paused", message)


def _queued(facts: RunFacts, now: str) -> RunDecision:
    """Hand over the first of the queue when the machine can take it."""
    details = {"queuePosition": facts.position}
    active = facts.situation.reach.active_run
    if active is not None or facts.position > 1:
        ahead = f"run {active.run.name}" if active else "the run before it"
        place = f" Place {facts.position} in the queue."
        return _report(facts, now, "Queued", f"Waits for {ahead}.{place}", details)
    obstacle = facts.refusal or obstacle_to_a_run(facts.situation)
    if obstacle:
        return _report(facts, now, "MachineNotReady", obstacle, details)
    assert isinstance(facts.checked, Compiled), "only a compiled run gets here"
    return HandOver(compiled=facts.checked)


def obstacle_to_a_run(situation: Situation) -> str:
    """Return why the machine cannot take a run now, in plain words, or nothing."""
    reach, driver, plant = situation.reach, situation.reach.driver, situation.plant
    if reach.status is None:
        return f"The gateway does not answer: {reach.message}."
    if driver is None or plant is None:
        if reach.status.waiting_for:
            return f"The gateway waits until {reach.status.waiting_for} has let go of the PLC."
        return "The gateway's driver does not answer yet."
    obstacles = (
        (
            driver.state is MachineState.ABORTED,
            "The machine is Aborted: look at it, then apply a MachineAction with verb: Clear.",
        ),
        (situation.template_waits, "The gateway is being replaced by its new version."),
        (not driver.link.connected, f"No connection to the PLC: {driver.link.message}."),
        (not reach.status.journal_ok, f"The journal fails: {reach.status.journal_message}."),
        (driver.state in BUSY, f"The machine is busy: {driver.state.value}."),
        (not situation.is_current, "The gateway has not taken over the machine's spec yet."),
        (plant.mode is Mode.OBSERVE, "The machine's mode is Observe; set spec.mode: Control."),
        (lacks_watchdog(plant), NO_WATCHDOG),
        (not driver.safe_confirmed, "The PLC has not confirmed the valves' positions."),
        (bool(driver.interlocks.tripped), interlocks(driver)),
        (bool(driver.readiness.missing), unready(driver)),
        (
            driver.state is not MachineState.IDLE,
            f"The machine is {driver.state.value}: {driver.message or 'not idle yet'}.",
        ),
        (driver.foreign_master, FOREIGN_MASTER),
        (
            plant.heartbeat is not None
            and not driver.watchdog
            and not plant.allow_without_watchdog,
            "The PLC has not acknowledged the last heartbeat.",
        ),
    )
    return next((message for applies, message in obstacles if applies), "")


def _progress(facts: RunFacts, progress: RunProgress) -> Document:
    driver = facts.situation.reach.driver
    percent = min(100, progress.leaves_done * 100 // max(progress.leaves_total, 1))
    details: Document = {
        "step": progress.step[:400],
        "iterations": " ".join(f"{at}/{count}" for at, count in progress.iterations)[:100],
        "stepsDone": progress.leaves_done,
        "stepsTotal": progress.leaves_total,
        "percent": percent,
        "progress": f"{percent} %",
        "programDigest": progress.program_digest,
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
    if progress.prompt_id:
        details["prompt"] = {"id": progress.prompt_id, "message": progress.prompt_message}
    times = (
        ("startedAt", progress.started_wall_ns),
        ("endedAt", progress.ended_wall_ns),
        ("estimatedEnd", 0 if progress.outcome else progress.estimated_end_wall_ns),
    )
    return details | {name: rfc3339(at) for name, at in times if at}


def _report(
    facts: RunFacts,
    now: str,
    reason: str,
    message: str,
    details: Document | None = None,
    more: tuple[Fact, ...] = (),
) -> Report:
    phases = {
        "Running": "Running",
        "Held": "Held",
        "Paused": "Held",
        "GatewayUnreachable": "Running",
        "Queued": "Queued",
    }
    phase = phases.get(reason, "Pending")
    succeeded = Fact(type="Succeeded", status="Unknown", reason=reason, message=message)
    return Report(status=_status(facts.run, now, (succeeded, *more), phase) | (details or {}))


def _end(
    facts: RunFacts,
    now: str,
    reason: str,
    message: str,
    details: Document | None = None,
    more: tuple[Fact, ...] = (),
) -> End:
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
        "inputsDigest": run.get("status", {}).get("inputsDigest") or _inputs_digest(run),
        "conditions": conditions(facts, old, now=now, generation=generation(run)),
    }


def _inputs_digest(run: Document) -> str:
    inputs = run["spec"].get("inputs") or {}
    return hashlib.sha256(msgspec.json.encode(inputs, order="deterministic")).hexdigest()
