"""One batch of a feed, one transaction.

First the feed's position is moved by compare and set, so that a batch is stored once however often and by whomever it is
sent; then what is in it, in the order of the feed; the samples of all its scans come last, by COPY.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from psycopg import AsyncConnection, sql

from ald.records.event import Event, PlantLoaded, run_of
from ald.records.scan import Scan
from ald.store import plants, samples
from ald.store.events import Place, Statement, statements
from ald.store.model import Batch, Cursor, Item, Stored, Undecodable, utc
from ald.store.rejects import Budget, Reject, isolate

Plants = dict[str, plants.Ids]
"""Parameter ids by plant digest, of one machine."""

KIND_SCAN = "scan"
"""Kind of a feed's record that holds a scan."""

KIND_SAMPLE = "sample"
"""Kind of a dead letter that is one row of a scan."""


async def write(connection: AsyncConnection, cursor: Cursor, batch: Batch, known: Plants) -> Stored:
    """Store a batch, or nothing when the feed does not stand at `batch.after`.

    `known` is what the caller remembers of the machine's plants; it is brought up to date only after the commit, and then
    holds the plant in use: those before it do not come back, and many may have come and gone.

    Raises:
        psycopg.Error: nothing was stored.
        RefusedError: the database rejects too much; nothing was stored; reason `BatchRejected`.
    """
    assert batch.items, "a batch holds at least one record"
    writer = _Writer(connection, cursor, batch, dict(known))
    async with connection.transaction():
        if not await _moved(connection, batch):
            return Stored(position=await _position(connection, batch.feed), applied=False)
        stored = await writer.store()
    known.clear()
    known.update(writer.in_use)
    return stored


async def _moved(connection: AsyncConnection, batch: Batch) -> bool:
    done = await connection.execute(
        "UPDATE feeds SET position = %s, updated_at = now() WHERE feed = %s AND position = %s",
        [batch.last, batch.feed, batch.after],
    )
    return done.rowcount == 1


async def _position(connection: AsyncConnection, feed: str) -> int:
    found = await connection.execute("SELECT position FROM feeds WHERE feed = %s", [feed])
    row = await found.fetchone()
    assert row is not None, "a feed is opened before it is written"
    return int(row[0])


class _Writer:
    """The work inside the transaction."""

    def __init__(
        self, connection: AsyncConnection, cursor: Cursor, batch: Batch, known: Plants
    ) -> None:
        self._connection = connection
        self._machine_id = cursor.machine_id
        self._batch = batch
        self._budget = Budget()
        self._rejects: list[Reject] = []
        self._scans: list[samples.ScanRow] = []
        self._events: list[tuple[Item, tuple[Statement, ...]]] = []
        self._in_use = ""
        self.plants = known

    @property
    def in_use(self) -> Plants:
        """The plant that the batch came to last; of a batch without any, those that were known before it."""
        return {k: ids for k, ids in self.plants.items() if self._in_use in ("", k)}

    async def store(self) -> Stored:
        await self._ensure_runs()
        for item in self._batch.items:
            match item.content:
                case Scan() as scan:
                    await self._take_scan(item, scan)
                case Undecodable(reason=why):
                    self._reject(item, why)
                case event:
                    await self._take_event(item, event)
        await self._store_events()
        await self._store_scans()
        stored_samples = await self._store_samples()
        gap = await self._extend_segments()
        await self._bury()
        return Stored(
            position=self._batch.last,
            applied=True,
            scans=len(self._scans),
            events=len(self._events),
            samples=stored_samples,
            rejected=len(self._rejects),
            gap=gap,
        )

    async def _ensure_runs(self) -> None:
        """Make a row for every run that this batch names: its RunStarted may be lost, its samples are not."""
        runs = {
            item.content.run if isinstance(item.content, Scan) else run_of(item.content)
            for item in self._batch.items
            if not isinstance(item.content, Undecodable)
        }
        ids = sorted(uid for uid in runs if _is_uuid(uid))
        if ids:
            await self._connection.execute(
                "INSERT INTO process_executions (id, machine_id, status) "
                "SELECT uid, %s, 'running' FROM unnest(%s::uuid[]) AS uid ON CONFLICT (id) DO NOTHING",
                [self._machine_id, ids],
            )

    async def _take_scan(self, item: Item, scan: Scan) -> None:
        ids = self.plants.get(scan.plant_digest)
        if ids is None:
            ids = await plants.known(self._connection, self._machine_id, scan.plant_digest)
        if ids is None or len(ids) != scan.count:
            self._reject(
                item,
                f"plant {scan.plant_digest} is not known"
                if ids is None
                else f"the scan has {scan.count} values, its plant has {len(ids)} signals",
            )
            return
        self.plants[scan.plant_digest] = ids
        self._in_use = scan.plant_digest
        self._scans.append(
            samples.ScanRow(
                position=item.position,
                session=item.session,
                scan=scan,
                parameter_ids=ids,
                transaction_id=samples.transaction_id(self._batch.feed, item.position),
                first_id=0,
            )
        )

    async def _take_event(self, item: Item, event: Event) -> None:
        place = Place(
            machine_id=self._machine_id,
            feed=self._batch.feed,
            position=item.position,
            session=item.session,
        )
        if isinstance(event, PlantLoaded) and not await self._load_plant(item, event):
            return
        self._events.append((item, statements(event, place)))

    async def _load_plant(self, item: Item, event: PlantLoaded) -> bool:
        async def store(parts: list[PlantLoaded]) -> None:
            for part in parts:
                self.plants[part.plant_digest] = await plants.register(
                    self._connection, self._machine_id, part
                )

        rejected = await isolate(self._connection, [event], store, self._budget)
        for _, why in rejected:
            self.plants.pop(event.plant_digest, None)
            self._reject(item, why)
        if not rejected:
            self._in_use = event.plant_digest
        return not rejected

    async def _store_events(self) -> None:
        async def store(parts: list[tuple[Item, tuple[Statement, ...]]]) -> None:
            async with self._connection.pipeline():
                for _, made in parts:
                    for statement in made:
                        await self._connection.execute(statement.sql, statement.parameters)

        rejected = await isolate(self._connection, self._events, store, self._budget)
        for parts, why in rejected:
            self._reject(parts[0][0], why)
        lost = {parts[0][0].position for parts, _ in rejected}
        self._events = [each for each in self._events if each[0].position not in lost]

    async def _store_scans(self) -> None:
        found = await self._connection.execute(
            "SELECT nextval('sample_ids') FROM generate_series(1, %s)", [len(self._scans)]
        )
        first_ids = [row[0] for row in await found.fetchall()]
        numbered = [
            msgspec.structs.replace(scan, first_id=first)
            for scan, first in zip(self._scans, first_ids, strict=True)
        ]
        rejected = await isolate(self._connection, numbered, self._copy_scans, self._budget)
        lost = {parts[0].position: why for parts, why in rejected}
        self._scans = [scan for scan in numbered if scan.position not in lost]
        for item in self._batch.items:
            if item.position in lost:
                self._reject(item, lost[item.position])

    async def _copy_scans(self, scans: list[samples.ScanRow]) -> None:
        async with (
            self._connection.cursor() as cursor,
            cursor.copy(
                "COPY scans (feed, feed_position, machine_id, transaction_id, process_id, session, sequence, timestamp, "
                "duration_ns, late_ns, plant_digest, signals, bad) FROM STDIN"
            ) as copy,
        ):
            for each in scans:
                await copy.write_row(self._scan_row(each))

    def _scan_row(self, each: samples.ScanRow) -> tuple[object, ...]:
        scan = each.scan
        return (
            self._batch.feed,
            each.position,
            self._machine_id,
            each.transaction_id,
            UUID(scan.run) if scan.run else None,
            each.session,
            scan.sequence,
            utc(scan.wall_ns),
            scan.ended_ns - scan.started_ns,
            scan.late_ns,
            scan.plant_digest,
            scan.count,
            samples.bad_count(scan),
        )

    async def _store_samples(self) -> int:
        """Copy all samples; both tables or neither get a sample. Return how many history rows there are."""
        table = samples.rows(self._scans)
        rejected = await isolate(self._connection, table, self._copy, self._budget)
        for part, why in rejected:
            self._rejects.append(
                Reject(
                    position=int(part[0]["feed_position"]),
                    kind=KIND_SAMPLE,
                    reason=why,
                    detail=msgspec.json.encode(samples.detail(part[0])).decode(),
                )
            )
        return len(table) - len(rejected)

    async def _copy(self, table: samples.Array) -> None:
        await self._copy_into("parameter_value_history", samples.HISTORY, table)
        points = table[table["in_run"]]
        if len(points):
            await self._copy_into("process_data_points", samples.POINTS, points)

    async def _copy_into(self, name: str, columns: tuple[str, ...], table: samples.Array) -> None:
        command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
            sql.Identifier(name), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        async with self._connection.cursor() as cursor, cursor.copy(command) as copy:
            await copy.write(samples.block(table, columns))

    async def _extend_segments(self) -> int:
        """Put the batch's positions on record and return how many are missing."""
        missing = 0
        for gap, items in segments(self._batch.after, self._batch.items):
            missing += gap
            scans = sum(item.kind == KIND_SCAN for item in items)
            counts = (scans, len(items) - scans)
            if not (gap == 0 and await self._extend(items, counts)):
                reason = "the gateway no longer had what is missing" if gap else "the feed begins"
                await self._connection.execute(
                    "INSERT INTO feed_segments (feed, first_position, last_position, gap, reason, scans, events) "
                    "VALUES (%s, %s, %s, %s, %s, %s, %s)",
                    [
                        self._batch.feed,
                        items[0].position,
                        items[-1].position,
                        gap,
                        reason,
                        *counts,
                    ],
                )
        return missing

    async def _extend(self, items: list[Item], counts: tuple[int, int]) -> bool:
        """Lengthen the segment that ends just before these items; False if there is none."""
        done = await self._connection.execute(
            "UPDATE feed_segments SET last_position = %s, scans = scans + %s, events = events + %s, updated_at = now() "
            "WHERE feed = %s AND last_position = %s",
            [items[-1].position, *counts, self._batch.feed, items[0].position - 1],
        )
        return done.rowcount == 1

    async def _bury(self) -> None:
        for reject in self._rejects:
            await self._connection.execute(
                "INSERT INTO dead_letters (machine_id, feed, feed_position, kind, reason, body, detail) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s::jsonb)",
                [
                    self._machine_id,
                    self._batch.feed,
                    reject.position,
                    reject.kind,
                    reject.reason,
                    reject.body,
                    reject.detail,
                ],
            )

    def _reject(self, item: Item, why: str) -> None:
        self._rejects.append(
            Reject(position=item.position, kind=item.kind, reason=why, body=item.body)
        )


def segments(after: int, items: Sequence[Item]) -> list[tuple[int, list[Item]]]:
    """Return runs of positions without a gap, each with how many are missing before it."""
    found: list[tuple[int, list[Item]]] = []
    previous = after
    for item in items:
        assert item.position > previous, "positions ascend"
        gap = item.position - 1 - previous
        if gap or not found:
            found.append((gap, []))
        found[-1][1].append(item)
        previous = item.position
    return found


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
