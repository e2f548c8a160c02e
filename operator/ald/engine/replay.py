"""Replays a run from its record: what was taken in must give exactly what was recorded, event by event, to the end.

A run whose executor died is in two parts: the second one is how the next executor found it and ended it. Where it was resumed, two more
parts follow for each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from ald.engine import taken
from ald.engine.effects import Effect, Journal
from ald.engine.inputs import Input
from ald.engine.state import State
from ald.engine.step import step
from ald.errors import CorruptRecordError, RefusedError, SafetyError
from ald.records.event import Event, InputsTaken, RunEnded, RunOutcome, RunStarted, run_of
from ald.records.scan import Scan


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the feed, decoded."""

    position: int
    what: Event | Scan


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay came to: how many events are as recorded, of how many inputs, and the end; None: it has not ended."""

    events: int
    inputs: int
    ended: RunEnded | None


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


def replay_run(records: Iterable[Recorded], uid: str) -> Replayed:
    """Replay the run with this uid; other records may lie before, after and, of scans, between.

    Raises:
        CorruptRecordError: the record does not have the run from its beginning, or something in it is not what happened; the
            message names the position.
    """
    run = Replay(uid)
    for record in records:
        run.take(record)
    return run.result()


class Replay:
    """A replay that is given record after record; what comes after the end of the run is left alone.

    Attributes:
        ended: the end of the run, None until it has been replayed; of one that is resumed again and again, the last one.
        is_over: nothing more of the run can come.
    """

    def __init__(self, uid: str) -> None:
        self._uid = uid
        self._scans: dict[int, Scan] = {}
        self._pending: list[tuple[int, Event]] = []
        self._started: RunStarted | None = None
        self._state = State()
        self._seal = ""
        self._has_begun = False
        self._events = 0
        self._inputs = 0
        self.ended: RunEnded | None = None
        self.is_over = False

    def take(self, record: Recorded) -> None:
        """Take in the next record.

        Raises:
            CorruptRecordError: as `replay_run`.
        """
        if self.ended is not None:
            try:
                self._look_for_more(record.what)
            except CorruptRecordError as error:
                raise CorruptRecordError(f"position {record.position}: {error}") from error
        if self.is_over or self.ended is not None:
            return
        match record.what:
            case Scan() as scan:
                # What was read before the run is part of the state that it began with.
                if self._has_begun:
                    self._scans[scan.sequence] = scan
            case InputsTaken() as inputs:
                self._close(record.position, inputs)
            case RunStarted() as started if started.run.uid == self._uid:
                self._started = started
                self._pending.append((record.position, started))
            case event:
                self._pending.append((record.position, event))

    def _look_for_more(self, what: Event | Scan) -> None:
        """See whether the run is resumed; only one that a restart has ended can be, and only before another one.

        Raises:
            CorruptRecordError: it is, and what says so is not on record.
        """
        if self.is_over:
            return
        match what:
            case RunStarted(run=run) if run.uid == self._uid:
                self.ended = None
            case InputsTaken(run=uid) if uid != self._uid:
                self.is_over = True
            case InputsTaken() if any(isinstance(e, taken.RunNamed) for e in taken.inputs_of(what)):
                raise CorruptRecordError("the run was taken up, and that is missing before it")
            case _:
                pass

    def _close(self, position: int, inputs: InputsTaken) -> None:
        """Judge the events of one step by the inputs that follow them."""
        pending, self._pending = self._pending, []
        if inputs.run != self._uid:
            self._refuse(pending, "what follows is of another run")
            self._scans.clear()
            return
        try:
            made = self._made(inputs)
        except (CorruptRecordError, RefusedError, SafetyError, AssertionError) as error:
            raise CorruptRecordError(f"position {position}: {error}") from error
        found = pending
        if inputs.checkpoint:
            # Before a run, and before the session that finds it, lie events that are not the run's.
            begins = max(0, len(pending) - inputs.events)
            self._refuse(pending[:begins], "nothing of this run comes before its beginning")
            found = pending[begins:]
        for number in range(max(len(made), len(found))):
            if number >= len(found):
                raise CorruptRecordError(
                    f"position {position}: {_name(made[number])} is missing before it"
                )
            at, event = found[number]
            if number >= len(made):
                raise CorruptRecordError(f"position {at}: {_name(event)} did not happen")
            if event != made[number]:
                raise CorruptRecordError(f"position {at}: {_difference(event, made[number])}")
        self._events += len(made) + 1
        self.ended = next((event for event in made if isinstance(event, RunEnded)), None)
        if self.ended is not None:
            self.is_over = self.ended.outcome is not RunOutcome.GATEWAY_RESTARTED
        self._scans.clear()

    def result(self) -> Replayed:
        """Return what it has come to when no more records come.

        Raises:
            CorruptRecordError: as `replay_run`.
        """
        self._refuse(self._pending, "what it came of is missing")
        if not self._has_begun:
            raise CorruptRecordError(f"the beginning of run {self._uid} is not on record any more")
        return Replayed(events=self._events, inputs=self._inputs, ended=self.ended)

    def _refuse(self, pending: list[tuple[int, Event]], why: str) -> None:
        for at, event in pending:
            if run_of(event) == self._uid:
                raise CorruptRecordError(f"position {at}: {_name(event)} of this run, and {why}")

    def _made(self, inputs: InputsTaken) -> list[Event]:
        """Return the events that the inputs give."""
        if not inputs.seal:
            raise CorruptRecordError("what was taken in found no room on record")
        if inputs.checkpoint:
            self._state, self._seal = taken.checkpoint_of(inputs), ""
            self._has_begun = True
        if not self._has_begun:
            raise CorruptRecordError("what lies before it is not on record any more")
        if taken.sealed(inputs, self._seal) != inputs:
            raise CorruptRecordError(
                "its seal is not the one of its content and of what came before"
            )
        self._seal = inputs.seal
        made: list[Event] = []
        for kept in taken.inputs_of(inputs):
            given = taken.restored(kept, self._state, self._scans, self._started)
            self._state, effects = step(self._state, given)
            made += [effect.event for effect in effects if isinstance(effect, Journal)]
            self._inputs += 1
        return made


def _name(event: Event) -> str:
    return type(event).__name__


def _difference(found: Event, made: Event) -> str:
    """Return what is on record and what the replay gives instead."""
    if type(found) is not type(made):
        return f"{_name(found)} is on record, and the replay gives {_name(made)}"
    for field in type(found).__struct_fields__:
        one, other = getattr(found, field), getattr(made, field)
        if one != other:
            return f"{field} of {_name(found)} is {one!r:.80} on record, and the replay gives {other!r:.80}"
    return f"{_name(found)} differs"
