"""The simulated PLC: memory, scan cycle, watchdog and reactor as one function of what arrives and when.

Time is an argument, so nothing runs between requests: each request first lets the PLC catch up to the last cycle boundary
before it. A write changes the memory when it arrives and the outputs at the next boundary; sensors are read at boundaries. So the trace
says what a PLC in real time would have done, however late this process was scheduled.
"""

import msgspec

from ald.errors import NotFoundError
from ald.plant.model import Parameter, Plant, Table
from ald.simulator.memory import Memory, engineering, raw_value
from ald.simulator.physics import Reactor, initial
from ald.simulator.timers import Event, Timers
from ald.simulator.trace import Cause, Stamp, Trace, Writes


class Watchdog(msgspec.Struct, frozen=True, kw_only=True):
    """The PLC's view of the heartbeat: armed by its first change, tripped when it stops."""

    armed: bool
    tripped: bool
    trips: int


class Plc:
    """One PLC. Moments given to it never go back; an earlier one counts as the latest known."""

    def __init__(self, plant: Plant, *, seed: int, start: Stamp) -> None:
        self.plant = plant
        self.memory = Memory(plant)
        self.trace = Trace({g.name: frozenset(g.valves) for g in plant.groups})
        self.writes = Writes()
        self._reactor = Reactor(plant, seed)
        self._parameters = {p.name: p for p in plant.parameters}
        self._valves = {v.coil: v.name for v in plant.valves}
        self._coils = {v.name: v.coil for v in plant.valves}
        self.timers = Timers(plant, self.memory)
        self._start = start
        self._boundary_ns = start.at_ns
        self._now_ns = start.at_ns
        self._pending: list[tuple[int, str, bool]] = []
        self._open: set[str] = set()
        self._beat_ns: int | None = None
        self._tripped = False
        self._trips = 0
        self._forced: dict[str, float] = {}
        for parameter, value in initial(plant):
            self._put(parameter, value)
        self._latch()

    @property
    def watchdog(self) -> Watchdog:
        return Watchdog(armed=self._beat_ns is not None, tripped=self._tripped, trips=self._trips)

    @property
    def forced(self) -> dict[str, float]:
        """Parameters that somebody holds at a value."""
        return dict(self._forced)

    def advance(self, at_ns: int) -> None:
        """Catch up to the last cycle boundary at or before `at_ns`."""
        self._now_ns = max(self._now_ns, at_ns)
        target = self._floor(self._now_ns)
        if target == self._boundary_ns:
            return
        trip_ns = self._trip_ns()
        trips = trip_ns is not None and trip_ns <= target
        until = min(target, trip_ns) if trip_ns is not None else target
        for event in self.timers.due(self._boundary_ns, until):
            self._timed(event)
        self._pending.sort(key=lambda event: event[0])
        due = [event for event in self._pending if event[0] <= target]
        self._pending = self._pending[len(due) :]
        for effective_ns, valve, state in due:
            self._step_to(effective_ns)
            (self._open.add if state else self._open.discard)(valve)
        if trips and trip_ns is not None:
            self._step_to(trip_ns)
            self._trip(trip_ns)
        self._step_to(target)
        self._latch()

    def skip(self, at_ns: int) -> None:
        """Go on at `at_ns` after a standstill: nothing happened in between, but the heartbeat's age counts it."""
        self._boundary_ns = max(self._boundary_ns, self._floor(at_ns))
        self._now_ns = max(self._now_ns, at_ns)

    def write_bits(self, first: int, bits: list[bool], stamp: Stamp) -> None:
        """Change coils; a valve opens only while the watchdog has not tripped."""
        self.advance(stamp.at_ns)
        self.writes.record(Table.COIL, first, [int(bit) for bit in bits], stamp)
        for offset, state in enumerate(bits):
            self._set_coil(first + offset, state=state, cause=Cause.WRITE, stamp=stamp)

    def write_registers(self, first: int, registers: list[int], stamp: Stamp) -> None:
        """Change holding registers; a change of the heartbeat feeds the watchdog."""
        self.advance(stamp.at_ns)
        self.writes.record(Table.HOLDING, first, registers, stamp)
        heartbeat = self.plant.heartbeat
        if heartbeat is not None and first <= heartbeat.address < first + len(registers):
            before = self.memory.read(Table.HOLDING, heartbeat.address, 1)[0]
            if registers[heartbeat.address - first] != before:
                self._beat_ns = self._now_ns
                self._tripped = False
        self.memory.write(Table.HOLDING, first, registers)

    def read(self, table: Table, first: int, count: int, stamp: Stamp) -> list[int]:
        """Return what the tables hold since the last cycle boundary or write."""
        self.advance(stamp.at_ns)
        return self.memory.read(table, first, count)

    def force(self, name: str, value: float | None, stamp: Stamp) -> None:
        """Hold a parameter at `value` until None frees it; a valve (`valve.NAME`) is moved once.

        Raises:
            NotFoundError: neither a parameter nor a valve of this machine.
        """
        self.advance(stamp.at_ns)
        coil = next((v.coil for v in self.plant.valves if f"valve.{v.name}" == name), None)
        if coil is not None:
            if value is not None:
                self._set_coil(coil, state=value != 0, cause=Cause.ADMIN, stamp=stamp)
        elif name not in self._parameters:
            raise NotFoundError(f"{name} is no parameter and no valve of this machine")
        elif value is None:
            self._forced.pop(name, None)
        else:
            self._forced[name] = value
            self._put(self._parameters[name], value)

    def values(self) -> dict[str, float]:
        """Return every parameter and valve by name, in its unit."""
        shown = {name: self._value(name) for name in self._parameters}
        shown |= {
            f"valve.{v.name}": float(self.memory.read(Table.COIL, v.coil, 1)[0])
            for v in self.plant.valves
        }
        return shown

    def _set_coil(self, coil: int, *, state: bool, cause: Cause, stamp: Stamp) -> None:
        valve = self._valves.get(coil, "")
        if valve and state and self._tripped:
            return
        timed = self.timers.valve_of(coil)
        if timed is not None:
            self._set_trigger(timed, state=state, cause=cause, stamp=stamp)
        if bool(self.memory.read(Table.COIL, coil, 1)[0]) == state:
            return
        self.memory.write(Table.COIL, coil, [int(state)])
        effective_ns = self._floor(self._now_ns) + self.plant.link.cycle_ns
        self.trace.record(
            coil=coil,
            valve=valve,
            state=state,
            cause=cause,
            times=(stamp, stamp.after(effective_ns)),
        )
        if valve:
            self._pending.append((effective_ns, valve, state))
            if not state:
                self.timers.cancel(valve)

    def _set_trigger(self, valve: str, *, state: bool, cause: Cause, stamp: Stamp) -> None:
        """See the edge of a trigger, which is in the memory right after."""
        coil = self._coils[valve]
        trigger_is_set = self.timers.is_set(valve)
        if state and not trigger_is_set and not self._tripped:
            begin_ns = self._floor(self._now_ns) + self.plant.link.cycle_ns
            self.timers.pull(valve, begin_ns, stamp)
        elif not state and self.timers.is_running(valve):
            self._set_coil(coil, state=False, cause=cause, stamp=stamp)
        elif not state:
            self.timers.cancel(valve)

    def _timed(self, event: Event) -> None:
        """Do to the valve what its timer says."""
        coil = self._coils[event.valve]
        if bool(self.memory.read(Table.COIL, coil, 1)[0]) == event.state:
            return
        self.memory.write(Table.COIL, coil, [int(event.state)])
        self.trace.record(
            coil=coil,
            valve=event.valve,
            state=event.state,
            cause=Cause.TIMER,
            times=(event.pulled, self._start.after(event.at_ns)),
        )
        self._pending.append((event.at_ns, event.valve, event.state))

    def _trip_ns(self) -> int | None:
        """Return the boundary at which the watchdog trips if nothing arrives before; None while it cannot."""
        heartbeat = self.plant.heartbeat
        if heartbeat is None or self._beat_ns is None or self._tripped:
            return None
        cycle = self.plant.link.cycle_ns
        trip_ns = self._floor(self._beat_ns + heartbeat.timeout_ns + cycle - 1)
        return max(trip_ns, self._boundary_ns)

    def _trip(self, at_ns: int) -> None:
        self._tripped = True
        self._trips += 1
        self.timers.cancel_all()
        effective = self._start.after(at_ns)
        for coil, valve in self._valves.items():
            if self.memory.read(Table.COIL, coil, 1)[0]:
                self.memory.write(Table.COIL, coil, [0])
                self.trace.record(
                    coil=coil,
                    valve=valve,
                    state=False,
                    cause=Cause.WATCHDOG,
                    times=(None, effective),
                )
        self._open.clear()

    def _step_to(self, at_ns: int) -> None:
        inputs = {name: self._value(name) for name in self._reactor.inputs}
        duration_s = (at_ns - self._boundary_ns) / 1e9
        self._reactor.advance(max(0.0, duration_s), inputs, len(self._open))
        self._boundary_ns = max(self._boundary_ns, at_ns)

    def _latch(self) -> None:
        for name, value in (self._reactor.outputs() | self._forced).items():
            self._put(self._parameters[name], value)

    def _floor(self, at_ns: int) -> int:
        cycle = self.plant.link.cycle_ns
        return self._start.at_ns + (at_ns - self._start.at_ns) // cycle * cycle

    def _value(self, name: str) -> float:
        parameter = self._parameters[name]
        return engineering(parameter, self.memory.value(parameter.point))

    def _put(self, parameter: Parameter, value: float) -> None:
        self.memory.put(parameter.point, raw_value(parameter, value))
