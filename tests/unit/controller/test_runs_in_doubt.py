"""Runs of which nobody knows whether the gateway has taken them, or how they have ended."""

import contextlib

import pytest

from ald.controller import names
from ald.controller.views import Reach
from ald.errors import PeerError, RefusedError
from ald.records.event import MachineState, RunOutcome
from unit.controller import situations as s
from unit.controller.run_cases import NAME, Case


async def in_doubt():
    """Return a run that its gateway has taken, while the answer was lost and nobody has asked again."""
    case = Case()

    async def arrive():
        case.bench.gateway.change(run=s.progress_of(), state=MachineState.EXECUTE)

    case.bench.gateway.before["start"] = arrive
    case.bench.gateway.fail["start"] = PeerError("no answer in time")
    await case.go()
    assert case.bench.reason(s.RUN) == "MachineNotReady"
    assert "Nobody knows yet whether" in case.read()["status"]["message"]
    case.bench.clock.pass_s(1)
    return case


@pytest.mark.parametrize("is_away", [False, True])
async def test_a_run_that_the_gateway_may_have_taken_is_aborted_there_before_it_is_over(is_away):
    case = await in_doubt()
    case.bench.gateway.fail["abort"] = PeerError("refused")
    if is_away:
        case.link.reach = Reach(status=None, reason="GatewayUnreachable", message="refused")
    async with case.aborting():
        case.change("spec.action", "Abort")
        for _ in range(3):
            case.bench.clock.pass_s(1)
            await case.go()
        assert case.bench.reason(s.RUN) == "GatewayUnreachable"
        assert "nobody knows yet whether" in case.read()["status"]["message"]
        assert case.runs.has_active is not is_away
        del case.bench.gateway.fail["abort"]
        case.bench.clock.pass_s(10)
        await case.until(case.is_aborted)
    await case.go()
    assert case.bench.reason(s.RUN) == "Aborted"
    assert case.read()["status"]["message"] == "aborted"


async def test_a_run_that_the_gateway_may_have_taken_is_stopped_there():
    case = await in_doubt()
    case.change("spec.action", "Stop")
    await case.go()
    assert case.bench.reason(s.RUN) == "GatewayUnreachable"
    case.link.take(case.bench.gateway.now())
    await case.go()
    assert case.bench.gateway.sent("direct") == ["Stop"]


async def test_a_run_that_did_not_reach_the_gateway_is_over_when_that_is_known():
    case = await in_doubt()
    case.bench.gateway.change(run=None, state=MachineState.IDLE)
    case.change("spec.action", "Abort")
    await case.go()
    assert case.bench.reason(s.RUN) == "GatewayUnreachable"
    case.link.take(case.bench.gateway.now())
    await case.go()
    assert case.bench.reason(s.RUN) == "Aborted"
    assert "nothing has moved" in case.read()["status"]["message"]


async def test_after_a_restart_a_run_that_may_have_been_taken_counts_as_such_until_the_gateway_is_asked():
    before = await in_doubt()
    before.change("spec.action", "Abort")
    case = Case.again(before)
    assert case.runs.has_active
    case.link.reach = Reach(status=None, reason="GatewayStarting", message="refused")
    await case.go()
    assert case.runs.has_active
    assert case.bench.reason(s.RUN) == "GatewayUnreachable"
    case.bench.clock.pass_s(1)
    case.link.take(case.bench.gateway.now())
    await case.go()
    assert case.bench.reason(s.RUN) == "Running"
    assert "Aborting" in case.read()["status"]["message"]


def second_run():
    second = s.edited(s.RUN, "metadata.name", "second")
    return s.edited(second, "metadata.uid", "00000000-0000-4000-8000-000000000002")


async def test_no_run_starts_before_the_end_of_the_one_before_is_written():
    case = Case(s.RUN, second_run())
    await case.go()
    # Somebody has changed the first, and the watch has not told yet: its end meets a conflict.
    case.bench.cluster.hold(s.edited(case.read(), "metadata.labels", {"a": "b"}))
    ended = s.progress_of(outcome=RunOutcome.COMPLETED)
    case.link.take(case.bench.gateway.change(run=ended, state=MachineState.IDLE))
    case.bench.clock.pass_s(1)
    with pytest.raises(RefusedError):
        await case.go()
    assert case.bench.gateway.sent("start") == [NAME]
    waiting = case.bench.read("RecipeRun", "second")["status"]
    assert f"Waits for run {NAME}, whose end is not written yet." in waiting["message"]
    for _ in range(2):
        case.bench.clock.pass_s(1)
        await case.go()
    assert case.bench.reason(s.RUN) == "Completed"
    assert case.bench.gateway.sent("start") == [NAME, "second"]


async def test_no_run_starts_on_a_machine_that_is_to_be_made_safe_for_a_lost_one():
    case = Case(s.RUN, second_run())
    await case.go()
    case.link.take(case.bench.gateway.change(run=None, state=MachineState.IDLE))
    for _ in range(6):
        await case.go()
        case.bench.clock.pass_s(5)
    assert case.bench.reason(s.RUN) == "GatewayRestarted"
    assert len(case.bench.gateway.sent("safe-state")) == 1
    assert case.bench.gateway.sent("start") == [NAME]


async def test_a_run_that_is_over_is_not_started_because_the_watch_is_late():
    case = Case()
    case.bench.gateway.fail["start"] = RefusedError("NotIdle", "the machine is Stopped")
    await case.go()
    before = case.read()
    assert before["metadata"]["finalizers"] == [names.RUN_FINALIZER]
    case.change("spec.action", "Abort")
    await case.go()
    assert case.bench.reason(s.RUN) == "Aborted"
    del case.bench.gateway.fail["start"]
    case.bench.clock.pass_s(60)
    case.bench.parts.world.put(before)
    with contextlib.suppress(RefusedError):
        await case.go()
    assert len(case.bench.gateway.sent("start")) == 1
