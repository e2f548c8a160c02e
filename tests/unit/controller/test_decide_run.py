from typing import get_args

import msgspec
import pytest

from ald.api.run import RecipeRunStatus, RunReason
from ald.controller.conditions import find
from ald.controller.decide_run import LOST_S_MAX, MISSING_S_MAX, decide_run
from ald.controller.run_decision import (
    Check,
    End,
    HandOver,
    Nothing,
    Rejected,
    Report,
    RunFacts,
)
from ald.errors import Violation
from ald.plant.model import Mode
from ald.records.event import MachineState, PulseTiming, RunOutcome
from ald.standing import InterlockStatus
from ald.wire import Reached, RunAction
from unit.controller import situations as s

WRONG = Violation(path="spec.inputs.cycles", value="0", rule="too small", hint="take more")
TAKEN = s.edited(s.RUN, "status.gatewaySession", "session-1")
ABORT = s.edited(s.RUN, "spec.action", "Abort")


def facts(**changes):
    base = RunFacts(run=s.RUN, has_recipe=True, situation=s.situation(), checked=s.compiled())
    return msgspec.structs.replace(base, **changes)


def decide(**changes):
    decision = decide_run(facts(**changes), now=s.NOW)
    if isinstance(decision, Report | End):
        RecipeRunStatus.model_validate(decision.status)
        assert decision.status["conditions"][0]["reason"] in get_args(RunReason)
    return decision


def reason(decision):
    assert isinstance(decision, Report | End)
    return decision.status["conditions"][0]["reason"]


def message(decision):
    assert isinstance(decision, Report | End)
    return decision.status["message"]


def active(uid=s.UID, **changes):
    run = s.progress_of(uid, **changes)
    return s.situation(s.idle(run=run, state=MachineState.EXECUTE))


def test_the_first_run_of_a_ready_machine_is_handed_over():
    assert decide() == HandOver(compiled=s.compiled())


def test_a_run_is_compiled_before_anything_else():
    assert decide(checked=None) == Check()


@pytest.mark.parametrize("wrong", ["InvalidInput", "InvalidRecipe"])
def test_a_run_that_breaks_rules_ends_with_them_also_while_it_queues(wrong):
    decision = decide(
        checked=Rejected(reason=wrong, violations=(WRONG,)), position=7, situation=active("other")
    )
    assert isinstance(decision, End)
    assert decision.reason == wrong
    assert "spec.inputs.cycles" in message(decision)


@pytest.mark.parametrize("position", [1, 2])
def test_a_run_waits_for_the_one_that_is_active(position):
    decision = decide(situation=active("other"), position=position)
    assert reason(decision) == "Queued"
    assert decision.status["queuePosition"] == position


def test_a_run_waits_for_those_before_it():
    assert reason(decide(position=2)) == "Queued"


assert s.PLANT.plant is not None
OBSERVE = msgspec.structs.replace(s.PLANT.plant, mode=Mode.OBSERVE)
NO_WATCHDOG = msgspec.structs.replace(s.PLANT.plant, heartbeat=None)
NO_LINK = msgspec.structs.replace(s.idle().link, connected=False)


@pytest.mark.parametrize(
    ("situation", "words"),
    [
        (s.without_gateway(), "connection refused"),
        (s.situation(s.idle(state=MachineState.ABORTED)), "verb: Clear"),
        (s.situation(s.idle(state=MachineState.STOPPED, message="why")), "why"),
        (s.situation(s.idle(state=MachineState.ABORTING)), "busy"),
        (s.situation(s.idle(plant_confirmed=False)), "not taken over"),
        (s.situation(s.idle(link=NO_LINK)), "No connection to the PLC"),
        (s.situation(s.idle(watchdog=False)), "heartbeat"),
        (s.situation(s.idle(foreign_master=True)), "somebody else"),
        (s.situation(s.idle(safe_confirmed=False)), "valves' positions"),
        (
            s.situation(
                s.idle(
                    interlocks=InterlockStatus(
                        tripped=("a",),
                        message="interlock a is violated: gauge = 900 Pa",
                        first_out="a",
                    )
                )
            ),
            "gauge = 900 Pa",
        ),
        (s.situation(plant=OBSERVE), "mode: Control"),
        (s.situation(plant=NO_WATCHDOG), "allowWithoutWatchdog"),
        (s.situation(template_waits=True), "being replaced"),
        (s.situation(plant=None, violations=(WRONG,)), "Machine is not valid"),
    ],
)
def test_a_run_says_why_its_machine_does_not_take_it(situation, words):
    decision = decide(situation=situation)
    assert reason(decision) == "MachineNotReady"
    assert words in message(decision)


def test_a_refusal_of_the_gateway_is_shown():
    decision = decide(refusal="The gateway did not take the run: NotIdle")
    assert reason(decision) == "MachineNotReady"
    assert "NotIdle" in message(decision)


@pytest.mark.parametrize(
    ("changes", "ended"),
    [
        ({"has_recipe": False}, "RecipeNotFound"),
        ({"situation": s.situation(machine=None)}, "MachineNotFound"),
        (
            {"situation": s.situation(
                machine=s.edited(s.MACHINE, "metadata.deletionTimestamp", s.NOW)
            )},
            "MachineNotFound",
        ),
    ],
)  # fmt: skip
def test_what_is_missing_is_waited_for_two_minutes(changes, ended):
    assert reason(decide(missing_s=MISSING_S_MAX - 1, **changes)) == "Pending"
    decision = decide(missing_s=MISSING_S_MAX, **changes)
    assert isinstance(decision, End)
    assert decision.reason == ended
    assert decision.status["phase"] == "Failed"


def test_a_dry_run_ends_with_its_plan_whatever_the_machine_does():
    run = s.edited(s.RUN, "spec.dryRun", True)
    decision = decide(run=run, situation=active("other"), position=9)
    assert isinstance(decision, End)
    assert decision.reason == "DryRun"
    assert decision.status["phase"] == "Succeeded"
    assert decision.status["plan"]["duration"]
    assert decision.status["stepsTotal"] == 406


def test_progress_is_mirrored():
    times = {"started_wall_ns": 10**18, "estimated_end_wall_ns": 10**18 + 90 * 10**9}
    moving = active(leaves_done=203, pulses=5, worst_error_ns=-1500, **times)
    run = s.edited(s.RUN, "metadata.generation", 2)
    decision = decide(run=run, situation=moving)
    assert isinstance(decision, Report)
    status = decision.status
    assert status["observedGeneration"] == 2
    assert status["phase"] == "Running"
    assert status["startedAt"] == "2001-09-09T01:46:40Z"
    assert status["estimatedEnd"] == "2001-09-09T01:48:10Z"
    assert status["programDigest"] == s.compiled().digest
    assert reason(decision) == "Running"
    assert status["step"] == "deposit/tma"
    assert status["iterations"] == "1/100"
    assert (status["stepsDone"], status["stepsTotal"], status["percent"]) == (203, 406, 50)
    assert status["progress"] == "50 %"
    assert status["gatewaySession"] == "session-1"
    assert status["pulses"] == {
        "count": 5,
        "p50ErrorMs": 0.0,
        "p99ErrorMs": 0.0,
        "worstErrorMs": -0.002,
    }
    assert "endedAt" not in status


@pytest.mark.parametrize(("attempt", "often"), [(1, ""), (2, "once"), (4, "3 times")])
def test_a_run_that_was_taken_up_again_does_not_say_that_all_is_well(attempt, often):
    ended = s.idle(run=s.progress_of(outcome=RunOutcome.COMPLETED, attempt=attempt))
    decision = decide(situation=s.situation(ended))
    assert isinstance(decision, End)
    said = message(decision)
    assert said.startswith("Completed")
    assert (f"restarted {often} meanwhile" in said) == (attempt > 1)
    assert ("may lack a pulse" in said) == (attempt > 1)


def test_nobody_knows_when_a_held_run_ends():
    decision = decide(situation=active(hold_reason="FlowLow", estimated_end_wall_ns=10**18))
    assert isinstance(decision, Report)
    assert "estimatedEnd" not in decision.status


def test_a_held_run_says_what_holds_it():
    decision = decide(situation=active(held="the flow of N2 is below 90 %"))
    assert reason(decision) == "Held"
    assert message(decision) == "the flow of N2 is below 90 %"


@pytest.mark.parametrize("outcome", RunOutcome)
def test_every_outcome_ends_the_run_with_its_word(outcome):
    decision = decide(run=TAKEN, situation=active(outcome=outcome, ended_wall_ns=10**18))
    assert isinstance(decision, End)
    assert decision.reason == outcome.value
    succeeded = outcome is RunOutcome.COMPLETED
    assert decision.status["conditions"][0]["status"] == ("True" if succeeded else "False")
    assert decision.status["endedAt"] == "2001-09-09T01:46:40Z"
    phases = {
        RunOutcome.COMPLETED: "Succeeded",
        RunOutcome.ABORTED: "Aborted",
        RunOutcome.STOPPED: "Stopped",
    }
    assert decision.status["phase"] == phases.get(outcome, "Failed")


@pytest.mark.parametrize("outcome", RunOutcome)
def test_a_run_that_ended_early_in_a_loop_says_where_another_goes_on(outcome):
    reached = Reached(step="pair/first/tma", iterations=((3, 10), (37, 50)))
    changes = {"step": "rinse", "iterations": (), "reached": reached, "message": "so it was"}
    said = message(decide(run=TAKEN, situation=active(outcome=outcome, **changes)))
    where = "startAt: {step: pair/first, cycle: 38, outerCycles: [3]}"
    assert said.startswith("so it was")
    assert (where in said) == (outcome is not RunOutcome.COMPLETED)


def test_a_run_that_ended_outside_all_loops_says_nothing_of_going_on():
    ended = active(outcome=RunOutcome.ABORTED, message="so it was", reached=Reached(step="heat"))
    assert message(decide(run=TAKEN, situation=ended)) == "so it was"


def _condition(status, kind):
    return find({"status": status}, kind)


@pytest.mark.parametrize("outcome", [RunOutcome.COMPLETED, RunOutcome.ABORTED])
def test_an_ended_run_says_whether_its_pulses_were_as_exact_as_wanted(outcome):
    timing = PulseTiming(whole=7, worst_relative_error=0.3, max_relative_error=0.2)
    decision = decide(run=TAKEN, situation=active(outcome=outcome, timing=timing))
    assert isinstance(decision, End)
    assert decision.reason == outcome.value
    assert _condition(decision.status, "TimingMet")["status"] == "False"


def test_what_is_known_of_the_timing_stays_while_the_gateway_is_silent_and_is_given_up_with_it():
    run = s.with_condition(TAKEN, "TimingMet", "Unknown", "Running")
    silent = decide(run=run, situation=s.without_gateway())
    assert isinstance(silent, Report)
    assert _condition(silent.status, "TimingMet")["reason"] == "Running"
    lost = decide(run=run, lost_s=LOST_S_MAX)
    assert isinstance(lost, End)
    assert _condition(lost.status, "TimingMet")["reason"] == "NothingMeasured"
    assert "lost" in _condition(lost.status, "TimingMet")["message"]


def test_the_session_that_took_the_run_stays_when_another_tells_of_its_end():
    situation = s.situation(
        s.idle(session="session-2", run=s.progress_of(outcome=RunOutcome.GATEWAY_RESTARTED))
    )
    decision = decide(run=TAKEN, situation=situation)
    assert isinstance(decision, End)
    assert decision.status["gatewaySession"] == "session-1"


@pytest.mark.parametrize("run", [ABORT, s.edited(s.RUN, "metadata.deletionTimestamp", s.NOW)])
def test_a_run_that_has_not_started_is_aborted_without_the_gateway(run):
    decision = decide(run=run, situation=s.without_gateway(), has_recipe=False, missing_s=1)
    assert isinstance(decision, End)
    assert decision.reason == "Aborted"
    assert "nothing has moved" in message(decision)


def test_a_run_that_has_not_started_is_stopped_without_the_gateway():
    run = s.edited(s.RUN, "spec.action", "Stop")
    decision = decide(run=run, situation=s.without_gateway())
    assert isinstance(decision, End)
    assert (decision.reason, decision.status["phase"]) == ("Stopped", "Stopped")
    assert "nothing has moved" in message(decision)


@pytest.mark.parametrize(
    ("wanted", "known", "told"),
    [
        ("Run", "Run", None),
        ("Stop", "Run", "Stop"),
        ("Stop", "Stop", None),
        ("Run", "Stop", None),
        ("Abort", "Run", None),
        ("Abort", "Stop", None),
        ("Pause", "Run", "Pause"),
        ("Pause", "Pause", None),
        ("Run", "Pause", "Run"),
        ("Stop", "Pause", "Stop"),
        ("Pause", "Stop", None),
    ],
)
def test_the_gateway_is_told_what_a_run_shall_do_until_it_says_that_it_knows(wanted, known, told):
    run = s.edited(TAKEN, "spec.action", wanted)
    decision = decide(run=run, situation=active(action=RunAction(known)))
    assert isinstance(decision, Report)
    assert decision.tell == (RunAction(told) if told else None)


def test_a_run_paused_before_it_starts_waits_outside_the_queue():
    run = s.edited(s.RUN, "spec.action", "Pause")
    decision = decide(run=run, checked=s.compiled())
    assert isinstance(decision, Report)
    assert (reason(decision), decision.status["phase"]) == ("Paused", "Held")
    assert "queuePosition" not in decision.status


@pytest.mark.parametrize("inputs", [{"cycles": 7}, {"cycles": 100, "more": 1}, None])
def test_inputs_changed_together_with_the_action_are_refused(inputs):
    first = decide(checked=None, position=2, situation=s.situation(plant=None))
    assert isinstance(first, Report)
    seen = s.edited(s.RUN, "status", first.status)
    changed = s.edited(s.edited(seen, "spec.action", "Pause"), "spec.inputs", inputs)
    decision = decide(run=changed)
    assert isinstance(decision, End)
    assert decision.reason == "InvalidInput"
    assert isinstance(decide(run=s.edited(seen, "spec.action", "Pause")), Report)


def test_nothing_is_told_of_a_run_that_has_ended_or_is_being_deleted():
    run = s.edited(TAKEN, "spec.action", "Stop")
    assert isinstance(decide(run=run, situation=active(outcome=RunOutcome.COMPLETED)), End)
    deleted = s.edited(run, "metadata.deletionTimestamp", s.NOW)
    decision = decide(run=deleted, situation=active())
    assert isinstance(decision, Report)
    assert decision.tell is None


def test_an_abort_of_a_run_that_the_gateway_has_waits_for_the_gateways_word():
    run = s.edited(TAKEN, "spec.action", "Abort")
    decision = decide(run=run, situation=active())
    assert reason(decision) == "Running"
    assert message(decision).startswith("Aborting")
    assert reason(decide(run=run, situation=s.without_gateway())) == "GatewayUnreachable"


def test_a_run_whose_gateway_is_silent_keeps_what_was_known():
    run = s.edited(TAKEN, "status.step", "deposit/water")
    decision = decide(run=run, situation=s.without_gateway())
    assert isinstance(decision, Report)
    assert decision.status["step"] == "deposit/water"
    assert decision.status["gatewaySession"] == "session-1"


def test_a_run_that_its_gateway_no_longer_knows_is_given_up_after_a_while():
    assert isinstance(decide(run=TAKEN, lost_s=LOST_S_MAX - 1), Report)
    decision = decide(run=TAKEN, lost_s=LOST_S_MAX)
    assert isinstance(decision, End)
    assert decision.reason == "GatewayRestarted"
    assert TAKEN["metadata"]["name"] in decision.unsafe


def test_a_run_that_was_taken_is_never_handed_over_again_though_no_status_shows_it():
    decision = decide(was_taken=True)
    assert not isinstance(decision, HandOver)


def test_a_taken_run_whose_machine_is_gone_ends_after_two_minutes():
    gone = msgspec.structs.replace(s.without_gateway(), machine=None)
    assert isinstance(decide(run=TAKEN, situation=gone, missing_s=1), Report)
    decision = decide(run=TAKEN, situation=gone, missing_s=MISSING_S_MAX)
    assert isinstance(decision, End)
    assert decision.reason == "MachineNotFound"


@pytest.mark.parametrize("status", ["True", "False"])
def test_nothing_is_done_about_a_run_that_has_ended(status):
    run = s.with_condition(ABORT, "Succeeded", status, "Completed")
    assert decide(run=run, situation=active()) == Nothing()
