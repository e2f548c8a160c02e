"""What to do about a RecipeRun that the gateway's restart has cut short, and that is wanted to go on. Pure."""

from __future__ import annotations

import msgspec

from ald.controller.apply import Document
from ald.controller.conditions import listed
from ald.controller.pulse_timing import timing_known, timing_met
from ald.controller.run_decision import (
    Check,
    Compiled,
    HandOver,
    Rejected,
    RunDecision,
    RunFacts,
)
from ald.controller.run_obstacle import obstacle_to_a_run
from ald.controller.run_status import end, report
from ald.controller.world import is_deleting, wanted_action, wants_end
from ald.program.go_on import go_on
from ald.records.event import RunOutcome
from ald.wire import RunAction, RunProgress

RESUME_S_MAX = 600.0
"""How long a run that the gateway's restart cut short waits for the machine before it is given up; the description of the field says so."""

ATTEMPTS_MAX = 5
"""How often a run is begun at most: a gateway that dies in every attempt must not heat and cool a wafer for ever."""

RESUME = "Resume"
"""The value of `spec.onGatewayRestart` that has a run taken up."""


def rest(progress: RunProgress) -> str:
    """Return where a new run can take this one up, to be added to its message; nothing where it did not end in a loop."""
    reached = progress.reached
    text = go_on(reached.step, reached.iterations, is_certain=progress.exact)
    return f"; {text}" if text else ""


def is_to_be_resumed(run: Document, progress: RunProgress) -> bool:
    """Tell whether the gateway's restart has cut the run short, and it is wanted to go on."""
    is_wanted = run["spec"].get("onGatewayRestart") == RESUME and not wants_end(run)
    was_cut = progress.outcome is RunOutcome.GATEWAY_RESTARTED
    return is_wanted and was_cut and wanted_action(run) is not RunAction.STOP


def resume(facts: RunFacts, progress: RunProgress, details: Document, now: str) -> RunDecision:
    """Have the run go on with the next whole cycle, as soon as the machine can take it."""
    known = timing_met(progress)
    # The end that the gateway tells of is that of the attempt.
    details = {name: value for name, value in details.items() if name != "endedAt"}
    why = _not_resumable(facts, progress)
    if why:
        message = f"{progress.message}; not taken up again: {why}{rest(progress)}"
        return end(facts, now, "ResumeRefused", message, details, known)
    left_min = max(1, round((RESUME_S_MAX - facts.interrupted_s) / 60))
    if wanted_action(facts.run) is RunAction.PAUSE:
        message = f"Paused, and interrupted: {progress.message}. Set action: Run within {left_min} min to have it taken up."
        return report(facts, now, "Paused", message, details, timing_known(facts.run))
    waits = _not_yet(facts)
    if not waits and facts.checked is None:
        return Check(interrupted=progress)
    if not waits:
        assert isinstance(facts.checked, Compiled), "what is rejected is not resumable"
        return HandOver(compiled=facts.checked)
    message = f"Interrupted: {progress.message}. It goes on with the next whole cycle; waits at most {left_min} min. {waits}"
    return report(facts, now, "Resuming", message, details, timing_known(facts.run))


def _not_resumable(facts: RunFacts, progress: RunProgress) -> str:
    """Return why the run cannot be taken up again, empty where it can."""
    if not progress.resumable:
        return (
            "how far it may have come is not known, or its steps may be over, or it was being ended"
        )
    if progress.attempt >= ATTEMPTS_MAX:
        return f"this was attempt {progress.attempt} of at most {ATTEMPTS_MAX}"
    if facts.situation.machine is None or is_deleting(facts.situation.machine):
        return "its Machine is being deleted"
    if isinstance(facts.checked, Rejected):
        return listed(facts.checked.violations, 10)
    if facts.interrupted_s >= RESUME_S_MAX:
        return f"not possible within {RESUME_S_MAX / 60:.0f} min. {_not_yet(facts)}".rstrip()
    return ""


def _not_yet(facts: RunFacts) -> str:
    """Return why an interrupted run cannot be taken up now, empty where it can."""
    if not facts.has_recipe:
        return "Its Recipe is not there."
    if facts.situation.plant is None:
        return f"Machine is not valid: {listed(facts.situation.violations)}"
    # A new version of the gateway waits for the end of this run: the two must not wait for one another.
    situation = msgspec.structs.replace(facts.situation, template_waits=False)
    return facts.refusal or obstacle_to_a_run(situation)
