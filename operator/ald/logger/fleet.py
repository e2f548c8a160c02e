"""One task for each gateway there is: begun when it appears, ended when it goes."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable

from ald.logger.board import Board
from ald.store.database import Endpoint


class Fleet:
    """The tasks live in a group of the caller's, so that an unexpected failure of one ends the process."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        board: Board,
        follow: Callable[[Endpoint], Coroutine[None, None, None]],
    ) -> None:
        self._group = group
        self._board = board
        self._follow = follow
        self._tasks: dict[Endpoint, asyncio.Task[None]] = {}

    @property
    def endpoints(self) -> list[Endpoint]:
        """The gateways that are followed, by name."""
        return sorted(self._tasks, key=lambda e: (e.namespace, e.name))

    def set(self, endpoints: Iterable[Endpoint]) -> None:
        """Follow exactly these; a gateway whose address changed is begun anew."""
        wanted = set(endpoints)
        for gone in set(self._tasks) - wanted:
            self._tasks.pop(gone).cancel()
            self._board.forget_gateway(f"{gone.namespace}/{gone.name}")
        for new in wanted - set(self._tasks):
            name = f"{new.namespace}/{new.name}"
            self._board.set_gateway(name, ok=False, message="not asked yet")
            self._tasks[new] = self._group.create_task(self._follow(new), name=f"follow {name}")
