"""The executor: one thread, one select loop, absolute deadlines. It decides nothing; the engine does."""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

from ald.engine import status, wake
from ald.engine.effects import (
    CancelWrites,
    Effect,
    Exit,
    Journal,
    Look,
    Reserve,
    UsePlant,
    Write,
)
from ald.engine.inputs import (
    AbortAsked,
    ClockStep,
    Input,
    RecordRoom,
    Scanned,
    ShutdownAsked,
    Started,
    Tick,
)
from ald.engine.state import State
from ald.engine.step import step
from ald.engine.taken import Book, noted
from ald.errors import InvalidInputError, RefusedError
from ald.gateway.driver import alive, ready, requests
from ald.gateway.driver.commands import Commands, Glance
from ald.gateway.driver.diary import Diary
from ald.gateway.driver.plant_file import PlantFile
from ald.gateway.driver.realtime import Jitter
from ald.gateway.driver.recorder import Recorder
from ald.gateway.driver.reserver import Reserver
from ald.gateway.driver.settings import Settings
from ald.gateway.driver.station import Station
from ald.gateway.driver.told import tell
from ald.gateway.driver.wallclock import WallClock
from ald.gateway.ring import ring_capacity
from ald.kit.clock import Clock
from ald.kit.garbage import Garbage
from ald.kit.lines import Lines
from ald.plant.model import Plant, digest
from ald.records.event import PulseOpening, RunOutcome
from ald.wire import DriverReply, DriverRequest, ErrorReply

LEAD_NS = 500_000
"""A valve edge is decided and put on record this much before its time, and leaves at its time: what is computed takes less, on a busy host, too."""

SPIN_NS = 300_000
"""Before that the loop sleeps up to here, and turns on the spot for the rest: a sleep ends late by up to this."""

SLEEP_NS_MAX = 250_000_000
"""Longest sleep: the signs of life and the clocks want to be looked at."""

QUIET_NS = 50_000_000
"""Garbage is collected, and the clocks are looked at, only when no edge is due for this long."""

SIGNALS_MAX = 64
"""Marks of signals taken from their pipe at once."""

LAST_WAITS_MAX = 40
"""An executor that ends waits so many sleeps, ten seconds, for its volume to take the end of the last run; its successor knows it from memory."""

ROUNDS_MAX = 100
"""Rounds of news before the loop goes on to other things."""


class Parts(msgspec.Struct, frozen=True):
    """What the executor works with; put together by `ald.gateway.driver.app`."""

    settings: Settings
    clock: Clock
    log: Lines
    recorder: Recorder
    diary: Diary
    plant_file: PlantFile
    commands: Commands
    unit_random: Callable[[], float]
    signals_fd: int
    jitter: Jitter
    reserver: Reserver


class Executor:
    """Runs one session from its start to `Exit`."""

    def __init__(self, parts: Parts, session: str, version: str) -> None:
        self._parts = parts
        self._session = session
        self._version = version
        self._wall = WallClock(parts.clock)
        self._state = State()
        self._station: Station | None = None
        self._is_over = False
        self._book = Book()
        self._garbage = Garbage()
        self._chores_ns = 0
        self._stop_reason = ""

    def stop(self, reason: str) -> None:
        """End in good order; safe to call from a signal handler."""
        self._stop_reason = reason

    def run(self, plant: Plant | None) -> None:
        """Work until the engine says that everything is settled."""
        parts = self._parts
        if plant is not None:
            self._station = self._station_of(plant)
        self._give(
            Started(
                at_ns=parts.clock.monotonic_ns(),
                session=self._session,
                version=self._version,
                wall_offset_ns=self._wall.offset_ns,
                plant=plant if self._station is not None else None,
                open_run=parts.diary.found,
                started_uids=parts.diary.ledger.uids,
                last_run=parts.diary.ledger.last,
                is_doubtful=parts.diary.is_doubtful,
                unsafe=parts.diary.unsafe,
            )
        )
        self._garbage.begin(is_automatic=False)
        while not self._is_over:
            self._turn()
        self._finish()

    def _turn(self) -> None:
        """One round: wait for whatever comes first, then serve it."""
        clock = self._parts.clock
        came, takes = self._wait()
        now_ns = clock.monotonic_ns()
        if self._parts.signals_fd in came:
            os.read(self._parts.signals_fd, SIGNALS_MAX)
        if self._station is not None:
            number = self._station.fileno()
            if number in came:
                self._station.receive(now_ns)
            if number in takes:
                self._station.transmit(now_ns)
        self._news()
        self._tick()
        if self._station is not None:
            edge_ns = wake.edge_ns(self._state)
            self._station.work(clock.monotonic_ns(), edge_ns)
            self._news()
        if came:
            self._parts.commands.serve(
                came, self._answer, self._glanced if self._state.run is not None else None
            )
        self._do_chores()

    # Waiting.

    def _wait(self) -> tuple[list[int], list[int]]:
        """Sleep until something comes in or is due; before a valve edge turn on the spot."""
        clock, parts = self._parts.clock, self._parts
        now_ns = clock.monotonic_ns()
        due_ns = wake.wake_ns(self._state)
        edge_ns = wake.edge_ns(self._state)
        until_ns = now_ns + SLEEP_NS_MAX
        if due_ns is not None:
            until_ns = min(until_ns, due_ns)
        if self._station is not None:
            until_ns = min(until_ns, self._station.wake_ns(now_ns, edge_ns))
        ready_ns = edge_ns - LEAD_NS if edge_ns is not None and due_ns == edge_ns else None
        is_edge = ready_ns is not None and ready_ns - until_ns < SPIN_NS
        if ready_ns is not None:
            until_ns = min(until_ns, ready_ns)
        reading = [parts.signals_fd, *parts.commands.filenos()]
        writing: list[int] = []
        number = self._station.fileno() if self._station is not None else None
        if self._station is not None and number is not None:
            reading.append(number)
            if self._station.wants_write():
                writing.append(number)
        wake_ns = until_ns - (SPIN_NS if is_edge else 0)
        poll_until_ns = 0 if self._station is None else self._station.poll_until_ns
        came, takes = ready.wait(reading, writing, wake_ns, poll_until_ns, clock)
        if wake_ns > now_ns and not came and not takes:
            parts.jitter.woke(clock.monotonic_ns() - wake_ns)
        if is_edge and not came and not takes and ready_ns is not None:
            self._until(ready_ns)
        return came, takes

    def _until(self, at_ns: int) -> None:
        """Turn on the spot until `at_ns`, which is near: no sleep ends as exactly."""
        while self._parts.clock.monotonic_ns() < at_ns:
            pass

    # The engine.

    def _tick(self) -> None:
        """Tell the engine the time, as often as something is due; a valve edge's a little before it comes."""
        for _ in range(ROUNDS_MAX):
            due_ns = wake.wake_ns(self._state)
            lead_ns = LEAD_NS if due_ns == wake.edge_ns(self._state) else 0
            now_ns = self._parts.clock.monotonic_ns()
            if due_ns is None or now_ns < due_ns - lead_ns:
                return
            self._give(Tick(at_ns=max(now_ns, due_ns)))

    def _news(self) -> None:
        """Tell the engine what the link has to say, and what that brings about, until there is nothing more."""
        for _ in range(ROUNDS_MAX):
            station = self._station
            if station is None:
                return
            run = self._state.run.identity.uid if self._state.run is not None else ""
            inputs = list(station.news(run, self._wall.offset_ns))
            if not inputs:
                return
            for given in inputs:
                is_recorded = isinstance(given, Scanned) and self._parts.recorder.scan(given.scan)
                if station is self._station:
                    self._give(given, is_scan_recorded=is_recorded)

    def _give(self, given: Input, *, is_scan_recorded: bool = False) -> None:
        """Hand one input to the engine and carry out what it wants.

        Raises:
            RefusedError: the engine refuses a request, or the volume what has to be kept of it.
        """
        was = self._state
        now, effects = step(was, given)
        book, effects = noted(
            self._book, (was, given, now), effects, is_scan_recorded=is_scan_recorded
        )
        self._keep(now, effects)
        self._state, self._book = now, book
        parts = self._parts
        is_recorded = self._carry_out(effects)
        parts.diary.after(effects)
        # Decided early, but never early at the valve.
        self._until(given.at_ns)
        if self._station is not None and effects:
            self._station.flush(parts.clock.monotonic_ns())
        # What people read comes after what the plant needs.
        for effect in effects:
            if isinstance(effect, Journal):
                tell(parts.log, effect.event)
        if not is_recorded:
            self._give(
                AbortAsked(
                    at_ns=given.at_ns,
                    uid="",
                    by="driver",
                    reason="a pulse could not be put on record: the ring is full",
                    outcome=RunOutcome.STEP_FAILED,
                )
            )

    def _keep(self, now: State, effects: tuple[Effect, ...]) -> None:
        """Keep what has to outlive this process, before it becomes true."""
        parts = self._parts
        try:
            parts.plant_file.before(now, effects)
            if effects or now is not self._state:
                parts.diary.before(self._state, now, effects, parts.recorder.last_record)
        except OSError as error:
            raise requests.unwritable(error) from error

    def _carry_out(self, effects: tuple[Effect, ...]) -> bool:
        """Do what the engine wants: all of it on record at once, then the rest in its order.

        False when a pulse found no room on record and was not begun.
        """
        events = [effect.event for effect in effects if isinstance(effect, Journal)]
        is_recorded = not events or self._parts.recorder.events(events)
        if not is_recorded and any(isinstance(event, PulseOpening) for event in events):
            return False
        for effect in effects:
            self._do(effect)
        return True

    def _do(self, effect: Effect) -> None:
        match effect:
            case Journal():
                pass  # Done already.
            case Write() | Look():
                assert self._station is not None, "a write or a look needs a plant"
                self._station.submit(effect, self._parts.clock.monotonic_ns())
            case CancelWrites(lane=lane):
                if self._station is not None:
                    self._station.cancel(lane)
            case UsePlant(plant=plant):
                self._use(plant)
            case Reserve():
                self._parts.reserver.ask(effect, self._parts.clock.monotonic_ns())
            case Exit():
                self._is_over = True

    def _use(self, plant: Plant) -> None:
        """Connect to the PLC of a new plant."""
        before = self._station
        if before is not None:
            before.close()
        self._station = self._station_of(plant)
        if before is not None and self._station is not None:
            self._station.follow(before)

    def _station_of(self, plant: Plant) -> Station | None:
        parts = self._parts
        parts.recorder.grow(ring_capacity(plant))
        try:
            return Station(plant, digest(plant), parts.clock, parts.unit_random, parts.log)
        except InvalidInputError as error:
            parts.log.error("plant_unreadable", error=str(error))  # noqa: TRY400 -- for people
            return None

    # Requests.

    def _answer(self, request: DriverRequest) -> DriverReply:
        """Do what was asked, and say how things stand after it or why not."""
        now_ns = self._parts.clock.monotonic_ns()
        error: ErrorReply | None = None
        try:
            spread_ns = self._station.write_spread.ns() if self._station is not None else None
            given = requests.input_of(request, now_ns, spread_ns)
            if given is not None:
                requests.check_room(given, self._parts.recorder)
                self._give(given)
        except RefusedError as refused:
            error = ErrorReply(reason=refused.reason, message=str(refused))
        except InvalidInputError as invalid:
            error = requests.invalid(invalid)
        return requests.with_figures(self._reply(request.id, error), request, self._station)

    def _glanced(self, glance: Glance) -> DriverReply:
        """Answer a long message while a run is on: fine when it brings nothing new, refused otherwise."""
        state = self._state
        known = (state.plant_digest, state.run.identity.uid if state.run is not None else "")
        error = None
        if glance.subject not in known:
            error = ErrorReply(
                reason="RunActive", message="a run is on; try again when it has ended"
            )
        return self._reply(glance.id, error)

    def _reply(self, number: int, error: ErrorReply | None) -> DriverReply:
        station, now_ns = self._station, self._parts.clock.monotonic_ns()
        told = status.driver_status(
            self._state,
            requests.NO_LINK if station is None else station.link_status(self._wall.offset_ns),
            requests.NO_SCAN if station is None else station.scan_status(),
            self._parts.jitter.status(),
        )
        return DriverReply(id=number, at_ns=now_ns, status=told, error=error)

    # Chores.

    def _do_chores(self) -> None:
        """Signs of life, clocks, room on record, garbage: a few times a second, and never near an edge."""
        now_ns = self._parts.clock.monotonic_ns()
        if self._stop_reason:
            reason, self._stop_reason = self._stop_reason, ""
            self._give(ShutdownAsked(at_ns=now_ns, reason=reason))
        edge_ns = wake.edge_ns(self._state)
        is_quiet = edge_ns is None or edge_ns - now_ns > QUIET_NS
        reserved = self._parts.reserver.work(now_ns, is_quiet=is_quiet)
        if reserved is not None:
            self._give(reserved)
        overdue_ns = now_ns - self._chores_ns - SLEEP_NS_MAX
        if overdue_ns < 0 or not (is_quiet or overdue_ns > 4 * SLEEP_NS_MAX):
            return
        self._chores_ns = now_ns
        alive.stamp(self._parts.settings.alive, now_ns)
        step_ns = self._wall.step_ns()
        if step_ns:
            self._give(ClockStep(at_ns=now_ns, step_ns=step_ns))
        if self._parts.recorder.check_room(may_grow=self._state.run is None):
            self._give(RecordRoom(at_ns=now_ns, ok=self._parts.recorder.has_room))
        if self._state.run is None and (self._state.safing is None or self._state.safing.overdue):
            self._parts.diary.catch_up()
        if is_quiet:
            self._garbage.collect(now_ns, may_pause=self._state.run is None)

    def _finish(self) -> None:
        """Leave PLC, socket and files."""
        if self._station is not None:
            self._station.close()
        self._parts.commands.close()
        self._parts.plant_file.close()
        self._parts.reserver.close()
        for _ in range(LAST_WAITS_MAX):
            if self._parts.diary.catch_up(within_s=SLEEP_NS_MAX / 1e9):
                break
            # Whoever waits for a volume has not died.
            alive.stamp(self._parts.settings.alive, self._parts.clock.monotonic_ns())
        self._parts.diary.close()
        self._parts.recorder.close()
