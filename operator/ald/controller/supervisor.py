"""Takes in what the watch shows, and keeps one task for each machine, one for recipes, one for certificates."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ald.controller.apply import ACTION, MACHINE, RECIPE, RUN, Document, key_of, kind_of
from ald.controller.machine import Machine
from ald.controller.names import MACHINE_LABEL, Key
from ald.controller.parts import Parts
from ald.controller.recipes import Recipes
from ald.controller.retry import Retry
from ald.controller.world import generation, machine_of, uid
from ald.errors import PeerError, RefusedError
from ald.kit.log import get_logger

log = get_logger()


class Supervisor:
    """`learn` and `see` are called by the watch and return at once; `run` does the work."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._recipes = Recipes(parts)
        self._machines: dict[Key, Machine] = {}
        # Also those whose task has failed and waits to start anew: never two tasks for one machine.
        self._served: set[Key] = set()
        self._generations: dict[tuple[str, Key], tuple[str, int]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def learn(self, document: Document) -> None:
        """Take in an object without acting on it: while the first listing is not complete, much seems missing."""
        self._parts.world.put(document)

    def see(self, document: Document) -> None:
        """Take in an object that is new or has changed, and look at what it concerns."""
        self._parts.world.put(document)
        self._look(document)

    def see_gone(self, document: Document) -> None:
        """Take in that an object is gone."""
        self._parts.world.remove(document)
        self._look(document)

    def see_child(self, document: Document) -> None:
        """Take in that an object of a gateway has changed or is gone."""
        name = (document["metadata"].get("labels") or {}).get(MACHINE_LABEL, "")
        machine = self._machines.get(Key(document["metadata"]["namespace"], name))
        if machine is not None:
            machine.suspect_children()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._start("certificates", self._keep_certificates)
            self._start("recipes", self._recipes.judge_forever)
            for kind in (MACHINE, RUN, ACTION):
                for document in list(self._parts.world.all(kind)):
                    self._look(document)

    def stop(self) -> None:
        """End every task; whatever they were at is found again at the next start."""
        for task in self._tasks:
            task.cancel()

    def _look(self, document: Document) -> None:
        kind, key = kind_of(document), key_of(document)
        if kind == RECIPE:
            self._recipes.look(key)
            if self._is_new(document):
                for run in self._parts.world.all(RUN, key.namespace):
                    if run["spec"]["recipeRef"]["name"] == key.name:
                        self._look_at_machine(machine_of(run))
            return
        if kind == MACHINE and self._is_new(document):
            self._recipes.look_at_all(key.namespace)
            # It may write what another one writes, or do so no more.
            for other in self._machines.values():
                other.look()
        self._look_at_machine(key if kind == MACHINE else machine_of(document))

    def _is_new(self, document: Document) -> bool:
        """Return whether an object is new, changed in its spec, or gone; a change of its status is none of these."""
        name = (document["kind"], key_of(document))
        if self._parts.world.find(kind_of(document), key_of(document)) is None:
            self._generations.pop(name, None)
            return True
        version = (uid(document), generation(document))
        is_new = self._generations.get(name) != version
        self._generations[name] = version
        return is_new

    def _look_at_machine(self, key: Key) -> None:
        machine = self._machines.get(key)
        if machine is not None:
            machine.look()
        elif key not in self._served and self._group is not None and self._concerns_us(key):
            self._served.add(key)
            self._start(f"machine {key.namespace}/{key.name}", lambda: self._serve(key))

    def _concerns_us(self, key: Key) -> bool:
        world = self._parts.world
        return bool(
            world.find(MACHINE, key) or world.of_machine(RUN, key) or world.of_machine(ACTION, key)
        )

    async def _serve(self, key: Key) -> None:
        machine = self._machines[key] = Machine(key, self._parts)
        try:
            await machine.supervise()
        finally:
            del self._machines[key]
        self._served.discard(key)
        # Something may have come up while it ended.
        self._look_at_machine(key)

    async def _keep_certificates(self) -> None:
        while True:
            try:
                changed = await self._parts.keeper.refresh()
            except (PeerError, RefusedError) as error:
                log.warning("certificates_not_kept", error=str(error))
                self._parts.metrics.reconciles.labels("Certificates", "error").inc()
            else:
                self._parts.metrics.reconciles.labels("Certificates", "done").inc()
                if changed:
                    for machine in self._machines.values():
                        machine.suspect_children()
            await asyncio.sleep(self._parts.keeper.check_interval_s)

    def _start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        assert self._group is not None, "tasks start while the supervisor runs"
        task = self._group.create_task(self._guard(name, work), name=name)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    async def _guard(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Keep a fault of ours in one task from ending the others: log it, wait, start that task anew."""
        retry = Retry(self._parts.clock)
        while True:
            try:
                await work()
            except Exception as error:
                log.exception("task_failed", task=name, error=repr(error))
                self._parts.metrics.reconciles.labels("Task", "error").inc()
                retry.failed()
                await asyncio.sleep(max(0, retry.due_ns - self._parts.clock.monotonic_ns()) / 1e9)
            else:
                return
