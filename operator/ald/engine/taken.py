"""What goes on record of the inputs of a run, so that the record alone tells why everything happened.

While a run is on, each input that changed anything is kept, and the kept ones follow the events of the step that they brought
about, as one event `InputsTaken`. What is on record anyway is only named: a scan by its sequence and checksum, an order by
the event that begins the run. The first of them holds the whole state before the run, so that a replay needs nothing older. Each is
sealed over itself and the seal before it: one that was changed, left out or moved is noticed.
"""

from __future__ import annotations

import hashlib
import zlib

import msgspec
from msgspec.structs import replace

from ald.engine.effects import Effect, Journal
from ald.engine.inputs import (
    AbortAsked,
    ActionAsked,
    Answered,
    ClearAsked,
    ClockStep,
    ConfirmAsked,
    Input,
    LinkDown,
    LinkUp,
    Looked,
    PlantGiven,
    RecordRoom,
    Reserved,
    RunGiven,
    SafeStateAsked,
    Scanned,
    Sent,
    ShutdownAsked,
    Started,
    Tick,
    WatchdogSeen,
)
from ald.engine.layout import layout_of
from ald.engine.state import State
from ald.errors import CorruptRecordError
from ald.plant.model import Plant
from ald.records.event import InputsTaken, RunStarted
from ald.records.scan import Scan
from ald.wire import RunOrder

INPUTS_MAX = 256
"""Inputs kept before they go on record although no event came of them; 25 s of scans ten times a second."""


class ScanNamed(msgspec.Struct, frozen=True, kw_only=True, tag="scan"):
    """A scan that is on record by itself."""

    at_ns: int
    sequence: int
    checksum: int


class RunNamed(msgspec.Struct, frozen=True, kw_only=True, tag="run"):
    """The order of a run, of which its `RunStarted` says the rest."""

    at_ns: int
    protocol: int
    write_spread_ns: int | None
    digest: str


class PlantNamed(msgspec.Struct, frozen=True, kw_only=True, tag="plant"):
    """The plant that is in use already, given again."""

    at_ns: int
    plant_digest: str
    confirmed: bool


class Whole(msgspec.Struct, frozen=True, kw_only=True, tag="whole"):
    """Any other input, as it was; `kind` is the name of its class."""

    kind: str
    body: msgspec.Raw


Kept = ScanNamed | RunNamed | PlantNamed | Whole

_WHOLE: dict[str, type[Input]] = {
    kind.__name__: kind
    for kind in (
        Started,
        Scanned,
        AbortAsked,
        ActionAsked,
        Answered,
        ClearAsked,
        ClockStep,
        ConfirmAsked,
        LinkDown,
        LinkUp,
        Looked,
        RecordRoom,
        Reserved,
        SafeStateAsked,
        Sent,
        ShutdownAsked,
        Tick,
        WatchdogSeen,
    )
}


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The state before a run: without the run that is not there yet, and without what follows from the plant."""

    state: State
    plant: Plant | None


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept and not yet on record, and the seal of what is."""

    kept: tuple[Kept, ...] = ()
    checkpoint: bytes = b""
    seal: str = ""


def noted(
    book: Book,
    change: tuple[State, Input, State],
    effects: tuple[Effect, ...],
    *,
    is_scan_recorded: bool,
) -> tuple[Book, tuple[Effect, ...]]:
    """Return the book after one step, and the step's effects with the inputs put on record where that is due.

    Args:
        book: as it was after the last step.
        change: the state before, what was given, the state after.
        effects: what the engine wants.
        is_scan_recorded: a scan that was given is on record by itself.
    """
    was, given, now = change
    uid = _uid(was, given, now)
    if not uid:
        return Book(), effects
    events = sum(isinstance(effect, Journal) for effect in effects)
    if not events and now is was:
        return book, effects
    if was.run is None:
        book = Book(checkpoint=_checkpoint(was))
    book = replace(book, kept=(*book.kept, _kept(given, is_scan_recorded=is_scan_recorded)))
    if not events and len(book.kept) < INPUTS_MAX:
        return book, effects
    event = sealed(
        InputsTaken(
            at_ns=given.at_ns,
            wall_ns=given.at_ns + now.wall_offset_ns,
            run=uid,
            events=events,
            checkpoint=book.checkpoint,
            inputs=msgspec.msgpack.encode(book.kept),
            seal="",
        ),
        book.seal,
    )
    # Events of one step go on record together, so the place of this one among the effects tells nothing.
    return Book(seal=event.seal), (*effects, Journal(event=event))


def sealed(event: InputsTaken, before: str) -> InputsTaken:
    """Return the event with the seal that it has after the one whose seal is `before`."""
    return replace(event, seal=_digest(msgspec.msgpack.encode(replace(event, seal=before))))


def left_out(event: InputsTaken) -> InputsTaken:
    """Return the event where there is no room for what it holds; without a seal it says so, and the run is not replayed."""
    return replace(event, checkpoint=b"", inputs=b"", seal="")


def checkpoint_of(event: InputsTaken) -> State:
    """Return the state before the run.

    Raises:
        CorruptRecordError: it cannot be read.
    """
    try:
        found = msgspec.msgpack.decode(event.checkpoint, type=Checkpoint)
    except msgspec.DecodeError as error:
        raise CorruptRecordError(f"the state before the run cannot be read: {error}") from error
    layout = layout_of(found.plant) if found.plant is not None else None
    return replace(found.state, layout=layout)


def inputs_of(event: InputsTaken) -> tuple[Kept, ...]:
    """Return the inputs as they were kept.

    Raises:
        CorruptRecordError: they cannot be read.
    """
    try:
        return msgspec.msgpack.decode(event.inputs, type=tuple[Kept, ...])
    except msgspec.DecodeError as error:
        raise CorruptRecordError(f"the inputs cannot be read: {error}") from error


def restored(kept: Kept, state: State, scans: dict[int, Scan], started: RunStarted | None) -> Input:
    """Return the input itself; `scans` are those on record by sequence, `started` the beginning of the run.

    Raises:
        CorruptRecordError: what it names is not on record, or is not what it was.
    """
    match kept:
        case ScanNamed():
            scan = scans.get(kept.sequence)
            if scan is None or _checksum(scan) != kept.checksum:
                what = "missing" if scan is None else "not what it was"
                raise CorruptRecordError(f"scan {kept.sequence} is {what}")
            return Scanned(at_ns=kept.at_ns, scan=scan)
        case RunNamed():
            if started is None:
                raise CorruptRecordError("the beginning of the run is missing")
            order = RunOrder(
                protocol=kept.protocol,
                run=started.run,
                recipe_source=started.recipe_source,
                program=started.program,
                program_digest=started.program_digest,
                attempt=started.attempt,
            )
            if _digest(msgspec.msgpack.encode(order)) != kept.digest:
                raise CorruptRecordError("the beginning of the run is not what it was")
            return RunGiven(at_ns=kept.at_ns, order=order, write_spread_ns=kept.write_spread_ns)
        case PlantNamed():
            if state.layout is None:
                raise CorruptRecordError("there is no plant to be given again")
            return PlantGiven(
                at_ns=kept.at_ns,
                plant=state.layout.plant,
                plant_digest=kept.plant_digest,
                confirmed=kept.confirmed,
            )
        case Whole():
            return _whole(kept)


def _whole(kept: Whole) -> Input:
    kind = _WHOLE.get(kept.kind)
    if kind is None:
        raise CorruptRecordError(f"there is no input {kept.kind}")
    try:
        return msgspec.msgpack.decode(kept.body, type=kind)
    except msgspec.DecodeError as error:
        raise CorruptRecordError(f"an input {kept.kind} cannot be read: {error}") from error


def _kept(given: Input, *, is_scan_recorded: bool) -> Kept:
    match given:
        case Scanned(at_ns=at_ns, scan=scan) if is_scan_recorded:
            return ScanNamed(at_ns=at_ns, sequence=scan.sequence, checksum=_checksum(scan))
        case RunGiven():
            return RunNamed(
                at_ns=given.at_ns,
                protocol=given.order.protocol,
                write_spread_ns=given.write_spread_ns,
                digest=_digest(msgspec.msgpack.encode(given.order)),
            )
        case PlantGiven():
            return PlantNamed(
                at_ns=given.at_ns, plant_digest=given.plant_digest, confirmed=given.confirmed
            )
        case _:
            body = msgspec.Raw(msgspec.msgpack.encode(given))
            return Whole(kind=type(given).__name__, body=body)


def _uid(was: State, given: Input, now: State) -> str:
    """Return the run that the step belongs to, empty for none."""
    if isinstance(given, Started):
        return given.open_run.run.uid if given.open_run is not None else ""
    run = was.run or now.run
    return run.identity.uid if run is not None else ""


def _checkpoint(state: State) -> bytes:
    plant = state.layout.plant if state.layout is not None else None
    return msgspec.msgpack.encode(Checkpoint(state=replace(state, layout=None), plant=plant))


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def _checksum(scan: Scan) -> int:
    times = msgspec.msgpack.encode((scan.started_ns, scan.ended_ns, scan.plant_digest))
    return zlib.crc32(scan.qualities, zlib.crc32(scan.values, zlib.crc32(times)))
