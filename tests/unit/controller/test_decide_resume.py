"""A run that the gateway's restart has cut short, and that is wanted to go on."""

from typing import Any, get_args

import msgspec
import pytest

from ald.api.run import RecipeRunStatus, RunReason
from ald.controller.decide_resume import ATTEMPTS_MAX, RESUME_S_MAX
from ald.controller.decide_run import decide_run
from ald.controller.run_decision import Check, End, HandOver, Rejected, Report, RunFacts
from ald.errors import Violation
from ald.records.event import MachineState, RunOutcome
from ald.wire import Reached
from unit.controller import situations as s

RUN = s.edited(s.RUN, "spec.onGatewayRestart", "Resume")
TAKEN = s.edited(RUN, "status.gatewaySession", "session-1")
CUT: dict[str, Any] = {
    "outcome": RunOutcome.GATEWAY_RESTARTED,
    "message": "the gateway restarted",
    "reached": Reached(step="deposit/tma", iterations=((37, 100),)),
    "ended_wall_ns": 1_000,
    "resumable": True,
}
CUT_REACH = s.situation(s.idle(run=s.progress_of(**CUT))).reach
WRONG = Violation(path="spec.recipeRef", value="", rule="another program", hint="apply a new run")
REST = msgspec.structs.replace(s.compiled(), attempt=2)


def decide(run=TAKEN, *, progress=(), **changes):
    """Decide about a run that was cut short on a machine that is ready again."""
    cut = s.progress_of(**{**CUT, **dict(progress)})
    base = RunFacts(run=run, has_recipe=True, situation=s.situation(s.idle(run=cut)), checked=REST)
    decision = decide_run(msgspec.structs.replace(base, **changes), now=s.NOW)
    if isinstance(decision, Report | End):
        RecipeRunStatus.model_validate(decision.status)
        assert decision.status["conditions"][0]["reason"] in get_args(RunReason)
    return decision


def said(decision, reason):
    assert isinstance(decision, Report | End)
    assert decision.status["conditions"][0]["reason"] == reason
    return decision.status["message"]


def test_the_rest_is_compiled_and_handed_over_when_the_machine_is_ready_again():
    found = decide(checked=None)
    assert isinstance(found, Check)
    assert found.interrupted is not None
    assert found.interrupted.reached.iterations == ((37, 100),)
    assert decide() == HandOver(compiled=REST)


def test_a_new_version_of_the_gateway_that_waits_for_the_run_is_not_waited_for():
    cut = s.progress_of(**CUT)
    situation = s.situation(s.idle(run=cut), template_waits=True)
    assert decide(situation=situation) == HandOver(compiled=REST)


def test_a_run_that_is_paused_as_well_says_until_when_it_can_be_taken_up():
    paused = s.edited(TAKEN, "spec.action", "Pause")
    text = said(decide(paused, interrupted_s=120.0), "Paused")
    assert "Set action: Run within 8 min to have it taken up." in text


def test_until_the_machine_is_ready_the_status_says_what_it_waits_for_and_how_long():
    cut = s.progress_of(**CUT)
    stopped = s.idle(run=cut, state=MachineState.STOPPED, message="not confirmed yet")
    found = decide(situation=s.situation(stopped), interrupted_s=120.0)
    text = said(found, "Resuming")
    assert "not confirmed yet" in text
    assert "at most 8 min" in text
    assert found.status["phase"] == "Held"
    assert found.status["conditions"][0]["status"] == "Unknown"
    assert "endedAt" not in found.status


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"progress": {"resumable": False}}, "is not known"),
        ({"progress": {"attempt": ATTEMPTS_MAX}}, f"attempt {ATTEMPTS_MAX} of at most"),
        ({"checked": Rejected(reason="InvalidRecipe", violations=(WRONG,))}, "another program"),
        ({"interrupted_s": RESUME_S_MAX, "refusal": "Not ready: too hot."}, "Not ready: too hot."),
        ({"interrupted_s": RESUME_S_MAX, "has_recipe": False}, "Recipe is not there"),
        ({"situation": s.situation(machine=None, reach=CUT_REACH)}, "Machine is being deleted"),
    ],
)
def test_what_cannot_be_taken_up_ends_and_says_why_and_where_to_begin_a_new_run(given, why):
    found = decide(**given)
    assert isinstance(found, End)
    text = said(found, "ResumeRefused")
    assert why in text
    assert "startAt: {step: deposit, cycle: 38}" in text
    assert found.status["phase"] == "Failed"


def test_a_run_of_uncertain_position_says_up_to_where_it_may_have_come():
    found = decide(progress={"exact": False}, interrupted_s=RESUME_S_MAX, refusal="too hot")
    text = said(found, "ResumeRefused")
    assert "cycle 37 of 100 of deposit may have begun, and all before it" in text


@pytest.mark.parametrize(
    "run",
    [
        s.edited(TAKEN, "spec.onGatewayRestart", "Abort"),
        s.edited(TAKEN, "spec.onGatewayRestart", ...),
        s.edited(TAKEN, "spec.action", "Abort"),
        s.edited(TAKEN, "spec.action", "Stop"),
        s.edited(TAKEN, "metadata.deletionTimestamp", s.NOW),
    ],
)
def test_a_run_that_nobody_wants_to_go_on_ends_as_it_always_did(run):
    found = decide(run)
    assert isinstance(found, End)
    said(found, "GatewayRestarted")


@pytest.mark.parametrize("outcome", set(RunOutcome) - {RunOutcome.GATEWAY_RESTARTED})
def test_no_other_end_is_taken_up(outcome):
    found = decide(progress={"outcome": outcome})
    assert isinstance(found, End)
    said(found, outcome.value)


def test_a_run_that_is_paused_meanwhile_waits_until_somebody_wants_it_to_go_on():
    found = decide(s.edited(TAKEN, "spec.action", "Pause"))
    assert "Set action: Run" in said(found, "Paused")
    assert found.status["phase"] == "Held"


def test_what_it_has_done_and_the_digest_of_the_whole_stay_in_the_status():
    run = s.edited(TAKEN, "status.programDigest", "d" * 64)
    again = s.progress_of(attempt=2, program_digest="e" * 64, leaves_done=150)
    found = decide(run, situation=s.situation(s.idle(run=again, state=MachineState.EXECUTE)))
    said(found, "Running")
    assert found.status["programDigest"] == "d" * 64
    assert found.status["resumed"] == 1
    assert found.status["stepsDone"] == 150


def test_the_next_run_of_the_queue_waits_for_one_that_is_to_be_taken_up():
    other = s.progress_of(uid="0" * 32, **CUT)
    facts = RunFacts(
        run=s.RUN,
        has_recipe=True,
        situation=s.situation(s.idle(run=other)),
        checked=s.compiled(),
        resuming="first",
    )
    found = decide_run(facts, now=s.NOW)
    assert "run first, which is to be taken up again" in said(found, "Queued")
