import pytest

from ald.controller.actions import Actions
from ald.controller.link import Link
from ald.errors import PeerError, RefusedError
from ald.records.event import MachineState
from unit.controller import situations as s
from unit.controller.operators import MACHINE_KEY, Bench


class Case:
    def __init__(self, action=s.ACTION):
        self.bench = Bench(s.MACHINE, action)
        self.bench.gateway.driver = s.idle(state=MachineState.ABORTED)
        self.link = Link(self.bench.gateway, self.bench.clock, lambda: None)
        self.actions = Actions(MACHINE_KEY, self.bench.parts, self.link)
        self.link.take(self.bench.gateway.now())

    async def go(self):
        await self.actions.reconcile(s.situation(reach=self.link.reach))


async def test_a_clear_is_sent_once_and_ends_done():
    case = Case()
    for _ in range(3):
        await case.go()
    assert case.bench.gateway.sent("clear") == [s.ACTION["spec"]["comment"]]
    assert case.bench.reason(s.ACTION) == "Done"
    assert case.actions.is_empty


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RefusedError("NotAborted", "the machine is Idle"), "Refused"),
        (PeerError("timed out"), "GatewayUnreachable"),
    ],
)
async def test_a_clear_that_fails_ends_with_the_reason_and_is_not_repeated(error, reason):
    case = Case()
    case.bench.gateway.fail["clear"] = error
    for _ in range(3):
        await case.go()
    assert len(case.bench.gateway.sent("clear")) == 1
    assert case.bench.reason(s.ACTION) == reason


async def test_a_clear_is_not_sent_before_it_is_on_record_that_it_will_be():
    case = Case()
    case.bench.cluster.away = True
    with pytest.raises(PeerError):
        await case.go()
    assert case.bench.gateway.sent("clear") == []


async def test_what_the_gateway_has_said_is_written_although_somebody_changes_the_action_meanwhile():
    case = Case()

    async def change():
        now = case.bench.read("MachineAction", s.ACTION["metadata"]["name"])
        case.bench.cluster.hold(s.edited(now, "metadata.labels", {"a": "b"}))

    case.bench.gateway.before["clear"] = change
    with pytest.raises(RefusedError):
        await case.go()
    await case.go()
    assert len(case.bench.gateway.sent("clear")) == 1
    assert case.bench.reason(s.ACTION) == "Done"


async def test_an_operator_that_ended_while_sending_does_not_send_again():
    case = Case()

    async def die():
        case.bench.cluster.away = True

    case.bench.gateway.before["clear"] = die
    with pytest.raises(PeerError):
        await case.go()
    case.bench.cluster.away = False
    other = Actions(MACHINE_KEY, case.bench.parts, case.link)
    await other.reconcile(s.situation(s.idle(state=MachineState.ABORTED)))
    assert len(case.bench.gateway.sent("clear")) == 1
    assert case.bench.reason(s.ACTION) == "Refused"


async def test_the_safe_state_is_asked_for_once_and_the_action_says_what_follows():
    case = Case(s.edited(s.ACTION, "spec.verb", "SafeState"))
    for _ in range(3):
        await case.go()
    assert case.bench.gateway.sent("safe-state") == [s.ACTION["spec"]["comment"]]
    assert case.bench.gateway.sent("clear") == []
    assert case.bench.reason(s.ACTION) == "Done"
    driver = case.link.reach.driver
    assert driver is not None
    assert driver.state is MachineState.ABORTED


@pytest.mark.parametrize("error", [PeerError("timed out"), RefusedError("IdentityRefused", "old")])
async def test_the_safe_state_is_asked_for_until_the_gateway_takes_it(error):
    case = Case(s.edited(s.ACTION, "spec.verb", "SafeState"))
    case.bench.gateway.fail["safe-state"] = error
    for _ in range(2):
        with pytest.raises(type(error)):
            await case.go()
        assert case.bench.reason(s.ACTION) == "Pending"
    del case.bench.gateway.fail["safe-state"]
    for _ in range(2):
        await case.go()
    assert len(case.bench.gateway.sent("safe-state")) == 3
    assert case.bench.reason(s.ACTION) == "Done"


async def test_the_safe_state_is_asked_for_once_although_nothing_can_be_written_meanwhile():
    case = Case(s.edited(s.ACTION, "spec.verb", "SafeState"))
    case.bench.cluster.away = True
    for _ in range(2):
        with pytest.raises(PeerError):
            await case.go()
    assert len(case.bench.gateway.sent("safe-state")) == 1
    case.bench.cluster.away = False
    await case.go()
    assert len(case.bench.gateway.sent("safe-state")) == 1
    assert case.bench.reason(s.ACTION) == "Done"


async def test_an_operator_that_ended_while_asking_for_the_safe_state_is_followed_by_one_that_asks():
    case = Case(s.edited(s.ACTION, "spec.verb", "SafeState"))

    async def die():
        case.bench.cluster.away = True

    case.bench.gateway.before["safe-state"] = die
    with pytest.raises(PeerError):
        await case.go()
    case.bench.cluster.away = False
    other = Actions(MACHINE_KEY, case.bench.parts, case.link)
    await other.reconcile(s.situation(s.idle(state=MachineState.IDLE)))
    assert len(case.bench.gateway.sent("safe-state")) == 2
    assert case.bench.reason(s.ACTION) == "Done"


async def test_a_prompt_is_confirmed_once():
    action = s.edited(s.edited(s.ACTION, "spec.verb", "Confirm"), "spec.target", "0f8fad5b-3")
    case = Case(action)
    case.bench.gateway.driver = s.idle(run=s.progress_of(prompt_id="0f8fad5b-3"))
    case.link.take(case.bench.gateway.now())
    for _ in range(3):
        await case.go()
    assert case.bench.gateway.sent("confirm") == ["0f8fad5b-3"]
    assert case.bench.reason(s.ACTION) == "Done"


def safe_state(name, created):
    made = s.edited(s.ACTION, "spec.verb", "SafeState")
    for where, value in (("name", name), ("uid", f"uid-{name}"), ("creationTimestamp", created)):
        made = s.edited(made, f"metadata.{where}", value)
    return made


async def test_what_makes_safe_does_not_wait_for_an_older_action_that_cannot_be_written(
    monkeypatch,
):
    case = Case()
    newer = safe_state("make-safe", "2026-11-01T00:00:00Z")
    case.bench.put(newer)
    apply = case.bench.cluster.apply

    async def refuse(document, **more):
        if document["metadata"]["name"] == s.ACTION["metadata"]["name"]:
            raise RefusedError("Invalid", "not by this definition")
        return await apply(document, **more)

    monkeypatch.setattr(case.bench.cluster, "apply", refuse)
    for _ in range(2):
        with pytest.raises(RefusedError):
            await case.go()
    assert len(case.bench.gateway.sent("safe-state")) == 1
    assert case.bench.reason(newer) == "Done"
    monkeypatch.undo()
    await case.go()
    assert case.bench.reason(s.ACTION) == "Refused"
    assert case.bench.gateway.sent("clear") == []
    assert case.actions.is_empty


async def test_a_clear_that_was_asked_for_after_the_safe_state_follows_it():
    case = Case()
    older = safe_state("make-safe", "2020-01-01T00:00:00Z")
    case.bench.put(older)
    for _ in range(2):
        await case.go()
    assert [what for what, _ in case.bench.gateway.calls][-2:] == ["safe-state", "clear"]
    assert case.bench.reason(s.ACTION) == case.bench.reason(older) == "Done"
