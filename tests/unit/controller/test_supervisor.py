import asyncio
import contextlib

import pytest
import structlog.testing

from ald.controller.names import Key
from ald.controller.supervisor import Supervisor
from unit.controller import situations as s
from unit.controller.operators import Bench, LoopClock

pytestmark = pytest.mark.looptime


@contextlib.asynccontextmanager
async def supervised(monkeypatch, *documents):
    bench = Bench(*documents, clock=LoopClock())
    # Its own certificate is for connections, which are played here.
    monkeypatch.setattr(bench.keeper, "_take", lambda leaf: None)
    supervisor = Supervisor(bench.parts)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        yield bench, supervisor
        supervisor.stop()


def names_of_tasks():
    return sorted(
        task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("machine ")
    )


async def test_what_was_listed_before_the_start_is_served(monkeypatch):
    async with supervised(monkeypatch, s.MACHINE, s.RECIPE, s.RUN) as (bench, _):
        await asyncio.sleep(5)
        assert bench.gateway.sent("start") == [s.RUN["metadata"]["name"]]


async def test_a_run_of_a_machine_that_comes_later_starts_when_it_has_come(monkeypatch):
    async with supervised(monkeypatch) as (bench, supervisor):
        for document in (s.RUN, s.MACHINE):
            await asyncio.sleep(5)
            supervisor.see(bench.cluster.hold(document))
        await asyncio.sleep(1)
        assert bench.gateway.sent("start") == []
        supervisor.see(bench.cluster.hold(s.RECIPE))
        await asyncio.sleep(2)
        assert bench.gateway.sent("start") == [s.RUN["metadata"]["name"]]


async def test_there_is_one_task_for_a_machine_however_much_is_seen_and_none_when_it_is_gone(
    monkeypatch,
):
    async with supervised(monkeypatch) as (bench, supervisor):
        for _ in range(5):
            supervisor.see(bench.cluster.hold(s.MACHINE))
            await asyncio.sleep(0.1)
        assert names_of_tasks() == [f"machine {s.SPACE}/demo-reactor"]
        supervisor.see_gone(bench.read("Machine", "demo-reactor"))
        await asyncio.sleep(2)
        assert names_of_tasks() == []


async def test_a_fault_of_ours_ends_neither_the_others_nor_the_machine_for_good(monkeypatch):
    broken = s.edited(s.MACHINE, "metadata", s.MACHINE["metadata"] | {"name": "broken", "uid": "2"})
    broken = s.edited(broken, "spec.plc.host", "another-plc")
    async with supervised(monkeypatch, s.MACHINE, s.RECIPE, broken) as (bench, supervisor):
        good = bench.gateway

        def make(key):
            if key.name == "broken" and "broken" not in failures:
                failures.append("broken")
                raise ZeroDivisionError
            return good

        failures: list[str] = []
        monkeypatch.setattr(type(bench.parts), "gateway", property(lambda _: make))
        with structlog.testing.capture_logs() as lines:
            await asyncio.sleep(60)
        assert [each["event"] for each in lines if each["log_level"] == "error"] == ["task_failed"]
        assert failures == ["broken"]
        assert names_of_tasks() == [
            f"machine {s.SPACE}/broken",
            f"machine {s.SPACE}/demo-reactor",
        ]
        assert b'kind="Task",outcome="error"} 1.0' in bench.metrics.text()
        supervisor.see(bench.cluster.hold(s.RUN))
        await asyncio.sleep(2)
        assert bench.gateway.sent("start") == [s.RUN["metadata"]["name"]]


async def test_a_child_that_changes_is_looked_at_with_its_machine(monkeypatch):
    async with supervised(monkeypatch, s.MACHINE) as (bench, supervisor):
        await asyncio.sleep(5)
        key = Key(s.SPACE, "demo-reactor-gateway")
        gone = bench.cluster.objects.pop(("Deployment", key))
        supervisor.see_child(gone)
        supervisor.see_child({"metadata": {"namespace": s.SPACE, "name": "strange"}})
        await asyncio.sleep(2)
        assert bench.read("Deployment", "demo-reactor-gateway")
