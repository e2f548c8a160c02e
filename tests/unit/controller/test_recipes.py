import asyncio
import contextlib

import pytest

from ald.controller.names import Key
from ald.controller.recipes import Recipes
from unit.controller import situations as s
from unit.controller.operators import Bench

KEY = Key(s.SPACE, "al2o3-demo")


@contextlib.asynccontextmanager
async def judged(bench):
    recipes = Recipes(bench.parts)
    task = asyncio.get_running_loop().create_task(recipes.judge_forever())
    try:
        yield recipes
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(fact):
    async with asyncio.timeout(5):
        while not fact():  # noqa: ASYNC110 -- any fact
            await asyncio.sleep(0.001)


async def test_a_recipe_is_judged_once_and_again_when_a_machine_changes():
    bench = Bench(s.RECIPE)
    async with judged(bench) as recipes:
        recipes.look(KEY)
        await until(lambda: bench.status_writes("Recipe") == 1)
        # Its own status coming back is no reason to judge again.
        recipes.look(KEY)
        bench.put(s.MACHINE)
        recipes.look_at_all(s.SPACE)
        await until(lambda: bench.status_writes("Recipe") == 2)
        assert bench.read("Recipe", "al2o3-demo")["status"]["machines"][0]["valid"]
        assert bench.events.reasons("Recipe") == ["Accepted"]


async def test_a_status_that_is_right_is_not_written():
    bench = Bench(s.RECIPE)
    async with judged(bench) as recipes:
        recipes.look(KEY)
        await until(lambda: bench.status_writes("Recipe") == 1)
    async with judged(bench) as recipes:
        recipes.look(KEY)
        await until(lambda: b'kind="Recipe",outcome="done"} 2.0' in bench.metrics.text())
    assert bench.status_writes("Recipe") == 1


@pytest.mark.looptime
async def test_a_recipe_that_cannot_be_written_is_tried_again_after_a_while():
    bench = Bench(s.RECIPE)
    bench.cluster.away = True
    async with judged(bench) as recipes:
        recipes.look(KEY)
        await until(lambda: b'outcome="error"} 1.0' in bench.metrics.text())
        bench.cluster.away = False
        bench.clock.pass_s(60)
        await until(lambda: bench.status_writes("Recipe") == 1)


async def test_a_recipe_that_is_gone_is_forgotten():
    bench = Bench()
    async with judged(bench) as recipes:
        recipes.look(KEY)
        await asyncio.sleep(0.01)
    assert bench.cluster.writes == []
