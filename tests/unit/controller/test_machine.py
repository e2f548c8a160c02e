import asyncio
import contextlib

import pytest

from ald.controller import names
from ald.controller.apply import DEPLOYMENT
from ald.controller.drain import PATIENCE_S
from ald.controller.machine import Machine
from ald.controller.manifests import template_digest
from ald.controller.names import Key
from ald.errors import RefusedError
from ald.records.event import MachineState, RunOutcome
from fixtures.played_gateway import gateway_status
from unit.controller import situations as s
from unit.controller.operators import MACHINE_KEY, Bench, LoopClock

pytestmark = pytest.mark.looptime
CHILD = "demo-reactor-gateway"


class Case:
    def __init__(self, *documents):
        self.bench = Bench(*documents, clock=LoopClock())
        self.machine = Machine(MACHINE_KEY, self.bench.parts)

    @contextlib.asynccontextmanager
    async def served(self):
        task = asyncio.get_running_loop().create_task(self.machine.supervise())
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def finalizers(self):
        return self.bench.read("Machine", "demo-reactor")["metadata"]["finalizers"]

    def budget(self):
        return self.bench.read("PodDisruptionBudget", CHILD)["spec"]["maxUnavailable"]

    def delete(self):
        now = self.bench.read("Machine", "demo-reactor")
        self.bench.put(s.edited(now, "metadata.deletionTimestamp", s.NOW))
        self.machine.look()

    def condition(self, wanted):
        found = self.bench.read("Machine", "demo-reactor")["status"]["conditions"]
        return next(each for each in found if each["type"] == wanted)


@pytest.fixture
async def ready(monkeypatch):
    case = Case(s.MACHINE)
    # Its own certificate is for connections, which are played here.
    monkeypatch.setattr(case.bench.keeper, "_take", lambda leaf: None)
    await case.bench.keeper.refresh()
    return case


async def test_a_machine_gets_its_objects_its_plant_and_a_status(ready):
    ready.bench.gateway.driver = s.idle(plant_digest="", plant_confirmed=False)
    async with ready.served():
        await asyncio.sleep(3)
        for kind in ("PersistentVolumeClaim", "Service", "Deployment", "PodDisruptionBudget"):
            assert ready.bench.read(kind, CHILD)
        assert ready.bench.read("Secret", f"{CHILD}-tls")
        assert len(ready.bench.gateway.sent("push")) == 1
        assert ready.condition("Ready")["status"] == "True"
    assert ready.bench.gateway.is_closed


async def test_an_idle_machine_is_left_alone(ready):
    async with ready.served():
        await asyncio.sleep(5)
        writes = len(ready.bench.cluster.writes)
        await asyncio.sleep(60)
        assert len(ready.bench.cluster.writes) - writes <= 2


@pytest.mark.requirement("INT-19")
async def test_while_two_machines_write_the_same_outputs_neither_gets_its_configuration(ready):
    ready.bench.gateway.driver = s.idle(plant_digest="", plant_confirmed=False)
    meta = s.MACHINE["metadata"] | {"name": "copy", "uid": "2"}
    copy = s.edited(s.MACHINE, "metadata", meta)
    ready.bench.put(copy)
    async with ready.served():
        await asyncio.sleep(5)
        assert ready.condition("Configured")["reason"] == "InvalidSpec"
        assert "Machine plant-1/copy writes coil" in ready.condition("Configured")["message"]
        assert ready.bench.gateway.sent("push") == []
        ready.bench.parts.world.remove(copy)
        ready.machine.look()
        await asyncio.sleep(5)
        assert len(ready.bench.gateway.sent("push")) == 1


async def test_a_plant_that_is_not_taken_is_offered_ever_more_slowly_and_said_why(ready):
    ready.bench.gateway.driver = s.idle(plant_confirmed=False)
    ready.bench.gateway.fail["push"] = RefusedError("RunActive", "a run is on")
    async with ready.served():
        await asyncio.sleep(60)
        assert len(ready.bench.gateway.sent("push")) <= 10
        assert "a run is on" in ready.condition("Configured")["message"]


async def test_a_deployment_that_somebody_deletes_comes_back(ready):
    async with ready.served():
        await asyncio.sleep(3)
        del ready.bench.cluster.objects["Deployment", Key(s.SPACE, CHILD)]
        ready.machine.suspect_children()
        await asyncio.sleep(1)
        assert ready.bench.read("Deployment", CHILD)


async def test_a_new_pod_template_waits_for_the_run_to_end(ready):
    async with ready.served():
        await asyncio.sleep(3)
    old = ready.bench.read("Deployment", CHILD)
    ready.bench.cluster.hold(
        s.edited(old, "metadata.annotations", {names.TEMPLATE_ANNOTATION: "x"})
    )
    run = s.edited(s.RUN, "status.gatewaySession", "session-1")
    ready.bench.put(s.RECIPE, run)
    ready.bench.gateway.driver = s.idle(run=s.progress_of(), state=MachineState.EXECUTE)
    ready.machine = Machine(MACHINE_KEY, ready.bench.parts)
    async with ready.served():
        await asyncio.sleep(3)
        assert template_digest(ready.bench.read("Deployment", CHILD)) == "x"
        assert ready.condition("UpdatePending")["reason"] == "WaitingForRun"
        assert ready.condition("Configured")["reason"] == "Accepted"
        assert ready.budget() == 0
        ended = s.progress_of(outcome=RunOutcome.COMPLETED)
        ready.bench.gateway.change(run=ended, state=MachineState.IDLE)
        await asyncio.sleep(5)
        found = await ready.bench.cluster.get(DEPLOYMENT, Key(s.SPACE, CHILD))
        assert template_digest(found) == template_digest(old)
        assert ready.condition("UpdatePending")["reason"] == "UpToDate"
        assert ready.budget() == 1


async def test_a_deleted_machine_stays_until_the_history_has_what_its_gateway_recorded(ready):
    gateway = ready.bench.gateway
    async with ready.served():
        await asyncio.sleep(3)
        assert ready.finalizers() == [names.MACHINE_FINALIZER]
        gateway.answer = gateway_status(s.idle(), feed_position=500, feed_committed=100)
        ready.delete()
        await asyncio.sleep(30)
        assert ready.finalizers() == [names.MACHINE_FINALIZER]
        assert "400 records" in ready.condition("Ready")["message"]
        gateway.answer = gateway_status(s.idle(), feed_position=900, feed_committed=500)
        await asyncio.sleep(2)
        assert ready.finalizers() == []


async def test_a_deleted_machine_without_a_logger_is_let_go_after_a_while(ready):
    async with ready.served():
        await asyncio.sleep(3)
        answer = gateway_status(s.idle(), feed_position=500, feed_committed=100)
        ready.bench.gateway.answer = answer
        ready.delete()
        await asyncio.sleep(PATIENCE_S - 2)
        assert ready.finalizers() == [names.MACHINE_FINALIZER]
        await asyncio.sleep(4)
        assert ready.finalizers() == []


async def test_a_machine_made_again_under_its_name_is_drained_anew(ready):
    async with ready.served():
        await asyncio.sleep(3)
        ready.bench.put(s.RECIPE, s.edited(s.RUN, "spec.action", "Run"))
        ready.delete()
        await asyncio.sleep(3)
        assert ready.finalizers() == []
        ready.bench.put(s.edited(s.MACHINE, "metadata.uid", "another"))
        ready.machine.look()
        await asyncio.sleep(3)
        answer = gateway_status(s.idle(), feed_position=500, feed_committed=100)
        ready.bench.gateway.answer = answer
        ready.delete()
        await asyncio.sleep(3)
        assert ready.finalizers() == [names.MACHINE_FINALIZER]


async def test_a_task_ends_when_nothing_of_its_machine_is_left(ready):
    async with ready.served() as task:
        await asyncio.sleep(2)
        ready.bench.forget(s.MACHINE)
        ready.machine.look()
        await asyncio.sleep(1)
        assert task.done()
        assert task.exception() is None


async def test_an_api_server_that_is_away_is_not_hammered_and_the_status_catches_up(ready):
    async with ready.served():
        await asyncio.sleep(2)
        ready.bench.cluster.away = True
        ready.bench.gateway.change(state=MachineState.ABORTED, message="an interlock")
        await asyncio.sleep(60)
        ready.bench.cluster.away = False
        await asyncio.sleep(40)
        assert ready.condition("Ready")["reason"] == "Aborted"
    text = ready.bench.metrics.text().decode()
    (line,) = [
        each
        for each in text.splitlines()
        if each.startswith('ald_operator_reconciles_total{kind="Machine",outcome="error"}')
    ]
    assert float(line.rsplit(" ", 1)[1]) < 30


async def test_the_safe_state_waits_for_no_api_server(ready):
    async with ready.served():
        await asyncio.sleep(3)
        ready.bench.cluster.away = True
        ready.machine.suspect_children()
        action = s.edited(s.ACTION, "spec.verb", "SafeState")
        ready.bench.parts.world.put(action)
        ready.machine.look()
        await asyncio.sleep(1)
        assert ready.bench.gateway.sent("safe-state")
