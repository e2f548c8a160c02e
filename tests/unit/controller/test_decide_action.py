from typing import get_args

import pytest

from ald.api.action import ActionReason, MachineActionStatus
from ald.controller.decide_action import (
    SENDING,
    EndAction,
    NoAction,
    ReportAction,
    SendAction,
    decide_action,
    end_action,
    in_turn,
)
from ald.records.event import MachineState
from unit.controller import situations as s

ABORTED = s.situation(s.idle(state=MachineState.ABORTED))


def decide(action=s.ACTION, situation=ABORTED, missing_s=0.0):
    decision = decide_action(action, situation, missing_s=missing_s, now=s.NOW)
    if not isinstance(decision, NoAction):
        MachineActionStatus.model_validate(decision.status)
        assert decision.status["conditions"][0]["reason"] in get_args(ActionReason)
    return decision


def test_an_aborted_machine_is_told():
    decision = decide()
    assert isinstance(decision, SendAction)
    assert decision.status["message"] == SENDING
    assert decision.status["observedGeneration"] == 1


def test_an_action_that_may_have_been_sent_is_never_sent_again():
    action = s.with_condition(s.ACTION, "Succeeded", "Unknown", "Pending", message=SENDING)
    decision = decide(action)
    assert isinstance(decision, EndAction)
    assert decision.reason == "Refused"


def test_nothing_is_cleared_where_nothing_is_aborted():
    decision = decide(situation=s.situation())
    assert isinstance(decision, EndAction)
    assert "Idle" in decision.status["message"]


def test_an_action_waits_for_the_gateway():
    decision = decide(situation=s.without_gateway())
    assert isinstance(decision, ReportAction)
    assert decision.status["conditions"][0]["reason"] == "GatewayUnreachable"


@pytest.mark.parametrize(("missing_s", "kind"), [(119, ReportAction), (120, EndAction)])
def test_a_missing_machine_is_waited_for_two_minutes(missing_s, kind):
    decision = decide(situation=s.situation(machine=None), missing_s=missing_s)
    assert isinstance(decision, kind)


def test_only_done_is_a_success():
    done = end_action(s.ACTION, "Done", "Cleared.", now=s.NOW)
    refused = end_action(s.ACTION, "Refused", "no", now=s.NOW)
    assert done.status["conditions"][0]["status"] == "True"
    assert refused.status["conditions"][0]["status"] == "False"


def test_nothing_is_done_about_an_action_that_is_over():
    action = s.with_condition(s.ACTION, "Succeeded", "True", "Done")
    assert decide(action) == NoAction()


@pytest.mark.parametrize("state", MachineState)
def test_the_safe_state_may_be_asked_for_in_every_state(state):
    action = s.edited(s.ACTION, "spec.verb", "SafeState")
    assert isinstance(decide(action, s.situation(s.idle(state=state))), SendAction)


def confirm(target):
    return s.edited(s.edited(s.ACTION, "spec.verb", "Confirm"), "spec.target", target)


def test_a_prompt_that_waits_is_confirmed_by_its_id():
    situation = s.situation(s.idle(run=s.progress_of(prompt_id="0f8fad5b-3")))
    assert isinstance(decide(confirm("0f8fad5b-3"), situation), SendAction)
    other = decide(confirm("0f8fad5b-4"), situation)
    assert isinstance(other, EndAction)
    assert "the prompt that waits is 0f8fad5b-3" in other.status["message"]
    none = decide(confirm("0f8fad5b-3"), s.situation())
    assert isinstance(none, EndAction)
    assert "no prompt waits" in none.status["message"]


def in_words(*verbs, safe_asked=("", "")):
    """Return in which order actions of these verbs are told, each as its place, and by which it is overtaken."""
    actions = [
        s.edited(s.edited(s.ACTION, "spec.verb", verb), "metadata.name", str(at))
        for at, verb in enumerate(verbs)
    ]
    return [(int(each["metadata"]["name"]), by) for each, by in in_turn(actions, safe_asked)]


def test_what_makes_safe_comes_first_and_nothing_older_after_it():
    assert in_words("Clear", "SafeState", "Clear", safe_asked=(s.EARLIER, "1")) == [
        (1, ""),
        (0, "1"),
        (2, ""),
    ]
    assert in_words("Confirm", "Clear") == [(0, ""), (1, "")]
    assert in_words("SafeState", "SafeState", safe_asked=(s.EARLIER, "1")) == [(0, ""), (1, "")]


def test_what_has_made_safe_overtakes_what_is_older_still():
    assert in_words("Clear", "Clear", safe_asked=(s.NOW, "make-safe")) == [
        (0, "make-safe"),
        (1, "make-safe"),
    ]


@pytest.mark.parametrize("situation", [ABORTED, s.without_gateway()])
def test_an_action_that_was_overtaken_is_refused_by_name(situation):
    decision = decide_action(
        s.ACTION, situation, missing_s=0.0, now=s.NOW, overtaken_by="make-safe"
    )
    assert isinstance(decision, EndAction)
    assert decision.reason == "Refused"
    assert "make-safe" in decision.status["message"]
