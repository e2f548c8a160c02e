"""Follows one gateway's feed: poll, store, say so, and again; any trouble is waited out."""

import asyncio
import random
from typing import Protocol

import msgspec

from ald.errors import AldError, RefusedError, StoreError, TemporaryError
from ald.kit.backoff import delay_s
from ald.kit.clock import Clock
from ald.kit.log import get_logger
from ald.logger.board import Board
from ald.logger.client import item
from ald.logger.keeper import Keeper
from ald.logger.metrics import Metrics
from ald.plant.model import Identity
from ald.records.scan import Scan
from ald.store.batch import Plants
from ald.store.database import Database
from ald.store.errors import SCHEMA_DAMAGED
from ald.store.model import Batch, Cursor, Stored
from ald.wire import FEED_BATCH_MAX, FeedBatch

SAMPLES_A_BATCH_MAX = 100_000
"""Values in one transaction, about; it takes about a second."""

SIGNALS_GUESSED = 200
"""Values of a scan, before the first one was seen."""

RETRY_BASE_S = 0.5
RETRY_CAP_S = 15.0

FEED_WENT_BACK = "FeedWentBack"

log = get_logger()


class Client(Protocol):
    """A gateway's feed."""

    async def poll(self, after: int, records_max: int) -> FeedBatch: ...

    async def committed(self, feed: str, position: int) -> None: ...


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What all followers share. `interval_s` is the least time between two rounds of one of them."""

    database: Database
    keeper: Keeper
    board: Board
    metrics: Metrics
    clock: Clock
    interval_s: float


class Follower:
    """One gateway."""

    def __init__(self, machine: Identity, client: Client, parts: Parts) -> None:
        self._machine = machine
        self._name = f"{machine.namespace}/{machine.name}"
        self._client = client
        self._parts = parts
        self._cursor: Cursor | None = None
        self._plants: Plants = {}
        self._signals = SIGNALS_GUESSED
        self._confirmed = -1

    async def run(self) -> None:
        """Follow for ever; after a failure begin with what the database knows."""
        attempt = 0
        while True:
            await self._parts.keeper.ready()
            begin_ns = self._parts.clock.monotonic_ns()
            try:
                await self.round()
                attempt = 0
                elapsed_s = (self._parts.clock.monotonic_ns() - begin_ns) / 1e9
                await asyncio.sleep(max(0.0, self._parts.interval_s - elapsed_s))
            except AldError as error:
                attempt += 1
                self._failed(error)
                unit = random.random()  # noqa: S311 -- spreads retries, no secret
                await asyncio.sleep(
                    delay_s(attempt, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, unit_random=unit)
                )

    async def round(self) -> None:
        """Take over one batch, if there is one.

        Raises:
            PeerError: the gateway does not serve now.
            StoreError: the database does not.
            RefusedError: the schema does not fit, or the feed is not this machine's or went back.
        """
        cursor = self._cursor or await self._parts.database.latest_feed(self._machine)
        after = cursor.position if cursor is not None else 0
        reply = await self._client.poll(after, self._records_max())
        self._parts.board.set_gateway(self._name, ok=True, message="answers")
        if cursor is None or reply.feed != cursor.feed:
            self._cursor = await self._parts.database.open_feed(self._machine, reply.feed)
            self._plants = {}
            log.info(
                "feed_opened",
                machine=self._name,
                feed=reply.feed,
                position=self._cursor.position,
                latest=reply.latest,
            )
            return
        self._cursor = cursor
        self._parts.metrics.lag.labels(self._name).set(max(0, reply.latest - after))
        if reply.latest < after:
            raise RefusedError(
                FEED_WENT_BACK,
                f"feed {reply.feed} ends at {reply.latest}, but the history has it up to {after}; "
                "was an old copy of its volume put back? Give this gateway an empty volume",
            )
        if reply.records:
            await self._store(cursor, reply)
        await self._confirm(reply.feed)

    async def _store(self, cursor: Cursor, reply: FeedBatch) -> None:
        batch = Batch(
            machine=self._machine,
            feed=reply.feed,
            after=cursor.position,
            items=tuple(item(record) for record in reply.records),
        )
        with self._parts.metrics.batch.time():
            stored = await self._parts.database.write(cursor, batch, self._plants)
        self._cursor = Cursor(
            machine_id=cursor.machine_id, feed=cursor.feed, position=stored.position
        )
        if not stored.applied:
            # Another logger stored it, and may have met a new plant in it.
            self._plants = {}
            log.info("feed_moved_by_another", machine=self._name, position=stored.position)
            return
        self._count(stored, reply)
        for each in batch.items:
            if isinstance(each.content, Scan):
                self._signals = max(1, each.content.count)

    async def _confirm(self, feed: str) -> None:
        assert self._cursor is not None, "a feed was opened"
        if self._cursor.position != self._confirmed:
            await self._client.committed(feed, self._cursor.position)
            self._confirmed = self._cursor.position

    def _count(self, stored: Stored, reply: FeedBatch) -> None:
        metrics, name = self._parts.metrics, self._name
        metrics.samples.labels(name).inc(stored.samples)
        metrics.records.labels(name, "scan").inc(stored.scans)
        metrics.records.labels(name, "event").inc(stored.events)
        metrics.rejected.labels(name).inc(stored.rejected)
        metrics.gap.labels(name).inc(stored.gap)
        metrics.lag.labels(name).set(max(0, reply.latest - stored.position))
        metrics.stored_at.labels(name).set(self._parts.clock.wall_ns() / 1e9)
        if stored.rejected:
            log.error("records_rejected", machine=name, count=stored.rejected, look="dead_letters")
        if stored.gap:
            log.error("feed_gap", machine=name, records=stored.gap, look="feed_segments")

    def _failed(self, error: AldError) -> None:
        """Put a failure where it belongs, and forget what may no longer be so."""
        self._cursor, self._plants, self._confirmed = None, {}, -1
        match error:
            case StoreError():
                cause = "database"
                self._parts.keeper.lost(str(error))
            case TemporaryError():
                cause = "gateway"
                self._parts.board.set_gateway(self._name, ok=False, message=str(error))
            case RefusedError(reason=reason) if reason == SCHEMA_DAMAGED:
                cause = "database"
                self._parts.keeper.lost(str(error))
            case _:
                cause = "refused"
                self._parts.board.set_gateway(self._name, ok=False, message=str(error))
        self._parts.metrics.failures.labels(self._name, cause).inc()

    def _records_max(self) -> int:
        return max(1, min(FEED_BATCH_MAX, SAMPLES_A_BATCH_MAX // self._signals))
