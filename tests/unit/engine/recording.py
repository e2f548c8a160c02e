"""The record that the driver would have made of what an engine was told."""

from collections.abc import Iterable

from ald.engine.effects import Journal
from ald.engine.inputs import Input, Scanned
from ald.engine.replay import Recorded
from ald.engine.state import State
from ald.engine.step import step
from ald.engine.taken import Book, noted
from ald.errors import RefusedError
from ald.records.event import Event, decode_event, encode_event
from ald.records.scan import Scan, decode_scan, encode_scan


def recorded(inputs: Iterable[Input], *, scans: bool = True) -> list[Event | Scan]:
    """Return events and scans in order, as they come back from their bytes; without `scans` none has room."""
    found: list[Event | Scan] = []
    state, book = State(), Book()
    for given in inputs:
        if scans and isinstance(given, Scanned):
            found.append(decode_scan(encode_scan(given.scan)))
        try:
            now, effects = step(state, given)
        except RefusedError:
            continue
        book, effects = noted(book, (state, given, now), effects, is_scan_recorded=scans)
        found += [
            decode_event(encode_event(effect.event))
            for effect in effects
            if isinstance(effect, Journal)
        ]
        state = now
    return found


def positions(records: Iterable[Event | Scan]) -> list[Recorded]:
    """Return them as the feed has them, from position 1."""
    return [Recorded(position=at, what=each) for at, each in enumerate(records, 1)]
