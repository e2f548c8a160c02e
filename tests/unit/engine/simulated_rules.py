"""What must hold whatever happens: at the wire, on record, in what a status shows, and at the end."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ald.engine.replay import Recorded, replay_run
from ald.errors import CorruptRecordError
from ald.plant.words import encode
from ald.plc.codec import form_of
from ald.plc.request import WriteCoil, WriteRegisters
from ald.records.event import (
    Event,
    LinkChanged,
    MachineState,
    PulseDone,
    PulseOpening,
    RunEnded,
    RunStarted,
    SafeStateReached,
    SessionStarted,
    StateChanged,
    StepEnded,
    StepStarted,
    TimedBy,
    WriteOutcome,
    run_of,
)
from ald.wire import DriverStatus, RunProgress
from unit.engine import simulated_interlocks
from unit.engine.programs import MS, PLANT, S
from unit.engine.simulated_plc import BEAT, GROUP, TIMED, TRIGGERS, VALVES, WIDTHS

if TYPE_CHECKING:
    from unit.engine.simulation import Simulation

MOVED_NS = 1500 * MS
USURPED_NS = 1100 * MS
"""Within these times scans and beats of a calm link show what somebody else has done."""

_TWENTY = encode(next(p for p in PLANT.parameters if p.name == "mfc.setpoint"), 20.0)
WRITING = frozenset({"set", "ramp", "purge"})
SAFE = (form_of(WriteCoil(0, on=False)).pdu, form_of(WriteRegisters(10, _TWENTY)).pdu)
"""What the safe state writes to outputs."""

COILS = {valve.name: coil for coil, valve in VALVES.items()}


class Rules:
    """Looks at everything that one simulation does."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.sent = dict.fromkeys(COILS, 0)
        self.opening: dict[str, PulseOpening] = {}
        self.is_safing = False
        self.is_aborted = False
        self.connected_ns = 0
        self.steps: dict[int, StepStarted] = {}
        self.openings = dict.fromkeys(COILS, 0)
        self.claimed: dict[str, int] = {}
        self.attempts: dict[str, int] = {}
        self.done: dict[int, PulseDone] = {}
        self._pulsed: set[tuple[str, str, tuple[int, ...]]] = set()
        self._began: set[tuple[type, str, int]] = set()

    # At the wire.

    def left(self, pdu: bytes, *, is_begun: bool) -> None:
        """A request has left; `is_begun`: its first bytes had to be followed by the rest."""
        function, address, value = struct.unpack_from(">BHH", pdu)
        if is_begun or function not in (5, 6, 15, 16) or address == BEAT:
            self._count_opening(pdu)
            return
        sim = self.sim
        if sim.is_timed and (address in TRIGGERS or address in WIDTHS):
            self._timer_told(function, address, value)
        elif address not in VALVES:
            is_told = any(step.step in WRITING for step in self.steps.values())
            is_safe_state = (self.is_safing or self.is_aborted) and pdu in SAFE
            sim.require(is_told or is_safe_state, f"{pdu.hex()} is of no step on record")
        elif function == 5 and value == 0xFF00:
            name = VALVES[address].name
            is_by_plc = sim.is_timed and name in TIMED
            sim.require(not is_by_plc, f"{name} was opened by its coil, and the PLC times it")
            sim.require(
                name in self.opening, f"{name} was told to open, and no pulse on record is on"
            )
        self._count_opening(pdu)

    def _timer_told(self, function: int, address: int, value: int) -> None:
        """Clearing a trigger harms nobody; setting one, or a width, is of a pulse on record."""
        if address in TRIGGERS and not (function == 5 and value == 0xFF00):
            return
        name = (TRIGGERS.get(address) or WIDTHS[address]).name
        self.sim.require(
            name in self.opening, f"the timer of {name} was told something, and no pulse is on"
        )

    def _count_opening(self, pdu: bytes) -> None:
        function, address, value = struct.unpack_from(">BHH", pdu)
        moved = VALVES.get(address) or (TRIGGERS.get(address) if self.sim.is_timed else None)
        if function != 5 or value != 0xFF00 or moved is None:
            return
        name = moved.name
        self.sent[name] += 1
        self.sim.require(self.sent[name] <= self.openings[name], f"{name} was told to open twice")

    def first_write(self, pdu: bytes) -> None:
        """The first thing that a connection moves is the valves, to their safe positions."""
        function, address, _ = struct.unpack_from(">BHH", pdu)
        is_shutting = function == 15 and address == min(VALVES) and not pdu[6] & 7
        if self.sim.is_timed and address in TRIGGERS:
            # A trigger would open its valve behind the write that shuts it.
            is_shutting = not (pdu[6] if function == 15 else pdu[3])
        self.sim.require(is_shutting, f"a connection begins with {pdu.hex()}, not the safe state")

    # On record.

    def record(self, event: Event) -> None:
        match event:
            case RunStarted(run=run, attempt=attempt):
                self._once(event, run.uid, attempt)
                self.attempts[run.uid] = attempt
                self._watched()
            case StepStarted() | StepEnded() | PulseOpening() | PulseDone():
                self._in_run(event)
            case SafeStateReached(confirmed=True):
                self.is_safing = False
            case StateChanged():
                self._state_changed(event)
            case RunEnded():
                self._once(event, event.run, self.attempts.get(event.run, 0))
                self._nothing_is_on()
            case LinkChanged():
                self.connected_ns = self.sim.now
            case SessionStarted():
                self._nothing_is_on()
                self.is_safing = self.is_aborted = False
            case _:
                pass

    def _nothing_is_on(self) -> None:
        self.steps.clear()
        self.opening.clear()
        self.done.clear()

    def _in_run(self, event: StepStarted | StepEnded | PulseOpening | PulseDone) -> None:
        self._once(event, event.run, event.ordinal)
        match event:
            case StepStarted():
                self._watched()
                simulated_interlocks.begins(self.sim)
                self.steps[event.ordinal] = event
                self._not_twice(event)
            case StepEnded():
                self._step_ended(event)
            case PulseOpening():
                self.openings[event.valve] += 1
                self.opening[event.valve] = event
            case PulseDone():
                self._pulse_done(event)

    def _step_ended(self, event: StepEnded) -> None:
        """A pulse is a dose only where the PLC has said that the valve opened."""
        step, pulse = self.steps.pop(event.ordinal, None), self.done.pop(event.ordinal, None)
        if step is None or step.step != "valve" or event.error:
            return
        is_dose = pulse is not None and pulse.opened_ack_ns > 0
        self.sim.require(is_dose, f"{step.name} is done, and nobody said that its valve opened")

    def _not_twice(self, event: StepStarted) -> None:
        """No pulse of a cycle is begun twice, in however many attempts."""
        if event.step == "valve":
            pulse = (event.run, event.name, event.iterations)
            self.sim.require(pulse not in self._pulsed, f"{event.name} {event.iterations} again")
            self._pulsed.add(pulse)

    def _pulse_done(self, event: PulseDone) -> None:
        self.opening.pop(event.valve, None)
        self.done[event.ordinal] = event
        sent_ns = event.opened_sent_ns
        self.sim.require(not 0 < sent_ns < event.due_ns, f"{event.valve} opened before its time")
        is_open = self.sim.plc.coils.get(COILS[event.valve], False)
        is_said_shut = event.outcome is WriteOutcome.CONFIRMED
        is_strange = COILS[event.valve] in self.sim.plc.strange_ns
        self.sim.require(is_strange or not (is_open and is_said_shut), f"{event.valve} is not shut")
        was_said = not is_said_shut or event.closed_ack_ns > 0
        self.sim.require(was_said, f"nobody said that {event.valve} is shut")
        if event.timed_by is TimedBy.PLC and is_said_shut and not event.closed_sent_ns:
            self._carried_out(event)
        # One that was refused, or that the safe state ended, has no width to keep.
        is_whole = is_said_shut and event.opened_ack_ns > 0 and not self.is_safing
        self.sim.require(
            not is_whole or event.error_ns >= 0, f"{event.valve} closed before its time"
        )

    def _carried_out(self, event: PulseDone) -> None:
        """What is on record as timed by the PLC to its end, the PLC has carried out, with this width."""
        if event.opened_ack_ns == 0 or self.is_safing:
            return
        name = event.valve
        self.claimed[name] = self.claimed.get(name, 0) + 1
        carried = self.sim.plc.timers.carried.get(name, [])
        is_real = self.claimed[name] <= len(carried) and carried[-1] == event.open_ns
        self.sim.require(
            is_real, f"{name} is on record as open for {event.open_ns} ns, and was not"
        )

    def _state_changed(self, event: StateChanged) -> None:
        # Aborted, a stop writes the safe state again and changes nothing else; a clear does not keep it from going on.
        is_cleared = self.is_aborted and event.state is MachineState.STOPPED
        self.is_aborted = event.state is MachineState.ABORTED or is_cleared
        if event.state is MachineState.ABORTING:
            self.is_safing = True
            self._nothing_is_on()
        if event.reason == "SafeStateConfirmed":
            plc = self.sim.plc
            moving = (0, *VALVES, *(TRIGGERS if self.sim.is_timed else ()))
            on = [c for c in moving if plc.coils.get(c) and c not in plc.strange_ns]
            self.sim.require(not on, f"a safe state is called confirmed with coils {on} on")

    def _once(self, event: Event, run: str, ordinal: int) -> None:
        key = (type(event), run, ordinal)
        self.sim.require(key not in self._began, f"{key[0].__name__} is on record twice")
        self._began.add(key)

    def _watched(self) -> None:
        """No step begins while the PLC does not watch, or another master writes to it."""
        sim = self.sim
        assert PLANT.heartbeat is not None
        silent_ns = sim.now - sim.plc.beat_ns
        limit_ns = PLANT.heartbeat.timeout_ns + S
        sim.require(silent_ns <= limit_ns, f"a step begins {silent_ns} ns after the last beat")
        since_ns = sim.usurped_ns
        known_ns = sim.now - USURPED_NS
        is_known = (
            since_ns is not None and max(since_ns, sim.troubled_ns, self.connected_ns) < known_ns
        )
        sim.require(not is_known, "a step begins beside another master")
        moved_ns = min((at for c, at in sim.plc.strange_ns.items() if c in GROUP), default=sim.now)
        is_seen = max(moved_ns, sim.troubled_ns, self.connected_ns) < sim.now - MOVED_NS
        sim.require(not is_seen, "a step begins beside a valve that somebody else has opened")

    # In what a status shows.

    def shown(self, status: DriverStatus) -> None:
        """Whatever a status shows is on record."""
        sim = self.sim
        begun = max(i for i, e in enumerate(sim.journal) if isinstance(e, SessionStarted))
        states = [e.state for e in sim.journal[begun:] if isinstance(e, StateChanged)]
        on_record = states[-1] if states else MachineState.STOPPED
        sim.require(
            status.state is on_record,
            f"a status says {status.state.value}, the record {on_record.value}",
        )
        if status.run is not None:
            self._run_shown(status.run)

    def _run_shown(self, run: RunProgress) -> None:
        sim, uid = self.sim, run.run.uid
        edges = [
            e for e in sim.journal if isinstance(e, RunStarted | RunEnded) and run_of(e) == uid
        ]
        last = edges[-1] if edges else None
        outcome = last.outcome if isinstance(last, RunEnded) else None
        sim.require(run.outcome is outcome, f"a status says {run.outcome}, the record {outcome}")
        done = sum(isinstance(e, PulseDone) and e.run == uid for e in sim.journal)
        is_right = run.pulses == done if run.exact else run.pulses <= done
        sim.require(is_right, f"a status counts {run.pulses} pulses, the record {done}")
        steps = sum(isinstance(e, StepEnded) and e.run == uid and not e.error for e in sim.journal)
        is_right = run.leaves_done == steps if run.exact else run.leaves_done <= steps
        sim.require(is_right, f"a status counts {run.leaves_done} steps, the record {steps}")
        sim.require(run.leaves_done <= run.leaves_total, f"{run.leaves_done} of fewer steps")

    # At the PLC, some time after somebody else moved a valve.

    def meddled(self, coil: int, since_ns: int, run: str | None) -> None:
        """A valve that somebody opened is shut soon where a run is on."""
        sim = self.sim
        is_same = run is not None and run == sim.present_run()
        is_calm = sim.troubled_ns < since_ns
        is_open = sim.plc.strange_ns.get(coil) == since_ns and coil in GROUP
        sim.require(
            not (is_same and is_calm and is_open), f"{VALVES[coil].name} stands open unnoticed"
        )

    # At the end.

    def judge(self) -> None:
        sim = self.sim
        sim.require(not sim.plc.opened_ns, f"still open: {sim.plc.opened_ns}")
        started = [e.run.uid for e in sim.journal if isinstance(e, RunStarted)]
        ended = {e.run: e for e in sim.journal if isinstance(e, RunEnded)}
        ends = [e.run for e in sim.journal if isinstance(e, RunEnded)]
        # With memory is lost what the last moments were: whether the run began at all, and which pulse was under way.
        is_lost = sim.has_lost_memory
        sim.require(is_lost or sorted(started) == sorted(ends), "a run has no end on record")
        begun = {(e.run, e.ordinal) for e in sim.journal if isinstance(e, PulseOpening)}
        done = {(e.run, e.ordinal) for e in sim.journal if isinstance(e, PulseDone)}
        sim.require(is_lost or begun == done, f"pulses without an end: {sorted(begun ^ done)}")
        begun = {(e.run, e.ordinal) for e in sim.journal if isinstance(e, StepStarted)}
        over = {(e.run, e.ordinal) for e in sim.journal if isinstance(e, StepEnded)}
        sim.require(is_lost or begun == over, f"steps without an end: {sorted(begun ^ over)}")
        records = [Recorded(position=i, what=each) for i, each in enumerate(sim.records, 1)]
        for uid, end in ended.items():
            try:
                replayed = replay_run(records, uid)
            except CorruptRecordError as error:
                sim.require(False, f"run {uid} does not replay: {error}")
            else:
                sim.require(replayed.ended == end, f"run {uid} replays to another end")
        last = ended.get(sim.last_uid)
        outcome = last.outcome.value if last is not None else "none"
        sim.require(outcome == "Completed", f"the last run ended {outcome}")
