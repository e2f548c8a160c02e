"""Runs of one machine, with everything around them played."""

import asyncio
import contextlib

import msgspec

from ald.controller.apply import MACHINE
from ald.controller.link import Link
from ald.controller.runs import Runs
from ald.records.event import RunOutcome
from unit.controller import situations as s
from unit.controller.operators import MACHINE_KEY, Bench

NAME = s.RUN["metadata"]["name"]


class Case:
    def __init__(self, *documents):
        self._begin(Bench(s.MACHINE, s.RECIPE, *(documents or (s.RUN,))))
        self.link.take(self.bench.gateway.now())

    @classmethod
    def again(cls, before):
        """Return the same cluster and gateway with an operator that has just started, and has asked nobody yet."""
        case = cls.__new__(cls)
        case._begin(before.bench)
        return case

    def _begin(self, bench):
        self.bench = bench
        self.link = Link(self.bench.gateway, self.bench.clock, self.look)
        self.runs = Runs(MACHINE_KEY, self.bench.parts, self.link, self.look)

    def look(self):
        if hasattr(self, "runs"):
            self.runs.look()

    async def go(self, **changes):
        plant = await self.bench.parts.compiler.plant(s.MACHINE)
        machine = self.bench.parts.world.find(MACHINE, MACHINE_KEY)
        situation = s.situation(machine=machine, plant=plant.plant, reach=self.link.reach)
        situation = msgspec.structs.replace(situation, **changes)
        await self.runs.reconcile(situation)

    def change(self, where, value):
        now = self.bench.read("RecipeRun", NAME)
        self.bench.change(s.edited(now, where, value))
        self.runs.look()

    def is_aborted(self):
        progress = self.link.reach.progress
        return progress is not None and progress.outcome is RunOutcome.ABORTED

    def read(self):
        return self.bench.read("RecipeRun", NAME)

    @contextlib.asynccontextmanager
    async def aborting(self):
        """Have the task that sends aborts running."""
        task = asyncio.get_running_loop().create_task(self.runs.abort_forever())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def until(self, fact):
        async with asyncio.timeout(5):
            while not fact():  # noqa: ASYNC110 -- any fact
                await asyncio.sleep(0.001)
