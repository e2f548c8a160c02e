"""Keeps, around every step of the engine, what the next executor would need if this one died in the middle of it.

Two places: memory that outlives the process has the run to the leaf; the ledger on the volume outlives pod and host. It is
written when a run begins, before its first step, and once its end has become calm: no closing of a valve waits for a disk.
A thread writes it, so that a volume that hangs for a while is no reason to take the loop for dead.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ald.engine import reservation
from ald.engine.effects import Effect, Journal, Reservation
from ald.engine.inputs import OpenRun, Unsafe
from ald.engine.state import Asked, Pulsing, State, phases
from ald.engine.trace import open_run, unsafe
from ald.errors import CorruptRecordError
from ald.gateway.driver.files import Ledger, read_ledger, read_reservation, write_ledger
from ald.gateway.driver.memory import Remembered, RunMemory
from ald.gateway.driver.volume_writer import VolumeWriter
from ald.program.model import Pulse
from ald.records.event import Event, RunEnded, RunStarted

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path


START_WAITS_S = 1.0
"""The beginning of a run waits this long for the end of the last one to come to the volume, and is refused then."""

BEGINNING_WAITS_S = 3.0
"""And so long for the volume to take itself: whoever waits longer for both is taken for dead."""


class Diary:
    """What earlier executors left, and what this one leaves.

    Attributes:
        found: the run that was on when the last executor died, None for none.
        ledger: the runs of the past.
        unsafe: no run was on, and still the machine is to be made safe.
        is_doubtful: the ledger was lost, and memory knows nothing either: a run may have been on.
    """

    def __init__(
        self,
        memory: RunMemory,
        ledger: Path,
        last_record: int,
        *,
        reserved: Path | None = None,
        is_lost: bool = False,
        thread: Executor | None = None,
    ) -> None:
        """Begin; `is_lost` begins a new ledger in the place of a damaged one. What goes to the disk is left to `thread`.

        Raises:
            CorruptRecordError: the ledger is damaged.
        """
        self._memory = memory
        self._path = ledger
        self._begins_at = 0
        self._unwritten: Ledger | None = None
        self._writer = VolumeWriter("ledger", thread)
        self._sent: Ledger | None = None
        self.ledger = Ledger() if is_lost else read_ledger(ledger) or Ledger()
        if not memory.is_blank:
            self.ledger = replace(self.ledger, last=memory.last or self.ledger.last)
        if memory.is_blank:
            self.found = _as_begun(self.ledger, reserved)
        else:
            self.found = memory.open_run(last_record)
        if self.ledger.open is not None and self.found is None:
            # It died between the end of a run and the ledger, or between the ledger and the beginning.
            self.ledger = _without_open(self.ledger, memory)
            self._unwritten = replace(self.ledger, unsafe=memory.unsafe)
        self.unsafe = self.ledger.unsafe if memory.is_blank else memory.unsafe
        self.is_doubtful = is_lost and memory.is_blank
        # What memory has while no run is on; None: something else than the engine will say.
        self._told = None if self.is_doubtful else (self.unsafe, self.ledger.last)
        if memory.is_blank and not is_lost:
            # From here on memory decides: what the ledger says of a run to come may be of one that never began.
            memory.remember(Remembered(run=self.found, unsafe=self.unsafe, last=self.ledger.last))
        elif self.is_doubtful:
            # Whoever dies before the engine has said so leaves the doubt to the next one, which finds no ledger any more.
            memory.remember(Remembered(run=None, unsafe=Unsafe()))

    def before(self, was: State, now: State, effects: tuple[Effect, ...], last_record: int) -> None:
        """Remember what the effects are about to make true; call it before they are carried out.

        Raises:
            OSError: the volume does not take the beginning of a run, which must not begin then.
        """
        started = _place(effects, RunStarted)
        ended = _place(effects, RunEnded)
        present = open_run(now)
        if started and present is not None:
            present = replace(present, valves=_valves(now), reservation=_first(now))
            if not self._has_come(within_s=START_WAITS_S):
                # Whichever of the two came last would be what the volume knows.
                raise OSError(errno.EBUSY, "the end of the last run is still on its way to it")
            # Where it fails only after the volume has the new one, the old one is due again.
            self._unwritten = _ledger(was, None)
            self._send(_ledger(now, present))
            self._writer.taken(BEGINNING_WAITS_S)
            self._begins_at = last_record + started
            self._unwritten = None
        if ended:
            self._unwritten = _ledger(now, present)
            self._tell(now)
            self._remember(open_run(was) or self.found, ends_at=last_record + ended)
        elif present is not None and (
            _tells(effects) or _was_sent(was, now) or _is_to_end(was, now)
        ):
            events = sum(isinstance(effect, Journal) for effect in effects)
            self._remember(present, ends_at=0, since=last_record + events if events else 0)
        elif present is None and (unsafe(now), now.last_run) != self._told:
            self._unwritten = _ledger(now, present)
            self._tell(now)
            self._memory.remember(Remembered(run=None, unsafe=self.unsafe, last=now.last_run))

    def _tell(self, now: State) -> None:
        self.unsafe = unsafe(now)
        self._told = (self.unsafe, now.last_run)

    def after(self, effects: tuple[Effect, ...]) -> None:
        """Forget a run whose end is on record by now."""
        if _place(effects, RunEnded):
            self.found = None
            self._begins_at = 0
            last = self._unwritten.last if self._unwritten is not None else None
            self._memory.remember(Remembered(run=None, unsafe=self.unsafe, last=last))

    def catch_up(self, *, within_s: float = 0.0) -> bool:
        """Have the end of a run written to the ledger, where that is due, and wait so long for it; False while it is on its way.

        What the volume refuses stays due, and so does what it has not taken yet.
        """
        if not self._has_come(within_s=within_s):
            return False
        if self._unwritten is not None:
            self._send(self._unwritten)
        return self._has_come(within_s=within_s)

    def close(self) -> None:
        """Leave everything to the next executor."""
        self._writer.close()
        self._memory.close()

    def _send(self, ledger: Ledger) -> None:
        """Have this written, in place of whatever the volume has; nothing may be on its way."""
        self._sent = ledger
        self._writer.send(write_ledger, self._path, ledger)

    def _has_come(self, *, within_s: float) -> bool:
        """Tell whether nothing is on its way to the volume, or comes to it or fails within that time."""
        if not self._writer.is_free(within_s):
            return False
        if self._unwritten is self._sent and not self._writer.has_failed:
            self._unwritten = None
        return True

    def _remember(self, run: OpenRun | None, ends_at: int, since: int = 0) -> None:
        last = self._unwritten.last if ends_at and self._unwritten is not None else None
        remembered = Remembered(
            run=run,
            begins_at=self._begins_at,
            ends_at=ends_at,
            since=since,
            unsafe=self.unsafe,
            last=last,
        )
        self._memory.remember(remembered)


def _as_begun(ledger: Ledger, reserved: Path | None) -> OpenRun | None:
    """Return the run that the volume alone remembers: how it began, and up to where it may have come."""
    run = ledger.open
    if run is None:
        return None
    try:
        newer = read_reservation(reserved) if reserved is not None else None
    except CorruptRecordError:
        # It may have come further than its first reservation says.
        return replace(run, is_exact=False, reservation=None)
    is_its = newer is not None and (newer.run, newer.attempt) == (run.run.uid, run.attempt)
    return replace(run, is_exact=False, reservation=newer if is_its else run.reservation)


def _without_open(ledger: Ledger, memory: RunMemory) -> Ledger:
    """Return the ledger without the run that is on by it, and not by memory; one that never began may be started yet."""
    run = ledger.open
    assert run is not None, "a run is on by it"
    has_begun = run.attempt > 1 or memory.has_ended(run)
    uids = tuple(uid for uid in ledger.uids if has_begun or uid != run.run.uid)
    return replace(ledger, open=None, uids=uids)


def _first(state: State) -> Reservation | None:
    return reservation.first(state.run) if state.run is not None else None


def _ledger(state: State, present: OpenRun | None) -> Ledger:
    return Ledger(open=present, last=state.last_run, uids=state.started_uids, unsafe=unsafe(state))


def _valves(state: State) -> tuple[str, ...]:
    """Return the valves that the run opens: this file is not rewritten for each pulse."""
    leaves = state.run.program.instructions if state.run is not None else ()
    return tuple(sorted({leaf.valve for leaf in leaves if isinstance(leaf, Pulse)}))


def _place(effects: tuple[Effect, ...], kind: type[Event]) -> int:
    """Return which of the events among the effects, from 1, is of this kind; 0 for none."""
    events = [effect.event for effect in effects if isinstance(effect, Journal)]
    return next((i for i, event in enumerate(events, 1) if isinstance(event, kind)), 0)


def _tells(effects: tuple[Effect, ...]) -> bool:
    return any(isinstance(effect, Journal) for effect in effects)


def _was_sent(was: State, now: State) -> bool:
    """Tell whether an opening edge has left in this step."""
    unsent = {phase.open_token for phase in _pulses(was) if not phase.opened_sent_ns}
    return any(phase.opened_sent_ns and phase.open_token in unsent for phase in _pulses(now))


def _is_to_end(was: State, now: State) -> bool:
    """Tell whether somebody has said in this step how the run is to end, of which nothing need be on record yet."""
    return (_asked(was), _latch(was)) != (_asked(now), _latch(now))


def _asked(state: State) -> Asked | None:
    return state.run.asked if state.run is not None else None


def _latch(state: State) -> bool:
    return state.safing is not None and state.safing.latch


def _pulses(state: State) -> list[Pulsing]:
    found = phases(state.run) if state.run is not None else ()
    return [phase for phase in found if isinstance(phase, Pulsing)]
