"""The pulse timers of the simulated PLC: what `ald.plant.timed_pulse` says of the PLC, in its cycles."""

from collections.abc import Iterator

import msgspec

from ald.plant.model import Plant, Table, TimedPulse
from ald.plant.words import raw_of_words
from ald.simulator.memory import Memory
from ald.simulator.trace import Stamp


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A timer opens or shuts its valve at a boundary; `pulled` is when its trigger was written, for an opening."""

    at_ns: int
    valve: str
    state: bool
    pulled: Stamp | None


class _Running(msgspec.Struct, frozen=True):
    end_ns: int


class _Armed(msgspec.Struct, frozen=True):
    """The trigger is set, and the next cycle will see it."""

    begin_ns: int
    pulled: Stamp


class Timers:
    """One timer for each valve that declares one.

    Attributes:
        is_deaf: triggers are left alone: a fault.
        is_stuck: no pulse ends by itself: a fault.
    """

    def __init__(self, plant: Plant, memory: Memory) -> None:
        self._memory = memory
        self._cycle_ns = plant.link.cycle_ns
        self._timed = {v.name: v.timed for v in plant.valves if v.timed is not None}
        self._triggers = {timed.trigger: name for name, timed in self._timed.items()}
        self._states: dict[str, _Armed | _Running] = {}
        self.is_deaf = False
        self.is_stuck = False

    def valve_of(self, coil: int) -> str | None:
        """Return the valve of which this coil is the trigger."""
        return self._triggers.get(coil)

    def is_set(self, valve: str) -> bool:
        """Tell whether the valve's trigger is 1."""
        return bool(self._memory.read(Table.COIL, self._timed[valve].trigger, 1)[0])

    def is_running(self, valve: str) -> bool:
        """Tell whether a timer has the valve open."""
        return isinstance(self._states.get(valve), _Running)

    def pull(self, valve: str, begin_ns: int, pulled: Stamp) -> None:
        """The trigger was set: the cycle that begins at `begin_ns` sees it."""
        if not self.is_deaf and valve not in self._states:
            self._states[valve] = _Armed(begin_ns, pulled)

    def cancel(self, valve: str) -> None:
        """The trigger or the coil was cleared, or the watchdog tripped: the pulse is over and was not carried out."""
        if self._states.pop(valve, None) is not None:
            self._memory.write(Table.COIL, self._timed[valve].trigger, [0])

    def cancel_all(self) -> None:
        """Cancel whatever is under way."""
        for valve in list(self._states):
            self.cancel(valve)

    def due(self, from_ns: int, until_ns: int) -> Iterator[Event]:
        """Yield what happens up to `until_ns`, in order, and change the memory as it does."""
        while (found := self._next(from_ns, until_ns)) is not None:
            yield self._happen(*found)

    def _next(self, from_ns: int, until_ns: int) -> tuple[int, str] | None:
        times = [
            (max(from_ns, each.begin_ns if isinstance(each, _Armed) else each.end_ns), valve)
            for valve, each in self._states.items()
            if isinstance(each, _Armed) or not self.is_stuck
        ]
        found = min(times, default=None)
        return found if found is not None and found[0] <= until_ns else None

    def _happen(self, at_ns: int, valve: str) -> Event:
        timed, state = self._timed[valve], self._states.pop(valve)
        if isinstance(state, _Armed):
            cycles = -(-self._width_ns(timed) // self._cycle_ns)
            self._states[valve] = _Running(at_ns + cycles * self._cycle_ns)
            self._memory.put(timed.done, 0)
            return Event(at_ns=at_ns, valve=valve, state=True, pulled=state.pulled)
        self._memory.put(timed.done, 1)
        self._memory.write(Table.COIL, timed.trigger, [0])
        return Event(at_ns=at_ns, valve=valve, state=False, pulled=None)

    def _width_ns(self, timed: TimedPulse) -> int:
        point = timed.duration
        words = tuple(self._memory.read(point.table, point.address, point.type.words))
        return int(raw_of_words(words, point.type, point.order)) * timed.resolution_ns
