"""The timers of the simulation's PLC, which sees its triggers once a cycle: some time after they were written."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from unit.engine.programs import MS, PLANT

if TYPE_CHECKING:
    from ald.plant.model import Valve
    from unit.engine.simulated_plc import Plc
    from unit.engine.simulation import Simulation


class Timers:
    """Opens and shuts valves by itself; `carried` are the widths of the pulses that it carried out, by valve."""

    def __init__(self, sim: Simulation, plc: Plc) -> None:
        self.sim = sim
        self.plc = plc
        self.carried: dict[str, list[int]] = {}
        self._running: dict[int, int] = {}
        self._number = 0
        self.is_jammed = False
        self._is_deaf = False

    def jam(self) -> None:
        """No pulse ends by itself from now on."""
        if not self.sim.is_calm:
            self.sim.trouble()
            self.is_jammed = True

    def deafen(self) -> None:
        """No trigger is seen from now on."""
        if not self.sim.is_calm:
            self.sim.trouble()
            self._is_deaf = True

    def mend(self) -> None:
        self.is_jammed = self._is_deaf = False

    def switched(self, coil: int, *, is_on: bool) -> None:
        """A coil has changed: a trigger, or that of a valve, which ends its pulse when it is cleared."""
        for valve in self.sim.plant.valves:
            if valve.timed is None:
                continue
            if coil == valve.timed.trigger and is_on:
                seen_ns = self.sim.now + self.sim.rng.randrange(PLANT.link.cycle_ns)
                self.sim.at(seen_ns, partial(self._seen, valve))
            elif coil == valve.timed.trigger:
                self._stop(valve)
            elif coil == valve.coil and not is_on:
                self.cancel(coil)

    def cancel(self, coil: int) -> None:
        """The coil of a valve was cleared: its pulse, if there is one, was not carried out."""
        if self._running.pop(coil, None) is None:
            return
        for valve in self.sim.plant.valves:
            if valve.coil == coil and valve.timed is not None:
                self.plc.coils[valve.timed.trigger] = False

    def _stop(self, valve: Valve) -> None:
        if valve.coil in self._running:
            self.plc.switch(valve.coil, is_open=False)

    def _seen(self, valve: Valve) -> None:
        plc, timed = self.plc, valve.timed
        assert timed is not None
        if self._is_deaf or not plc.coils.get(timed.trigger) or valve.coil in self._running:
            return
        self._number += 1
        number = self._running[valve.coil] = self._number
        plc.coils[timed.done.address] = False
        plc.switch(valve.coil, is_open=True)
        width_ns = plc.words[timed.duration.address] * MS
        self.sim.at(self.sim.now + width_ns, lambda: self._over(valve, number, width_ns))

    def _over(self, valve: Valve, number: int, width_ns: int) -> None:
        plc, timed = self.plc, valve.timed
        if timed is None or self.is_jammed or self._running.get(valve.coil) != number:
            return
        del self._running[valve.coil]
        plc.switch(valve.coil, is_open=False)
        plc.coils[timed.done.address] = True
        plc.coils[timed.trigger] = False
        self.carried.setdefault(valve.name, []).append(width_ns)
