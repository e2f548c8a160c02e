"""Judges recipes, one after another, whenever a recipe or a machine has changed."""

from __future__ import annotations

import asyncio

from ald.controller.announce import announce_change
from ald.controller.apply import MACHINE, RECIPE, Document, key_of
from ald.controller.conditions import rfc3339
from ald.controller.decide_recipe import MACHINES_MAX, decide_recipe
from ald.controller.names import Key
from ald.controller.parts import Parts
from ald.controller.retry import Retry
from ald.controller.world import generation, is_deleting, uid
from ald.errors import NotFoundError, PeerError, RefusedError
from ald.kit.log import get_logger

Signature = tuple[tuple[str, str, int], ...]
log = get_logger()


class Recipes:
    """A worker with a set of recipes to look at; a recipe is in it at most once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._waiting: dict[Key, None] = {}
        self._judged: dict[Key, Signature] = {}
        self._wake = asyncio.Event()

    def look(self, recipe: Key) -> None:
        """Look at a recipe soon."""
        self._waiting[recipe] = None
        self._wake.set()

    def look_at_all(self, namespace: str) -> None:
        """Look at every recipe of a namespace soon: a machine has changed."""
        for recipe in self._parts.world.all(RECIPE, namespace):
            self.look(key_of(recipe))

    async def judge_forever(self) -> None:
        """Judge what waits; after a failure wait, longer each time."""
        retry = Retry(self._parts.clock)
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                key = next(iter(self._waiting))
                del self._waiting[key]
                try:
                    await self._judge(key)
                except (PeerError, RefusedError) as error:
                    log.warning("recipe_not_judged", recipe=key.name, error=str(error))
                    self._parts.metrics.reconciles.labels("Recipe", "error").inc()
                    self._waiting[key] = None
                    retry.failed()
                    wait_ns = retry.due_ns - self._parts.clock.monotonic_ns()
                    await asyncio.sleep(max(0, wait_ns) / 1e9)
                else:
                    retry.done()

    async def _judge(self, key: Key) -> None:
        recipe = self._parts.world.find(RECIPE, key)
        if recipe is None:
            self._judged.pop(key, None)
            return
        machines = self._machines(key.namespace)
        signature = tuple(
            (key_of(each).name, uid(each), generation(each)) for each in (recipe, *machines)
        )
        # Our own write of the status comes back through the watch; nothing has changed then.
        if self._judged.get(key) == signature:
            return
        judged = await self._parts.compiler.judge(recipe, machines)
        newest = self._parts.world.find(RECIPE, key)
        if newest is None or (uid(newest), generation(newest)) != (uid(recipe), generation(recipe)):
            return
        status = decide_recipe(newest, judged, now=rfc3339(self._parts.clock.wall_ns()))
        if newest.get("status") != status:
            announce_change(self._parts.announcer, newest, status, "Valid", frozenset())
            try:
                await self._parts.write_status(newest, status)
            except NotFoundError:
                return
        self._judged[key] = signature
        self._parts.metrics.reconciles.labels("Recipe", "done").inc()

    def _machines(self, namespace: str) -> list[Document]:
        found = [
            each for each in self._parts.world.all(MACHINE, namespace) if not is_deleting(each)
        ]
        return sorted(found, key=lambda each: key_of(each).name)[:MACHINES_MAX]
