"""What a run that stands still says: why, since when, until when, and what is in its way besides."""

from typing import get_args

from ald.api.run import RecipeRunStatus, RunReason
from ald.controller.decide_run import decide_run
from ald.controller.run_decision import Report, RunFacts
from ald.records.event import MachineState
from ald.wire import RunAction
from unit.controller import situations as s

TAKEN = s.edited(s.RUN, "status.gatewaySession", "session-1")


def decide(run, situation):
    facts = RunFacts(run=run, has_recipe=True, situation=situation, checked=s.compiled())
    decision = decide_run(facts, now=s.NOW)
    assert isinstance(decision, Report)
    RecipeRunStatus.model_validate(decision.status)
    assert reason(decision) in get_args(RunReason)
    return decision


def reason(decision):
    return decision.status["conditions"][0]["reason"]


def active(**changes):
    run = s.progress_of(s.UID, **changes)
    return s.situation(s.idle(run=run, state=MachineState.EXECUTE))


def test_a_paused_run_says_since_when_and_how_long_it_may_be():
    stood = active(
        action=RunAction.PAUSE,
        held="paused in step purge-tma",
        hold_reason="Paused",
        held_since_wall_ns=10**18,
        held_until_wall_ns=10**18 + 600 * 10**9,
    )
    decision = decide(run=s.edited(TAKEN, "spec.action", "Pause"), situation=stood)
    assert reason(decision) == "Paused"
    assert decision.status["phase"] == "Held"
    assert decision.status["held"] == {
        "reason": "Paused",
        "since": "2001-09-09T01:46:40Z",
        "until": "2001-09-09T01:56:40Z",
    }


def test_a_paused_run_names_what_stands_in_its_way_besides():
    said = "paused in step purge. Besides, interlock no-vacuum is violated"
    stood = active(
        action=RunAction.PAUSE,
        held=said,
        hold_reason="Paused",
        hold_obstacle="Interlock",
        held_since_wall_ns=10**18,
        held_until_wall_ns=10**18,
    )
    decision = decide(run=s.edited(TAKEN, "spec.action", "Pause"), situation=stood)
    assert (reason(decision), decision.status["held"]["obstacle"]) == ("Paused", "Interlock")
    assert decision.status["message"] == said
    assert decision.status["conditions"][0]["message"] == said


def test_a_run_that_is_held_and_is_to_pause_says_both():
    stood = active(
        action=RunAction.PAUSE,
        held="the flow is low",
        hold_reason="PurgeFlowLow",
        message="pauses at the next hold point",
        held_since_wall_ns=10**18,
        held_until_wall_ns=10**18,
    )
    decision = decide(run=s.edited(TAKEN, "spec.action", "Pause"), situation=stood)
    assert decision.status["message"] == "the flow is low; pauses at the next hold point"
    assert "obstacle" not in decision.status["held"]


def test_a_prompt_that_waits_is_shown_with_its_id():
    situation = active(held="in place?", prompt_id="0f8fad5b-3", prompt_message="in place?")
    decision = decide(run=TAKEN, situation=situation)
    assert decision.status["prompt"] == {"id": "0f8fad5b-3", "message": "in place?"}
    assert reason(decision) == "Held"
