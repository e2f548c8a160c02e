"""A run that the gateway's restart has cut short, taken up again with everything around it played."""

from ald.controller import names
from ald.errors import RefusedError
from ald.records.event import MachineState, RunOutcome
from ald.wire import Reached
from unit.controller import situations as s
from unit.controller.run_cases import NAME, Case

RESUMING = s.edited(s.RUN, "spec.onGatewayRestart", "Resume")
CUT = {
    "outcome": RunOutcome.GATEWAY_RESTARTED,
    "reached": Reached(step="deposit/tma", iterations=((37, 100),)),
    "resumable": True,
    "program_digest": s.compiled().digest,
}


async def cut_short(*documents, **changes):
    """Return runs of which the first was cut short by a restart of the gateway, which is ready again."""
    case = Case(RESUMING, *documents)
    await case.go()
    assert case.bench.gateway.sent("start") == [NAME]
    ended = s.progress_of(**{**CUT, **changes})
    case.link.take(case.bench.gateway.change(run=ended, state=MachineState.IDLE))
    return case


async def test_a_run_that_was_cut_short_is_taken_up_once():
    case = await cut_short()
    for _ in range(3):
        await case.go()
        case.bench.clock.pass_s(5)
    assert case.bench.gateway.sent("start") == [NAME, NAME]
    assert case.bench.reason(s.RUN) == "Running"
    assert case.read()["status"]["resumed"] == 1
    assert case.bench.events.reasons("RecipeRun").count("Resumed") == 1, "its status never waited"
    assert case.read()["metadata"]["finalizers"] == [names.RUN_FINALIZER]


async def test_no_other_run_gets_in_between():
    second = s.edited(s.edited(s.RUN, "metadata.name", "second"), "metadata.uid", "0" * 32)
    case = await cut_short(second)
    case.bench.gateway.fail["start"] = RefusedError("NotReady", "too cold")
    for _ in range(3):
        await case.go()
        case.bench.clock.pass_s(60)
    assert set(case.bench.gateway.sent("start")) == {NAME}
    assert case.bench.reason(s.RUN) == "Resuming"
    assert "too cold" in case.read()["status"]["message"]
    assert case.bench.reason(second) == "Queued"
    case.bench.clock.pass_s(600)
    del case.bench.gateway.fail["start"]
    await case.go()
    assert case.bench.reason(s.RUN) == "ResumeRefused"
    await case.go()
    assert case.bench.gateway.sent("start")[-1] == "second"


async def test_what_the_gateway_will_never_take_up_ends_the_run():
    case = await cut_short()
    case.bench.gateway.fail["start"] = RefusedError("NotResumable", "another run was on")
    await case.go()
    assert case.bench.reason(s.RUN) == "ResumeRefused"
    assert "another run was on" in case.read()["status"]["message"]


async def test_an_abort_that_overtakes_the_order_to_go_on_is_sent_again_until_it_counts():
    case = await cut_short()
    before = len(case.bench.gateway.sent("abort"))

    async def abort_meanwhile():
        case.change("spec.action", "Abort")
        await case.until(lambda: len(case.bench.gateway.sent("abort")) >= before + 2)

    case.bench.gateway.before["start"] = abort_meanwhile
    async with case.aborting():
        await case.go()
        await case.until(case.is_aborted)
    await case.go()
    assert case.bench.reason(s.RUN) == "Aborted"
