"""What to do about one RecipeRun now, and what its status says. Pure."""

from __future__ import annotations

import msgspec

from ald.controller.apply import Document
from ald.controller.conditions import listed
from ald.controller.decide_resume import is_to_be_resumed, rest, resume
from ald.controller.plan import plan
from ald.controller.pulse_timing import timing_known, timing_lost, timing_met
from ald.controller.run_decision import (
    Check,
    Compiled,
    End,
    HandOver,
    Nothing,
    Rejected,
    RunDecision,
    RunFacts,
)
from ald.controller.run_obstacle import obstacle_to_a_run
from ald.controller.run_status import CARRIED, end, inputs_digest, progress_details, report
from ald.controller.world import (
    has_ended,
    is_deleting,
    uid,
    wanted_action,
    wants_end,
    was_handed_over,
)
from ald.records.event import RunOutcome
from ald.wire import RunAction, RunProgress

MISSING_S_MAX = 120.0
"""How long a run waits for a recipe or machine that is not there; GitOps applies things in any order."""

LOST_S_MAX = 20.0
"""How long a gateway that answers may not know a run that it took, before the run is given up."""

LOST = (
    "The gateway answers but does not know this run any more: its volume was lost or replaced. It shut the valves when it"
    " started; gases and heaters it knew nothing of, so the whole safe state was asked for then. Look at the machine, and"
    " clear it with a MachineAction."
)
NOTHING_MOVED = "Ended before it started: nothing has moved."


def decide_run(facts: RunFacts, *, now: str) -> RunDecision:
    """Return the one thing to do about a run; `now` is an RFC 3339 time."""
    decision = _decided(facts, now)
    if isinstance(decision, End) and facts.in_doubt and facts.situation.machine is not None:
        return _doubtful(facts, now)
    return decision


def _decided(facts: RunFacts, now: str) -> RunDecision:
    if has_ended(facts.run):
        return Nothing()
    progress = facts.situation.reach.progress
    if progress is not None and progress.run.uid == uid(facts.run):
        return _mirror(facts, progress, now)
    if facts.was_taken or was_handed_over(facts.run):
        return _without_word(facts, now)
    if wants_end(facts.run):
        return end(facts, now, "Aborted", NOTHING_MOVED)
    if wanted_action(facts.run) is RunAction.STOP:
        return end(facts, now, "Stopped", NOTHING_MOVED)
    return (
        _missing(facts, now)
        or _changed(facts, now)
        or _checked(facts, now)
        or _paused(facts, now)
        or _queued(facts, now)
    )


def _mirror(facts: RunFacts, progress: RunProgress, now: str) -> RunDecision:
    """Show what the gateway says of the run."""
    details = progress_details(facts, progress)
    if progress.outcome is None:
        said = "; ".join(filter(None, (progress.held, progress.message)))
        message = said or "The gateway runs it."
        reason = "Running"
        if progress.held:
            reason = "Paused" if progress.hold_reason == "Paused" else "Held"
        if wants_end(facts.run):
            message = f"Aborting: {message}"
        told = report(facts, now, reason, message, details, timing_met(progress))
        return msgspec.structs.replace(told, tell=_untold(facts.run, progress))
    if is_to_be_resumed(facts.run, progress):
        return resume(facts, progress, details, now)
    done = progress.outcome is RunOutcome.COMPLETED
    message = progress.message or (_completed(progress) if done else progress.outcome.value)
    if not done:
        message += rest(progress)
    return end(facts, now, progress.outcome.value, message, details, timing_met(progress))


def _untold(run: Document, progress: RunProgress) -> RunAction | None:
    """Return what the gateway does not know yet that the run shall do; a stop is final, and an abort goes its own way."""
    wanted = wanted_action(run)
    if wants_end(run) or progress.action in (wanted, RunAction.STOP):
        return None
    return wanted


def _without_word(facts: RunFacts, now: str) -> RunDecision:
    """A gateway has taken the run, and does not speak of it now."""
    carried = {k: v for k, v in facts.run.get("status", {}).items() if k in CARRIED}
    if facts.situation.machine is None and facts.missing_s >= MISSING_S_MAX:
        message = "The Machine is gone, and with it the only record of how the run went on."
        return end(facts, now, "MachineNotFound", message, carried, timing_lost(facts.run))
    if facts.lost_s >= LOST_S_MAX:
        lost = end(facts, now, "GatewayRestarted", LOST, carried, timing_lost(facts.run))
        unsafe = f"the gateway lost run {facts.run['metadata']['name']} with its volume"
        return msgspec.structs.replace(lost, unsafe=unsafe)
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
    return report(facts, now, "GatewayUnreachable", message, carried, known)


def _doubtful(facts: RunFacts, now: str) -> RunDecision:
    """Nothing is said to be over that may be going on: first the gateway has to be asked."""
    why = facts.situation.reach.message or "it has not answered since"
    message = (
        f"An order to start was sent, and nobody knows yet whether the gateway has taken it ({why})."
        " What is wanted of the run is done when it answers."
    )
    carried = {k: v for k, v in facts.run.get("status", {}).items() if k in CARRIED}
    return report(facts, now, "GatewayUnreachable", message, carried, timing_known(facts.run))


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
        return end(facts, now, reason, f"{message} Create it, then apply a new run.")
    wait = f" The run waits {MISSING_S_MAX:.0f} s for it."
    return report(facts, now, "Pending", message + wait)


def _checked(facts: RunFacts, now: str) -> RunDecision | None:
    """Compile before queueing, so that a mistake is told at once."""
    situation = facts.situation
    if situation.plant is None:
        message = f"Machine is not valid: {listed(situation.violations)}"
        return report(facts, now, "MachineNotReady", message, {"queuePosition": facts.position})
    match facts.checked:
        case None:
            return Check()
        case Rejected(reason=reason, violations=violations):
            return end(facts, now, reason, listed(violations, 10))
        case Compiled(program=program, digest=digest) if facts.run["spec"].get("dryRun"):
            details = {
                "plan": plan(program, situation.plant),
                "stepsTotal": program.estimate.leaves,
                "programDigest": digest,
            }
            return end(facts, now, "DryRun", "Nothing has moved; see status.plan.", details)
        case _:
            return None


def _changed(facts: RunFacts, now: str) -> RunDecision | None:
    """Refuse a run whose inputs were changed together with its action, where the API server cannot see it."""
    if facts.run.get("status", {}).get("inputsDigest") in (None, "", inputs_digest(facts.run)):
        return None
    message = "spec.inputs: a run's inputs cannot be changed. Nothing has moved; apply a new run."
    return end(facts, now, "InvalidInput", message)


def _completed(progress: RunProgress) -> str:
    """Return how a run has gone that reached its end: the film may lack what restarts of the gateway have cut off."""
    restarts = progress.attempt - 1
    if not restarts:
        return "Completed."
    often = "once" if restarts == 1 else f"{restarts} times"
    return (
        f"Completed; the gateway restarted {often} meanwhile. What was cut short then was not done again, so that a cycle may lack "
        "a pulse: the events of the run say where, ald run report how many attempts there were."
    )


def _paused(facts: RunFacts, now: str) -> RunDecision | None:
    """A run that is paused before it starts takes no place in the queue."""
    if wanted_action(facts.run) is not RunAction.PAUSE:
        return None
    message = "Paused before it started: it waits outside the queue. Set action: Run to queue it."
    return report(facts, now, "Paused", message)


def _queued(facts: RunFacts, now: str) -> RunDecision:
    """Hand over the first of the queue when the machine can take it."""
    details = {"queuePosition": facts.position}
    active = facts.situation.reach.active_run
    if active is not None or facts.position > 1 or facts.resuming or facts.unended:
        ahead = f"run {active.run.name}" if active else "the run before it"
        if not active and facts.resuming:
            ahead = f"run {facts.resuming}, which is to be taken up again"
        elif not active and facts.unended:
            # Its gateway tells of the last run only: with the next one nobody would know any more how it has ended.
            ahead = f"run {facts.unended}, whose end is not written yet"
        place = f" Place {facts.position} in the queue."
        return report(facts, now, "Queued", f"Waits for {ahead}.{place}", details)
    obstacle = facts.refusal or obstacle_to_a_run(facts.situation)
    if obstacle:
        return report(facts, now, "MachineNotReady", obstacle, details)
    assert isinstance(facts.checked, Compiled), "only a compiled run gets here"
    return HandOver(compiled=facts.checked)
