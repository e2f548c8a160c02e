"""From the ring into the feed: one thread that owns both, and what it saw on the way."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ald.errors import (
    AldError,
    CorruptRecordError,
    PeerError,
    PermanentError,
    RefusedError,
    StoreError,
)
from ald.gateway.front.feed import Feed, Keep, Marks, tag
from ald.gateway.holder import HeldError, Holder
from ald.gateway.ring import EVENT, RingReader, RingRecord
from ald.plant.model import Plant
from ald.records.event import PlantLoaded, decode_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ald.gateway.front.board import Board
    from ald.gateway.front.settings import Settings
    from ald.kit.clock import Clock
    from ald.wire import FeedBatch

BATCH_MAX = 2000
"""Most records in one transaction."""

IDLE_S = 0.05
"""Wait after the ring was found empty; what happened meanwhile shares one sync of the disk."""

RETRY_S = 1.0
"""Wait after a failure."""

STUCK_S = 5.0
"""A volume that has taken nothing for this long does not serve, though it has not said so."""

STUCK = (
    f"the volume has not answered for {STUCK_S:g} s; recording goes on by itself when it does,"
    " and nothing is lost while the ring has room"
)

PRUNE_INTERVAL_NS = 10_000_000_000


_Result = TypeVar("_Result")


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    """What one turn did. `marks` is None while the feed is not open; `more`: there may be more in the ring at once.

    lasting: a person has to do something before the feed can be written; no retry will.
    """

    ok: bool
    message: str
    marks: Marks | None = None
    plant: Plant | None = None
    scan: bytes = b""
    pulses: int = 0
    session: str = ""
    more: bool = False
    lasting: bool = False


class _Seen:
    """What the events of a batch say that the front itself needs."""

    def __init__(self, records: Sequence[RingRecord]) -> None:
        self.notes: dict[str, bytes] = {}
        self.scan = b""
        self.pulses = 0
        for record in records:
            if record.kind == EVENT:
                self._event(record)
            else:
                self.scan = record.payload

    def _event(self, record: RingRecord) -> None:
        # What is no event is kept all the same: a journal does not choose. Its reader says what it cannot read.
        match tag(record.payload):
            case "plant-loaded":
                self.notes["plant"] = record.payload
            case "session-started":
                self.notes["session"] = record.session.encode()
            case "session-ended":
                self.notes["session"] = b""
            case "pulse-done":
                self.pulses += 1
            case _:
                return


class Worker:
    """Reads the ring, writes the feed. Every method blocks on the disk; all run in one thread."""

    def __init__(self, settings: Settings, keep: Keep, name: str, clock: Clock) -> None:
        self._settings = settings
        self._keep = keep
        self._name = name
        self._clock = clock
        self._lock: Holder | None = None
        self._feed: Feed | None = None
        self._ring: RingReader | None = None
        self._pruned_ns = 0
        self._damage = ""
        self._damaged_feed = ""

    def turn(self) -> Drained:
        """Take over what the ring holds, up to `BATCH_MAX` records; never raises what it can tell instead."""
        opened = self._feed is None
        try:
            feed = self._opened()
            drained = self._drain(feed, opened=opened)
            if self._clock.monotonic_ns() - self._pruned_ns >= PRUNE_INTERVAL_NS:
                self._pruned_ns = self._clock.monotonic_ns()
                with self._watching(feed):
                    feed.prune(self._keep, self._clock.wall_ns())
        except (StoreError, CorruptRecordError, RefusedError, HeldError) as error:
            self._let_go()
            lasting = isinstance(error, PermanentError)
            return Drained(ok=False, message=str(error), lasting=lasting)
        except OSError as error:
            # Without descriptors or memory, or with a volume that it may not use, it still takes a stop.
            self._let_go()
            return Drained(ok=False, message=f"the journal or the ring cannot be opened: {error}")
        return drained

    def read(self, after: int, records_max: int) -> FeedBatch:
        """Return a batch of the feed. Raises StoreError, CorruptRecordError."""
        feed = self._present()
        with self._watching(feed):
            return feed.read(after, records_max)

    def commit(self, feed: str, position: int) -> Marks:
        """Note how far the reader is. Raises RefusedError, StoreError."""
        present = self._present()
        present.commit(feed, position)
        return present.marks

    def close(self) -> None:
        """Leave everything to the next front."""
        self._let_go()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _present(self) -> Feed:
        if self._feed is None:
            raise StoreError("the journal is not open; its state is in the status")
        return self._feed

    def _opened(self) -> Feed:
        if self._lock is None:
            self._lock = Holder(self._settings.feed_holder, self._name)
        if self._feed is None:
            self._feed = Feed(self._settings.feed, self._settings.identity)
            if self._feed.marks.feed != self._damaged_feed:
                # Somebody has moved the damaged one aside.
                self._damage = ""
        return self._feed

    @contextlib.contextmanager
    def _watching(self, feed: Feed) -> Iterator[None]:
        """Remember damage that shows: storing may go on, so that nothing more is lost, but it is no sound journal any more."""
        try:
            yield
        except CorruptRecordError as error:
            self._damage, self._damaged_feed = str(error), feed.marks.feed
            raise

    def _drain(self, feed: Feed, *, opened: bool) -> Drained:
        message = self._damage
        records: list[RingRecord] = []
        try:
            if self._ring is None:
                self._ring = RingReader(self._settings.ring)
            records = self._ring.read(BATCH_MAX)
        except PeerError as error:
            message = message or str(error)
        seen = _Seen(records)
        if records and self._ring is not None:
            with self._watching(feed):
                feed.store(self._ring.identity, records, seen.notes, self._clock.wall_ns())
            self._ring.acknowledge(records[-1].sequence)
        marks = feed.marks
        if marks.lost and not message:
            message = f"{marks.lost} scans up to position {marks.dropped_to} were dropped: no reader came for them in time"
        return Drained(
            ok=not self._damage,
            message=message,
            marks=marks,
            plant=_plant(feed.note("plant")) if opened or "plant" in seen.notes else None,
            scan=seen.scan,
            pulses=seen.pulses,
            session=feed.note("session").decode(),
            more=len(records) == BATCH_MAX,
        )

    def _let_go(self) -> None:
        """Close feed and ring; the next turn opens them again, and the ring gives once more what was not stored."""
        if self._feed is not None:
            with contextlib.suppress(AldError):
                self._feed.close()
        if self._ring is not None:
            self._ring.close()
        self._feed = self._ring = None


class Journal:
    """The worker seen from the event loop."""

    def __init__(self, worker: Worker, board: Board, on_trouble: Callable[[str], None]) -> None:
        self._worker = worker
        self._board = board
        self._on_trouble = on_trouble
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "journal")
        self.plant: Plant | None = None
        self.scan = b""
        self.pulses = 0
        self.session = ""

    async def run(self, ending: asyncio.Event) -> None:
        """Drain until `ending`."""
        while not ending.is_set():
            drained = await self.turn()
            if not drained.more:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_S if drained.ok else RETRY_S):
                        await ending.wait()

    async def drain(self, patience_s: float) -> None:
        """Go on until the driver's session has ended and the ring is empty, or for `patience_s`.

        With a journal that only a person can mend there is nothing to wait for.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while await self._unfinished():
                    pass

    async def _unfinished(self) -> bool:
        """Take over what is there; wait a little and return True while more is to come."""
        drained = await self.turn()
        if drained.lasting or (not drained.more and drained.ok and not self.session):
            return False
        await asyncio.sleep(IDLE_S)
        return True

    async def turn(self) -> Drained:
        """Take over what is there now; say meanwhile when that takes long."""
        stuck = asyncio.get_running_loop().call_later(STUCK_S, self._say_stuck)
        try:
            drained = await self._call(self._worker.turn)
        finally:
            stuck.cancel()
        if not drained.ok and drained.message != self._board.journal_message:
            self._on_trouble(drained.message)
        if drained.marks is not None:
            self.session = drained.session
        self.plant = drained.plant or self.plant
        self.scan = drained.scan or self.scan
        self.pulses += drained.pulses
        self._board.set_journal(drained.marks, ok=drained.ok, message=drained.message)
        return drained

    def _say_stuck(self) -> None:
        self._on_trouble(STUCK)
        self._board.set_journal(None, ok=False, message=STUCK)

    async def read(self, after: int, records_max: int) -> FeedBatch:
        """Return a batch. Raises StoreError, CorruptRecordError."""
        return await self._call(lambda: self._worker.read(after, records_max))

    async def commit(self, feed: str, position: int) -> None:
        """Note how far the reader is. Raises RefusedError, StoreError."""
        marks = await self._call(lambda: self._worker.commit(feed, position))
        self._board.set_journal(
            marks, ok=self._board.journal_ok, message=self._board.journal_message
        )

    async def close(self) -> None:
        """Close feed and ring."""
        await self._call(self._worker.close)
        # Nothing runs in it any more, and waiting for its end would block the loop.
        self._thread.shutdown(wait=False)

    async def _call(self, function: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


def _plant(body: bytes) -> Plant | None:
    """Return the plant of a stored event; None without one."""
    with contextlib.suppress(msgspec.DecodeError):
        event = decode_event(body) if body else None
        if isinstance(event, PlantLoaded):
            return event.plant
    return None
