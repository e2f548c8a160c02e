"""The PLC of the simulation: coils, registers and a watchdog, and the rules that must hold at the valves themselves."""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING

from ald.engine.timed import DONE_WITHIN_NS
from unit.engine import simulated_interlocks
from unit.engine.programs import MS, PLANT, S, timed
from unit.engine.simulated_timers import Timers

if TYPE_CHECKING:
    from unit.engine.simulation import Simulation

WIDTH_SLACK_NS = 60 * MS
WIDTH_SLACK_FAULTY_NS = 8 * S
VALVES = {v.coil: v for v in PLANT.valves}
GROUP = {v.coil for v in PLANT.valves if v.name in PLANT.groups[0].valves}
TIMED = ("spare", "vent")
"""Valves that the PLC times, where it times any."""
TRIGGERS = {v.timed.trigger: v for v in timed(PLANT, *TIMED).valves if v.timed is not None}
WIDTHS = {v.timed.duration.address: v for v in TRIGGERS.values() if v.timed is not None}
assert PLANT.heartbeat is not None
BEAT = PLANT.heartbeat.address
STUCK_NS = 1 * S
"""Scans show within this time that nothing flows, and what they showed before is trusted no more."""
ROBBED_NS = 700 * MS
"""A valve shut by the PLC for this long in mid-pulse is seen by a scan."""


class Plc:
    """Coils, registers, a watchdog, and the rules that hold at the valves themselves."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.coils: dict[int, bool] = {}
        self.words = dict.fromkeys(range(2000), 0)
        self.opened_ns: dict[int, int] = {}
        self.opens: Counter[str] = Counter()
        self.last_open: int | None = None
        self.purged_ns = 0
        self.purging_since: int | None = None
        self.beat_ns = 0
        # Since when the flow controller lets nothing through, and when a valve of the group was last open.
        self.stuck_ns: int | None = None
        self.closed_ns = 0
        # Valves that somebody else has opened, and those that somebody else has shut in mid-pulse, each with when.
        self.strange_ns: dict[int, int] = {}
        self.robbed_ns: dict[int, int] = {}
        self.hot_ns: int | None = None
        self.timers = Timers(sim, self)

    def serve(self, pdu: bytes) -> bytes:
        function, address, count = struct.unpack_from(">BHH", pdu)
        if function in (1, 2):
            bits = sum(self.coils.get(address + i, False) << i for i in range(count))
            data = bits.to_bytes((count + 7) // 8, "little")
            return bytes((function, len(data))) + data
        if function in (3, 4):
            # The feedback of the flow follows its set point at once.
            shift = 0 if function == 3 else 1000
            flow = (0, 0) if self.stuck_ns is not None else (self.words[10], self.words[11])
            self.words[1010], self.words[1011] = flow
            words = [self.words[address + i + shift] for i in range(count)]
            return struct.pack(f">BB{count}H", function, 2 * count, *words)
        if function == 5:
            self.switch(address, is_open=count == 0xFF00)
        elif function == 15:
            mask = int.from_bytes(pdu[6:], "little")
            for index in range(count):
                self.switch(address + index, is_open=bool(mask >> index & 1))
        elif function == 6:
            self.store(address, (count,))
        elif function == 16:
            self.store(address, struct.unpack_from(f">{count}H", pdu, 6))
        return pdu[:5]

    def store(self, address: int, words: tuple[int, ...]) -> None:
        for index, word in enumerate(words):
            self.words[address + index] = word
        assert PLANT.heartbeat is not None
        if address == BEAT:
            self.beat_ns = self.sim.now
            self.sim.at(self.sim.now + PLANT.heartbeat.timeout_ns + 1, self.watch)
        high, low = self.words[11], self.words[10]
        rate = struct.unpack(">f", struct.pack(">HH", high, low))[0]
        self._purging(is_on=rate >= PLANT.groups[0].minimum_flow)

    def _purging(self, *, is_on: bool) -> None:
        if self.purging_since is not None:
            self.purged_ns += self.sim.now - self.purging_since
        self.purging_since = self.sim.now if is_on else None

    def watch(self) -> None:
        """Shut all valves when nobody lives."""
        assert PLANT.heartbeat is not None
        if self.sim.now - self.beat_ns > PLANT.heartbeat.timeout_ns:
            for coil in VALVES:
                self.switch(coil, is_open=False)

    def meddle(self, coil: int) -> None:
        """Somebody moves a valve by hand."""
        is_open = not self.coils.get(coil, False)
        self.coils[coil] = is_open
        if is_open:
            self.strange_ns[coil] = self.sim.now
            self.robbed_ns.pop(coil, None)
        elif self.strange_ns.pop(coil, None) is None:
            self.timers.cancel(coil)
            del self.opened_ns[coil]
            self.robbed_ns[coil] = self.sim.now

    def stick(self) -> None:
        """The flow controller lets nothing through, whatever it is told."""
        if not self.sim.is_calm:
            self.stuck_ns = self.sim.now

    def tidy_up(self) -> None:
        """Whoever opened valves by hand shuts them, and the gas flows again."""
        self.stuck_ns = None
        simulated_interlocks.cool(self.sim)
        self.timers.mend()
        for coil in list(self.strange_ns):
            self.meddle(coil)

    def switch(self, coil: int, *, is_open: bool) -> None:
        was = self.coils.get(coil, False)
        self.coils[coil] = is_open
        if was is not is_open:
            self.timers.switched(coil, is_on=is_open)
        robbed_ns = self.robbed_ns.pop(coil, self.sim.now)
        calm_ns = max(self.sim.troubled_ns, self.sim.rules.connected_ns)
        is_long = calm_ns < robbed_ns <= self.sim.now - ROBBED_NS
        self.sim.require(not is_long, f"coil {coil} was shut in mid-pulse, and the pulse went on")
        if is_open and was and coil in VALVES and self.strange_ns.pop(coil, None) is not None:
            # Open by hand already, it is the pulse's from here on: nobody could tell the two apart.
            self._opened(coil)
            return
        if coil not in VALVES or was == is_open or self.strange_ns.pop(coil, None) is not None:
            return
        if is_open:
            self._opened(coil)
        else:
            self._closed(coil)

    def _opened(self, coil: int) -> None:
        sim, name = self.sim, VALVES[coil].name
        self.opened_ns[coil] = sim.now
        self.opens[name] += 1
        recorded = sim.rules.openings[name]
        sim.require(self.opens[name] <= recorded, f"{name} opened without a record of it")
        simulated_interlocks.opened(sim, name)
        if coil not in GROUP:
            return
        others = [VALVES[c].name for c in GROUP if c != coil and c in self.opened_ns]
        sim.require(not others, f"{name} opened while {others} is open")
        self._purging(is_on=self.purging_since is not None)
        if self.last_open != coil:
            if self.stuck_ns is not None and self.stuck_ns <= self.closed_ns:
                dry_ns = sim.now - self.closed_ns
                sim.require(dry_ns < STUCK_NS, f"{name} opened, and nothing flowed before")
            sim.require(
                self.purged_ns >= PLANT.groups[0].minimum_purge_ns,
                f"{name} opened after a purge of {self.purged_ns} ns only",
            )
        self.last_open = coil
        self.purged_ns = 0

    def _closed(self, coil: int) -> None:
        sim, began = self.sim, self.opened_ns.pop(coil)
        if coil in GROUP:
            self.closed_ns = sim.now
            self._purging(is_on=self.purging_since is not None)
            self.purged_ns = 0
        calm = sim.troubled_ns < began - 2 * S
        slack = WIDTH_SLACK_NS + 2 * sim.slow_ns if calm else WIDTH_SLACK_FAULTY_NS
        if self.timers.is_jammed:
            # Its timer is out of order, which looks at it tell.
            slack += DONE_WITHIN_NS + WIDTH_SLACK_NS + 2 * sim.slow_ns
        limit = sim.widest_ns[VALVES[coil].name] + slack
        sim.require(
            sim.now - began <= limit, f"{VALVES[coil].name} was open for {sim.now - began} ns"
        )
