"""Store what can be stored, and find what cannot: savepoints and halving."""

from collections.abc import Awaitable, Callable
from typing import Protocol, Self, TypeVar

import msgspec
from psycopg import AsyncConnection

from ald.errors import RefusedError
from ald.store.errors import BATCH_REJECTED, REJECTIONS, reason

REJECTED_MAX = 100
"""Rejects in one batch; more mean that something else is wrong, so the batch stays with the gateway."""

PartT = TypeVar("PartT", bound="Sliceable")


class Sliceable(Protocol):
    """A list, a tuple, an array: anything that can be halved."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice, /) -> "Self": ...


class Reject(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was not stored. Either `body` (a record as it came) or `detail` (one row, as JSON) is there."""

    position: int
    kind: str
    reason: str
    body: bytes | None = None
    detail: str | None = None


class Budget:
    """Counts rejects of one batch, up to the bound."""

    def __init__(self) -> None:
        self._left = REJECTED_MAX

    def take(self, why: str) -> None:
        """Use up one.

        Raises:
            RefusedError: there were more than `REJECTED_MAX`.
        """
        self._left -= 1
        if self._left < 0:
            raise RefusedError(
                BATCH_REJECTED,
                f"the database rejects more than {REJECTED_MAX} rows of one batch, the last because: {why}; "
                "the gateway keeps them until the cause is removed",
            )


async def isolate(
    connection: AsyncConnection,
    parts: PartT,
    store: Callable[[PartT], Awaitable[None]],
    budget: Budget,
) -> list[tuple[PartT, str]]:
    """Store all parts but those that the database rejects; return these one by one, with the reason."""
    if len(parts) == 0:
        return []
    try:
        async with connection.transaction():
            await store(parts)
    except REJECTIONS as error:
        why = reason(error)
    else:
        return []
    if len(parts) == 1:
        budget.take(why)
        return [(parts, why)]
    middle = len(parts) // 2
    return [
        *await isolate(connection, parts[:middle], store, budget),
        *await isolate(connection, parts[middle:], store, budget),
    ]
