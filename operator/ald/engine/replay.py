"""Replays what an executor was told: the same inputs give the same effects, so any session can be looked at again."""

from collections.abc import Iterable, Iterator

from ald.engine.effects import Effect
from ald.engine.inputs import Input
from ald.engine.state import State
from ald.engine.step import step
from ald.errors import RefusedError


def replay(
    inputs: Iterable[Input], state: State | None = None
) -> Iterator[tuple[Input, State, tuple[Effect, ...]]]:
    """Yield each input with the state after it and its effects, from a fresh state or from `state` on.

    A refused request is an input without effects, as it was the first time.
    """
    present = State() if state is None else state
    for given in inputs:
        try:
            present, effects = step(present, given)
        except RefusedError:
            effects = ()
        yield given, present, effects
