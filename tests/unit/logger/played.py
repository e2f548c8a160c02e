"""A database and a gateway for the tests of the logger, in memory, in the shape of the real ones."""

from ald.logger.board import Board
from ald.logger.follower import Follower, Parts
from ald.logger.keeper import Keeper
from ald.logger.metrics import Metrics
from ald.store.model import Cursor, Stored
from ald.wire import FeedBatch, FeedRecord
from unit.store.feeds import MACHINE


class PlayedClock:
    def __init__(self):
        self.now_ns = 1_700_000_000_000_000_000

    def monotonic_ns(self):
        return self.now_ns

    def wall_ns(self):
        return self.now_ns


class PlayedDatabase:
    """Stores batches in a list; `errors` are raised first, one a call."""

    def __init__(self):
        self.feeds = {}
        self.batches = []
        self.errors = []
        self.prepared = 0
        self.partitions = 0

    def _trouble(self):
        if self.errors:
            raise self.errors.pop(0)

    async def prepare(self, today):
        self.prepared += 1
        self._trouble()
        return ()

    async def open(self):
        pass

    async def ensure_partitions(self, today):
        self.partitions += 1
        self._trouble()
        return []

    async def latest_feed(self, machine):
        self._trouble()
        name = next(reversed(self.feeds), None)
        return None if name is None else await self.open_feed(machine, name)

    async def open_feed(self, machine, feed):
        return Cursor(machine_id=1, feed=feed, position=self.feeds.setdefault(feed, 0))

    async def write(self, cursor, batch, known):
        self._trouble()
        if self.feeds[batch.feed] != batch.after:
            return Stored(position=self.feeds[batch.feed], applied=False)
        self.batches.append(batch)
        self.feeds[batch.feed] = batch.last
        return Stored(position=batch.last, applied=True, scans=len(batch.items))


class PlayedClient:
    """Answers polls with what `records` holds."""

    def __init__(self, feed="feed-1"):
        self.feed = feed
        self.records = []
        self.latest = None
        self.polls = []
        self.committed_to = []
        self.errors = []

    async def poll(self, after, records_max):
        self.polls.append((after, records_max))
        if self.errors:
            raise self.errors.pop(0)
        found = tuple(r for r in self.records if r.position > after)[:records_max]
        latest = max((r.position for r in self.records), default=0)
        return FeedBatch(
            feed=self.feed,
            latest=latest if self.latest is None else self.latest,
            dropped_to=0,
            records=found,
        )

    async def committed(self, feed, position):
        self.committed_to.append((feed, position))

    def add(self, batch):
        self.records += [
            FeedRecord(position=i.position, session=i.session, kind=i.kind, body=i.body)
            for i in batch.items
        ]


def make():
    """Return a follower with everything that it works on."""
    database, client, metrics, clock = PlayedDatabase(), PlayedClient(), Metrics(), PlayedClock()
    board = Board(metrics)
    keeper = Keeper(database, clock, board)  # type: ignore[arg-type]  # -- in the shape of the real one
    parts = Parts(
        database=database,  # type: ignore[arg-type]  # -- in the shape of the real one
        keeper=keeper,
        board=board,
        metrics=metrics,
        clock=clock,
        interval_s=0.5,
    )
    return Follower(MACHINE, client, parts), parts, database, client
