"""Runs of one machine, with everything around them played: races and failures that a real cluster shows too seldom."""

import asyncio
import contextlib

import msgspec
import pytest

from ald.controller import names
from ald.controller.names import Key
from ald.controller.views import Reach
from ald.errors import PeerError, RefusedError
from ald.records.event import MachineState, RunOutcome
from fixtures.played_gateway import progress
from unit.controller import situations as s
from unit.controller.run_cases import NAME, Case


async def test_a_run_is_kept_by_finalizers_before_the_gateway_has_it():
    case = Case()

    async def look():
        assert case.read()["metadata"]["finalizers"] == [names.RUN_FINALIZER]
        machine = case.bench.read("Machine", "demo-reactor")
        assert machine["metadata"]["finalizers"] == [names.MACHINE_FINALIZER]

    case.bench.gateway.before["start"] = look
    await case.go()
    assert case.bench.gateway.sent("start") == [NAME]
    assert case.bench.reason(s.RUN) == "Running"
    assert case.runs.has_active


@pytest.mark.requirement("REC-05")
async def test_a_recipe_edited_just_before_the_order_is_compiled_anew_so_that_the_record_has_what_runs():
    case = Case()

    def edit():
        newer = s.edited(s.edited(s.RECIPE, "spec.description", "edited"), "metadata.generation", 7)
        case.bench.change(s.edited(newer, "metadata.resourceVersion", "9999"))

    case.bench.cluster.after["merge RecipeRun"] = edit
    await case.go()
    assert case.bench.gateway.orders == []
    assert 0 < case.runs.due_ns <= case.bench.clock.now_ns
    await case.go()
    (order,) = case.bench.gateway.orders
    assert order.program.recipe_generation == 7
    assert msgspec.json.decode(order.recipe_source)["description"] == "edited"


@pytest.mark.requirement("REC-05")
@pytest.mark.parametrize("is_deleted", [False, True])
async def test_a_recipe_edited_or_deleted_while_its_run_is_on_changes_nothing_of_it(is_deleted):
    case = Case()
    await case.go()
    (order,) = case.bench.gateway.orders
    if is_deleted:
        case.bench.forget(case.bench.read("Recipe", s.RECIPE["metadata"]["name"]))
    else:
        newer = s.edited(s.edited(s.RECIPE, "spec.description", "edited"), "metadata.generation", 7)
        case.bench.change(s.edited(newer, "metadata.resourceVersion", "9999"))
    for _ in range(3):
        case.bench.clock.pass_s(200)
        await case.go()
        assert case.bench.reason(s.RUN) == "Running"
    case.link.take(case.bench.gateway.change(run=progress(order, outcome=RunOutcome.COMPLETED)))
    await case.go()
    assert case.bench.reason(s.RUN) == "Completed"
    assert case.bench.gateway.orders == [order]
    assert case.read()["status"]["programDigest"] == order.program_digest


async def test_a_run_is_never_sent_twice():
    case = Case()
    for _ in range(5):
        await case.go()
        case.bench.clock.pass_s(10)
    assert case.bench.gateway.sent("start") == [NAME]


async def test_a_run_is_not_sent_twice_though_the_gateway_forgets_it_and_its_status_is_not_written():
    case = Case()

    async def lose_the_cluster():
        case.bench.cluster.away = True

    case.bench.gateway.before["start"] = lose_the_cluster
    with pytest.raises(PeerError):
        await case.go()
    case.bench.cluster.away = False
    case.link.take(case.bench.gateway.change(run=None))
    for _ in range(3):
        await case.go()
        case.bench.clock.pass_s(5)
    assert case.bench.gateway.sent("start") == [NAME]
    case.bench.clock.pass_s(20)
    await case.go()
    assert case.bench.reason(s.RUN) == "GatewayRestarted"


async def lost():
    """Return a run whose gateway has come back without its volume, long enough ago."""
    case = Case()
    await case.go()
    case.link.take(case.bench.gateway.change(run=None))
    await case.go()
    case.bench.clock.pass_s(20)
    return case


async def test_a_machine_whose_gateway_lost_a_run_is_made_safe_before_that_is_over():
    case = await lost()
    case.bench.gateway.fail["safe-state"] = RefusedError("NotControlled", "no configuration yet")
    await case.go()
    assert case.bench.reason(s.RUN) == "Running"
    assert case.runs.due_ns > case.bench.clock.now_ns
    del case.bench.gateway.fail["safe-state"]
    await case.go()
    await case.go()
    asked = [f"the gateway lost run {NAME} with its volume"] * 2
    assert case.bench.gateway.sent("safe-state") == asked
    assert case.bench.gateway.driver.state is MachineState.ABORTED
    assert case.bench.reason(s.RUN) == "GatewayRestarted"


async def test_a_lost_run_is_over_although_nothing_may_be_written_any_more():
    case = await lost()
    case.bench.gateway.fail["safe-state"] = RefusedError("NotControlled", "mode Observe")
    await case.go(plant=None)
    assert case.bench.reason(s.RUN) == "GatewayRestarted"


@pytest.mark.parametrize("error", [PeerError("gone"), RefusedError("IdentityRefused", "expired")])
async def test_a_lost_run_is_not_over_because_the_gateway_could_not_be_asked(error):
    case = await lost()
    case.bench.gateway.fail["safe-state"] = error
    await case.go(plant=None)
    assert case.bench.reason(s.RUN) == "Running"


async def test_an_order_of_unknown_fate_is_picked_up_when_it_did_arrive():
    case = Case()
    case.bench.gateway.fail["start"] = PeerError("timed out")
    await case.go()
    assert case.bench.reason(s.RUN) == "MachineNotReady"
    case.link.take(case.bench.gateway.change(run=s.progress_of()))
    case.bench.clock.pass_s(1)
    await case.go()
    assert case.bench.reason(s.RUN) == "Running"
    assert case.bench.gateway.sent("start") == [NAME]


async def test_a_refused_run_is_offered_again_but_not_at_once():
    case = Case()
    case.bench.gateway.fail["start"] = RefusedError("NotIdle", "the machine is Held")
    await case.go()
    await case.go()
    assert len(case.bench.gateway.sent("start")) == 1
    assert case.runs.due_ns > case.bench.clock.now_ns
    case.bench.clock.pass_s(60)
    await case.go()
    assert len(case.bench.gateway.sent("start")) == 2
    assert case.bench.reason(s.RUN) == "MachineNotReady"


async def test_a_run_that_the_gateway_can_never_take_ends():
    case = Case()
    case.bench.gateway.fail["start"] = RefusedError("BadProgram", "an endless loop")
    await case.go()
    assert case.bench.reason(s.RUN) == "InvalidRecipe"
    assert "endless loop" in case.read()["status"]["message"]


async def test_a_pulse_that_is_too_short_for_the_link_ends_the_run_with_the_figure_and_what_to_do():
    case = Case()
    case.bench.gateway.fail["start"] = RefusedError("PulseTooShort", "24ms; the shortest is 25ms")
    await case.go()
    assert case.bench.reason(s.RUN) == "PulseTooShort"
    message = case.read()["status"]["message"]
    assert "the shortest is 25ms" in message
    assert "timing.shortPulses: Allow" in message
    assert case.bench.gateway.sent("start") == [NAME]


async def test_an_abort_goes_to_the_gateway_without_waiting_for_anything_else():
    case = Case()
    await case.go()
    async with case.aborting():
        case.bench.cluster.away = True
        now = case.read()
        case.bench.parts.world.put(
            s.edited(s.edited(now, "spec.action", "Abort"), "metadata.resourceVersion", "9999")
        )
        case.runs.look()
        await case.until(lambda: case.bench.gateway.sent("abort") == [s.UID])
        await case.until(
            lambda: b"ald_operator_abort_seconds_count 1.0" in case.bench.metrics.text()
        )


async def test_an_abort_that_overtakes_the_order_to_start_is_sent_again_until_it_counts():
    case = Case()

    async def abort_meanwhile():
        case.change("spec.action", "Abort")
        await case.until(lambda: len(case.bench.gateway.sent("abort")) >= 2)

    case.bench.gateway.before["start"] = abort_meanwhile
    async with case.aborting():
        await case.go()
        await case.until(case.is_aborted)
    await case.go()
    assert case.bench.reason(s.RUN) == "Aborted"


async def test_an_abort_just_before_the_order_keeps_the_run_from_starting():
    case = Case()
    case.bench.cluster.after["merge RecipeRun"] = lambda: case.change("spec.action", "Abort")
    await case.go()
    assert case.bench.gateway.sent("start") == []
    assert case.bench.reason(s.RUN) == "Aborted"
    assert case.read()["metadata"]["finalizers"] == []


@pytest.mark.parametrize("error", [PeerError("gone"), RefusedError("IdentityRefused", "expired")])
async def test_an_abort_is_tried_again_until_the_gateway_takes_it_and_sent_once_after(error):
    case = Case()
    await case.go()
    case.bench.gateway.fail["abort"] = error
    async with case.aborting():
        case.change("spec.action", "Abort")
        case.bench.clock.pass_s(1)
        await case.until(lambda: len(case.bench.gateway.sent("abort")) == 2)
        del case.bench.gateway.fail["abort"]
        case.bench.clock.pass_s(10)
        await case.until(case.is_aborted)
        sent = len(case.bench.gateway.sent("abort"))
        case.runs.look()
        await asyncio.sleep(0.01)
        assert len(case.bench.gateway.sent("abort")) == sent


async def test_an_outcome_is_written_once_and_the_run_let_go():
    case = Case()
    await case.go()
    case.link.take(case.bench.gateway.change(run=s.progress_of(outcome=RunOutcome.COMPLETED)))
    await case.go()
    assert case.bench.reason(s.RUN) == "Completed"
    assert case.read()["metadata"]["finalizers"] == []
    before = case.bench.status_writes("RecipeRun")
    case.link.take(case.bench.gateway.change(run=s.progress_of(outcome=RunOutcome.LINK_LOST)))
    await case.go()
    assert case.bench.status_writes("RecipeRun") == before
    assert case.bench.reason(s.RUN) == "Completed"
    assert case.bench.events.reasons("RecipeRun") == ["Running", "Completed"]
    assert case.runs.is_empty


async def test_an_outcome_is_never_written_over_a_version_that_is_not_known():
    case = Case()
    await case.go()
    # Somebody has changed the object, and the watch has not told yet.
    case.bench.cluster.hold(s.edited(case.read(), "metadata.labels", {"a": "b"}))
    case.link.take(case.bench.gateway.change(run=s.progress_of(outcome=RunOutcome.COMPLETED)))
    with pytest.raises(RefusedError):
        await case.go()
    assert case.bench.reason(s.RUN) == "Running"
    await case.go()
    assert case.bench.reason(s.RUN) == "Completed"
    assert case.read()["metadata"]["labels"] == {"a": "b"}


async def test_progress_is_written_every_few_seconds_and_a_new_step_within_one():
    case = Case()
    await case.go()
    begin = case.bench.status_writes("RecipeRun")

    async def after(seconds, **changes):
        case.bench.clock.pass_s(seconds)
        case.link.take(case.bench.gateway.change(run=s.progress_of(**changes)))
        await case.go()
        return case.bench.status_writes("RecipeRun") - begin

    first = case.read()["status"]
    times = {"estimated_end_wall_ns": 0, "started_wall_ns": 0}
    assert first["step"] == "deposit/tma"
    assert await after(0.5, step="a", **times) == 0
    assert await after(0.5, step="b", **times) == 1
    assert case.read()["status"]["step"] == "b"
    assert await after(1, step="b", leaves_done=9, **times) == 1
    assert await after(4, step="b", leaves_done=30, **times) == 2
    assert case.read()["status"]["stepsDone"] == 30


async def test_the_failure_of_one_run_does_not_keep_the_others():
    second = s.edited(s.RUN, "metadata.name", "second")
    second = s.edited(second, "metadata.uid", "00000000-0000-4000-8000-000000000002")
    case = Case(s.RUN, second)
    # The first is gone from the cluster, which the watch has not told yet.
    del case.bench.cluster.objects["RecipeRun", Key(s.SPACE, NAME)]
    with contextlib.suppress(Exception):
        await case.go()
    await case.go()
    assert case.bench.gateway.sent("start") == ["second"]


async def test_runs_wait_while_nothing_is_known_of_the_gateway():
    case = Case()
    case.link.reach = Reach(status=None, reason="GatewayUnreachable", message="refused")
    await case.go()
    assert case.bench.reason(s.RUN) == "MachineNotReady"
    assert case.bench.gateway.sent("start") == []


async def test_a_stop_is_told_to_the_gateway_once():
    case = Case()
    await case.go()
    case.change("spec.action", "Stop")
    for _ in range(3):
        await case.go()
    assert case.bench.gateway.sent("direct") == ["Stop"]


async def test_a_stop_is_told_again_while_the_gateway_does_not_answer_and_the_status_goes_on():
    case = Case()
    await case.go()
    case.bench.gateway.fail["direct"] = PeerError("gone")
    case.change("spec.action", "Stop")
    await case.go()
    await case.go()
    assert case.bench.gateway.sent("direct") == ["Stop"]
    assert case.runs.due_ns > 0
    assert case.read()["status"]["phase"] == "Running"
    del case.bench.gateway.fail["direct"]
    case.bench.clock.pass_s(60)
    await case.go()
    await case.go()
    assert case.bench.gateway.sent("direct") == ["Stop", "Stop"]


async def test_a_stop_just_before_the_order_keeps_the_run_from_starting():
    case = Case()
    case.bench.cluster.after["merge RecipeRun"] = lambda: case.change("spec.action", "Stop")
    await case.go()
    assert case.bench.gateway.sent("start") == []
    assert case.bench.reason(s.RUN) == "Stopped"


async def test_a_run_paused_before_it_starts_lets_the_next_one_go_first():
    second = s.edited(s.edited(s.RUN, "metadata.name", "second"), "metadata.uid", "0" * 32)
    case = Case(s.edited(s.RUN, "spec.action", "Pause"), second)
    await case.go()
    assert case.bench.gateway.sent("start") == ["second"]
    assert case.bench.reason(s.RUN) == "Paused"
    (order,) = case.bench.gateway.orders
    ended = progress(order, outcome=RunOutcome.COMPLETED)
    case.link.take(case.bench.gateway.change(run=ended, state=MachineState.IDLE))
    case.change("spec.action", "Run")
    await case.go()
    await case.go()
    assert case.bench.gateway.sent("start") == ["second", NAME]


async def test_a_pause_and_going_on_are_told_to_the_gateway():
    case = Case()
    await case.go()
    for action in ("Pause", "Run"):
        case.change("spec.action", action)
        await case.go()
    assert case.bench.gateway.sent("direct") == ["Pause", "Run"]
