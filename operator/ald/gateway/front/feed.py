"""The feed on disk: journal and spool of one machine as one numbered list in SQLite.

Exactly one connection, in one thread, reads, writes and checkpoints; `locking_mode=EXCLUSIVE` keeps any other out. A record
counts as stored when its transaction is synced. Positions are never used twice, because AUTOINCREMENT remembers the highest
one even when its row is gone.

    feed   position, session, ring_sequence, kind, stored_ns, crc, body     one row a record
    meta   key, value                                                       identities, marks, and what the front remembers
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import uuid
import zlib
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from ald.errors import CorruptRecordError, RefusedError, StoreError
from ald.gateway.ring import EVENT, SCAN, RingRecord
from ald.wire import FEED_BATCH_MAX, FeedBatch, FeedRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ald.plant.model import Identity

VERSION = 1
"""Of the tables; kept in `user_version`."""

BATCH_BYTES_MAX = 8 * 1024 * 1024
"""Most bytes of bodies in one batch, unless a single body is larger."""

PLANT = "plant-loaded"
"""The kind of event that says what the scans after it mean."""

PRUNE_ROWS_MAX = 5000
"""Most rows that one call of `prune` removes of each kind, so that storing never waits long for it."""

_UNWRITABLE = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
)
"""What SQLite says of a volume that is full, broken, or read-only; which of the last three depends on what lies on it."""

_Value = TypeVar("_Value", int, str, bytes)


class _Tag(msgspec.Struct):
    kind: str = ""


_TAGS = msgspec.msgpack.Decoder(_Tag)
_KINDS = {EVENT: "event", SCAN: "scan"}

_TABLES = """
BEGIN;
CREATE TABLE feed (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL,
    ring_sequence INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    stored_ns INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX scans ON feed (position) WHERE kind = 2;
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;
PRAGMA user_version = 1;
COMMIT;
"""


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """How much stays: committed records for `age_ns`, and everything together up to `bytes_max`."""

    age_ns: int
    bytes_max: int


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """Where the feed stands.

    latest: the last position given. committed: the reader has everything up to here. dropped_to: the last position that is
    gone, 0 for none. lost: scans dropped before they were committed. ring, ring_sequence: the last record taken over.
    """

    feed: str
    latest: int
    committed: int
    dropped_to: int
    lost: int
    ring: str
    ring_sequence: int


class Feed:
    """See the module. Belongs to the thread that made it."""

    def __init__(self, path: Path, owner: Identity) -> None:
        """Open the feed of `owner`, or make it.

        Raises:
            RefusedError: it is the feed of another machine, or of another version of ald.
            CorruptRecordError: it is damaged.
            StoreError: the volume does not serve now.
        """
        self._path = path
        try:
            self._db = sqlite3.connect(path, timeout=0, isolation_level=None)
            with contextlib.ExitStack() as undo:
                undo.callback(self._db.close)
                self._begin(owner)
                undo.pop_all()
        except sqlite3.Error as error:
            raise self._translated(error) from error

    @property
    def marks(self) -> Marks:
        """Where the feed stands."""
        return self._marks

    def note(self, key: str) -> bytes:
        """Return what was stored under `key` beside some batch, b"" if nothing was.

        Raises:
            CorruptRecordError: the file is damaged.
            StoreError: not now.
        """
        try:
            return self._meta("note." + key, b"")
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def store(
        self, ring: str, records: Sequence[RingRecord], notes: Mapping[str, bytes], wall_ns: int
    ) -> None:
        """Append records of the ring with this identity that are not stored yet, and notes, all or nothing, synced.

        Raises:
            StoreError: nothing was stored; the same call may succeed later.
            CorruptRecordError: the file is damaged.
        """
        marks = self._marks
        known = marks.ring_sequence if ring == marks.ring else 0
        fresh = [record for record in records if record.sequence > known]
        if not fresh:
            return
        rows = [
            (r.session, r.sequence, r.kind, wall_ns, _crc(r.session, r.kind, r.payload), r.payload)
            for r in fresh
        ]
        with self._transaction():
            self._db.executemany(
                "INSERT INTO feed (session, ring_sequence, kind, stored_ns, crc, body)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
            self._set({"ring": ring, "ring_sequence": fresh[-1].sequence})
            self._set({"note." + key: value for key, value in notes.items()})

    def commit(self, feed: str, position: int) -> None:
        """Take note that the reader has stored everything up to `position`; going back is ignored.

        Raises:
            RefusedError: the position is of another feed, or was never given.
            StoreError: not now.
        """
        marks = self._marks
        if feed != marks.feed:
            raise RefusedError("ForeignFeed", f"this is feed {marks.feed}, not {feed}")
        if not 0 <= position <= marks.latest:
            raise RefusedError(
                "UnknownPosition", f"positions here are up to {marks.latest}, got {position}"
            )
        if position > marks.committed:
            with self._transaction():
                self._set({"committed": position})

    def read(self, after: int, records_max: int) -> FeedBatch:
        """Return records after `after`, at most `records_max` and about `BATCH_BYTES_MAX`.

        Raises:
            CorruptRecordError: a record is not what was stored.
            StoreError: not now.
        """
        records: list[FeedRecord] = []
        size = 0
        try:
            rows = self._db.execute(
                "SELECT position, session, kind, crc, body FROM feed"
                " WHERE position > ? ORDER BY position LIMIT ?",
                (after, min(records_max, FEED_BATCH_MAX)),
            )
            for position, session, kind, crc, body in rows:
                size += len(body)
                if records and size > BATCH_BYTES_MAX:
                    break
                if crc != _crc(session, kind, body):
                    raise CorruptRecordError(
                        f"{self._path}: the record at position {position} fails its check"
                    )
                records.append(
                    FeedRecord(position=position, session=session, kind=_KINDS[kind], body=body)
                )
            rows.close()
        except sqlite3.Error as error:
            raise self._translated(error) from error
        marks = self._marks
        return FeedBatch(
            feed=marks.feed,
            latest=marks.latest,
            dropped_to=marks.dropped_to,
            records=tuple(records),
        )

    def prune(self, keep: Keep, wall_ns: int) -> None:
        """Remove what need not stay: old committed records; past the size the oldest committed ones, then scans.

        Events that nobody has committed are never removed, and neither is the plant that the oldest scan is of: without
        it a reader that begins anew, or falls back to an old backup, could read none of what is left.
        """
        committed = self._marks.committed
        old = self._column(
            "SELECT position FROM (SELECT position, stored_ns FROM feed WHERE position <= ?"
            " ORDER BY position LIMIT ?) WHERE stored_ns < ?",
            (committed, PRUNE_ROWS_MAX, wall_ns - keep.age_ns),
        )
        self._drop(self._without_newest_plant(old))
        excess = self._rows_past(keep.bytes_max)
        surplus = self._column(
            "SELECT position FROM feed WHERE position <= ? ORDER BY position LIMIT ?",
            (committed, excess),
        )
        surplus = self._without_newest_plant(surplus)
        self._drop(surplus)
        excess -= len(surplus)
        self._drop(
            self._column(
                "SELECT position FROM feed WHERE kind = 2 ORDER BY position LIMIT ?", (excess,)
            )
        )

    def close(self) -> None:
        """Checkpoint and close."""
        self._db.close()

    def _begin(self, owner: Identity) -> None:
        # EXCLUSIVE before WAL: then SQLite needs no shared memory file beside the database.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        name = f"{owner.installation}/{owner.namespace}/{owner.name}"
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        # Whatever is refused is left as it is, so all of this comes before the first write.
        if version not in (0, VERSION):
            raise RefusedError(
                "ForeignJournal",
                f"{self._path} has version {version}, this front reads {VERSION};"
                " use the ald that wrote it",
            )
        found = self._meta("machine", name) if version else name
        if found != name:
            raise RefusedError(
                "ForeignJournal",
                f"the volume holds the journal of machine {found}, and this gateway is for {name};"
                " give it a volume of its own",
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        if not version:
            self._db.executescript(_TABLES)
        with self._transaction():
            self._set_default("feed", str(uuid.uuid4()))
            self._set_default("machine", name)
            self._set({"machine_uid": owner.uid})

    def _set(self, values: Mapping[str, int | str | bytes]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    def _set_default(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))

    def _meta(self, key: str, default: _Value) -> _Value:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return default if row is None else cast("_Value", row[0])

    def _loaded(self) -> Marks:
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'feed'").fetchone()
        return Marks(
            feed=self._meta("feed", ""),
            latest=0 if row is None else int(row[0]),
            committed=self._meta("committed", 0),
            dropped_to=self._meta("dropped_to", 0),
            lost=self._meta("lost", 0),
            ring=self._meta("ring", ""),
            ring_sequence=self._meta("ring_sequence", 0),
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, synced; the marks are those of the file afterwards."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._marks = self._loaded()
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def _column(self, query: str, arguments: tuple[int, ...]) -> list[int]:
        try:
            return [int(row[0]) for row in self._db.execute(query, arguments)]
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def _rows_past(self, bytes_max: int) -> int:
        """Return about how many rows are too many for `bytes_max`, at most `PRUNE_ROWS_MAX`."""
        page = self._column("PRAGMA page_size", ())[0]
        pages = (
            self._column("PRAGMA page_count", ())[0] - self._column("PRAGMA freelist_count", ())[0]
        )
        if pages * page <= bytes_max:
            return 0
        # Few rows are left from before the last one that went, so this counts hardly too few, and never too many.
        rows = max(1, self._marks.latest - self._marks.dropped_to)
        return min(PRUNE_ROWS_MAX, math.ceil((pages * page - bytes_max) / (pages * page / rows)))

    def _without_newest_plant(self, positions: list[int]) -> list[int]:
        """Return ascending positions that may go, without that of the last plant among them."""
        if not positions:
            return positions
        try:
            events = self._db.execute(
                "SELECT position, body FROM feed WHERE kind = ? AND position BETWEEN ? AND ?"
                " ORDER BY position DESC",
                (EVENT, positions[0], positions[-1]),
            )
            newest = next((position for position, body in events if tag(body) == PLANT), None)
            events.close()
        except sqlite3.Error as error:
            raise self._translated(error) from error
        return [position for position in positions if position != newest]

    def _drop(self, positions: Sequence[int]) -> None:
        if not positions:
            return
        marks = self._marks
        with self._transaction():
            self._db.executemany(
                "DELETE FROM feed WHERE position = ?", [(position,) for position in positions]
            )
            self._set(
                {
                    "dropped_to": max(marks.dropped_to, *positions),
                    "lost": marks.lost + sum(position > marks.committed for position in positions),
                }
            )

    def _translated(self, error: sqlite3.Error) -> StoreError | CorruptRecordError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return CorruptRecordError(
                f"{self._path} is damaged ({error}); it is left as it is:"
                " move it aside to begin a new journal, and keep it for analysis"
            )
        if code in _UNWRITABLE:
            return StoreError(
                f"the volume takes no more data ({error}); free space or enlarge it, or see to its disk"
                " where it has become read-only: recording goes on by itself, and nothing is lost"
                " while the ring has room"
            )
        return StoreError(f"{self._path} does not serve now: {error}")


def tag(body: bytes) -> str:
    """Return what kind of event a body is, or nothing where it is none of any version."""
    try:
        return _TAGS.decode(body).kind
    except msgspec.DecodeError:
        return ""


def _crc(session: str, kind: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(f"{session}/{kind}".encode()))
