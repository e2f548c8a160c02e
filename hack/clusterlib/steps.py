"""A plan of steps: each is done once for its inputs, and says how long it usually takes."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from clusterlib.shell import say


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do, and how to see that it is done already."""

    title: str
    usually: str
    is_done: Callable[[], bool]
    do: Callable[[], None]


def carry_out(steps: Sequence[Step]) -> None:
    """Do what is not done yet, in order; a failed or interrupted plan goes on where it stopped."""
    for number, step in enumerate(steps, start=1):
        head = f"step {number}/{len(steps)}  {step.title}"
        if step.is_done():
            say(f"{head}: done before")
            continue
        say(f"{head}, usually {step.usually} …")
        begin = time.monotonic()
        step.do()
        say(f"      done in {time.monotonic() - begin:.0f} s")


def together(*works: Callable[[], object]) -> Callable[[], None]:
    """Return all works as one: side by side, over when the last one is; then the first failure is raised.

    For what waits for other things: one for the network, one for the processors.
    """

    def do() -> None:
        with ThreadPoolExecutor(max_workers=max(1, len(works))) as pool:
            begun = [pool.submit(work) for work in works]
        for each in begun:
            each.result()

    return do
