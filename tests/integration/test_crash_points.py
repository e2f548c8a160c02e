"""Driver and front killed by themselves, before and after everything that they write, in the middle of a run.

The driver: one small recipe, and one life for every place where it can die. The simulated PLC is the witness of what was done.
"""

import contextlib
import dataclasses
import itertools
import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ald.gateway.driver.files import read_ledger
from ald.gateway.ring import EVENT, RingReader, RingRecord, RingWriter
from ald.plant.model import Plant
from ald.program import model as program
from ald.records.event import (
    Event,
    MachineState,
    PulseDone,
    RunEnded,
    RunOutcome,
    RunStarted,
    SessionStarted,
    StepEnded,
    StepStarted,
    WriteOutcome,
    decode_event,
)
from fixtures.driver_process import Driver, plant_of
from fixtures.processes import RECIPE, say, watched
from fixtures.run_order import order_of
from fixtures.simulator import Simulator, machine
from fixtures.wait import eventually
from integration.driver_runs import MS, idle, purge, valve

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

DOOMED = Path(__file__).parents[1] / "fixtures" / "doomed.py"
BENCHES = 3
"""Machines at work side by side."""

SHUT_NS_MAX = 2_000 * MS

HEATER = 2000
"""The register that the recipe sets once a cycle."""

CYCLES = 2
CYCLE = (
    program.Set(path="p", name="heat", parameter="chamber-heater.temperature-set", value=50.0),
    purge(130),
    valve("tma", 30),
    purge(130),
    valve("water", 20),
)
PROGRAM = (
    program.Loop(path="p", name="loop", count=CYCLES, depth=0, end=len(CYCLE) + 1),
    *CYCLE,
    program.EndLoop(begin=0),
    purge(130),
)
LEAVES = (*CYCLE * CYCLES, PROGRAM[-1])

NUMBERS_MAX = {"scan": 2, "beat": 1, "memory": 12}
"""How often to die at places that come again and again without anything new; at all others as often as the recipe has them."""

PLACES = (
    *("ledger-before", "ledger-synced", "ledger-after"),
    *("write-before", "write-left", "write-after", "record-before", "record-after"),
    *("memory-before", "memory-after", "scan-before", "scan-after", "beat-before", "beat-after"),
)
MACHINE = machine(
    scan={"period": "50ms"},
    exclusionGroups=[
        {
            "name": "precursors",
            "valves": ["tma", "water"],
            "purgeGases": ["N2"],
            "minimumPurge": {"duration": "100ms", "flow": 15},
        }
    ],
)


@dataclasses.dataclass
class Bench:
    """A driver that dies as planned, its PLC, and the plan."""

    driver: Driver
    simulator: Simulator
    plant: Plant
    plan: Path
    slowest_ns: int = 0
    """Longest time from a kill until the last valve was shut."""

    @property
    def done(self) -> Path:
        return self.plan.with_name(self.plan.name + ".done")

    def life(self, place: str, number: int) -> bool:
        """Run once, killed there; tell whether that place was come to so often."""
        driver, uid = self.driver, str(uuid.uuid4())
        idle(driver)
        self.simulator.reset_trace()
        self.done.unlink(missing_ok=True)
        self.plan.write_text(f"{place} {number}")
        before = len(driver.drain().events)
        sessions = len(driver.of(SessionStarted))
        # Killed before it could answer, it hangs up.
        with contextlib.suppress(OSError):
            error = driver.run(order_of(self.plant, PROGRAM, len(LEAVES), uid=uid)).error
            assert error is None, error
        eventually(lambda: self.done.exists() or bool(self._ends(uid, before)), within_s=20)
        if not self.done.exists():
            # It may still be on its way to the file of runs; once it answers after that, it has gone past every place.
            eventually(lambda: self.done.exists() or self._is_written(uid), within_s=10)
            with contextlib.suppress(OSError):
                driver.status()
        was_killed = self.done.exists()
        if was_killed:
            driver.hang_up()
            driver.wait_for(SessionStarted, sessions + 1, within_s=20)
            eventually(driver.answers, within_s=20)
            driver.reaches(MachineState.STOPPED)
            assert driver.load(self.plant).error is None
        self.plan.unlink(missing_ok=True)
        events = driver.drain().events[before:]
        self.judge(uid, events, int(self.done.read_text()) if was_killed else 0)
        return was_killed

    def judge(self, uid: str, events: list[Event], killed_ns: int) -> None:
        """What the PLC saw must be what is on record, and the record must say exactly how far the run had come."""
        edges = [edge for edge in self.simulator.trace() if edge["valve"]]
        opened = [edge["valve"] for edge in edges if edge["state"]]
        heated = [w for w in self.simulator.writes() if w["address"] == HEATER]
        assert self.simulator.overlaps() == []
        assert self.simulator.state()["open_valves"] == []
        if killed_ns:
            shut = [edge["effective_ns"] for edge in edges if not edge["state"]]
            self.slowest_ns = max(self.slowest_ns, *(at_ns - killed_ns for at_ns in shut), 0)
            assert self.slowest_ns < SHUT_NS_MAX
        mine = [event for event in events if getattr(event, "run", "") == uid]
        if not any(isinstance(e, RunStarted) and e.run.uid == uid for e in events):
            assert (opened, heated, mine) == ([], [], []), "it never was"
            return
        (ended,) = (event for event in mine if isinstance(event, RunEnded))
        begun = [event.ordinal for event in mine if isinstance(event, StepStarted)]
        whole = [e.ordinal for e in mine if isinstance(e, StepEnded) and not e.error]
        pulses = [event for event in mine if isinstance(event, PulseDone)]
        sure = [pulse for pulse in pulses if pulse.outcome is WriteOutcome.CONFIRMED]
        assert begun == [*range(1, len(begun) + 1)], "every step once, in order"
        assert whole == begun[: len(whole)]
        assert len(begun) - len(whole) <= 1
        status = self.driver.status().run
        assert status is not None
        assert status.outcome is ended.outcome
        assert status.leaves_done == ended.leaves_done == len(whole)
        assert ended.pulses == len(pulses)
        # What is done for certain is at the PLC, once; of the step under way it may be there or not.
        certain = [leaf.valve for leaf in LEAVES[: len(whole)] if isinstance(leaf, program.Pulse)]
        possible = [leaf.valve for leaf in LEAVES[: len(begun)] if isinstance(leaf, program.Pulse)]
        assert opened in (certain, possible)
        assert [pulse.valve for pulse in pulses] in (certain, possible)
        assert len(sure) <= len(opened) <= len(pulses)
        sets = [
            sum(isinstance(leaf, program.Set) for leaf in LEAVES[:n])
            for n in (len(whole), len(begun))
        ]
        assert sets[0] <= len(heated) <= sets[1]
        if ended.outcome is RunOutcome.COMPLETED:
            assert (len(whole), len(sure)) == (len(LEAVES), 2 * CYCLES)
            return
        assert killed_ns
        assert ended.outcome is RunOutcome.GATEWAY_RESTARTED
        name = LEAVES[len(begun) - 1].name if begun else ""
        assert f"the last step begun was number {len(begun)}, {name}" in ended.message
        assert status.step == name

    def _ends(self, uid: str, before: int) -> list[Event]:
        found = self.driver.drain().events[before:]
        return [event for event in found if isinstance(event, RunEnded) and event.run == uid]

    def _is_written(self, uid: str) -> bool:
        ledger = read_ledger(self.driver.directory / "state" / "runs.bin")
        return ledger is not None and ledger.open is None and uid in ledger.uids


def explore(bench: Bench, places: list[str], lived: dict[str, int]) -> None:
    """Take places as long as there are some; die at each once more until the recipe does not come to it any more."""
    while places:
        place = places.pop(0)
        for number in range(NUMBERS_MAX.get(place.split("-")[0], 1000)):
            try:
                was_killed = bench.life(place, number)
            except (AssertionError, OSError) as error:
                raise AssertionError(f"{place} {number}: {error}") from error
            if not was_killed:
                break
            lived[place] = number + 1


@pytest.mark.serial
@pytest.mark.requirement("RC-03")
def test_wherever_it_dies_the_next_one_makes_it_safe_and_knows_exactly_what_was_done(
    start_simulator, start_driver, tmp_path
):
    benches = []
    for number in range(BENCHES):
        simulator = start_simulator(MACHINE)
        plan = tmp_path / f"plan-{number}"
        driver = start_driver(f"driver-{number}", program=(DOOMED, plan, "driver"))
        plant = plant_of(simulator.machine_file, simulator.port)
        assert driver.load(plant).error is None
        benches.append(Bench(driver, simulator, plant, plan))
    places, lived = [*PLACES], dict[str, int]()
    with ThreadPoolExecutor(BENCHES) as pool:
        for found in [pool.submit(explore, bench, places, lived) for bench in benches]:
            found.result()
    slowest_ms = max(bench.slowest_ns for bench in benches) // MS
    say(
        f"{sum(lived.values())} kills: {lived}; the valves shut {slowest_ms} ms after one at the latest"
    )
    assert set(lived) == set(PLACES)
    assert lived["write-before"] == lived["write-after"] >= 5 * CYCLES
    assert lived["record-before"] == lived["record-after"] >= 5 * CYCLES


FRONT_PLACES = ("commit-before", "commit-after", "ack-before", "ack-after")
FRONT_LIVES = 4
"""Lives for each place: it dies when it comes there for the first time, for the second, and so on."""

RING_BYTES = 64 * 1024 * 1024

FRONT_CYCLES = 30
"""Of a recipe that takes 20 s."""


@pytest.mark.requirement("INT-04")
def test_wherever_the_front_dies_the_run_goes_on_and_the_record_is_whole(tmp_path):
    plan = tmp_path / "plan"
    done = tmp_path / "plan.done"
    recorded: list[RingRecord] = []
    with watched(tmp_path, dsn="") as system, contextlib.ExitStack() as stack:
        system.front.program = (DOOMED, plan, "front")
        # As large as it will be, so that no other takes its place: it is read beside the front, without acknowledging.
        RingWriter(tmp_path / "run" / "ring", RING_BYTES, "before").close()
        ring = stack.enter_context(contextlib.closing(RingReader(tmp_path / "run" / "ring")))
        system.driver.start()
        system.front.start()
        system.simulator.start()
        system.operator.idle(within_s=60)
        system.simulator.reset_trace()
        uid = system.operator.start(RECIPE, cycles=FRONT_CYCLES)
        system.front.kill()
        for place, number in itertools.product(FRONT_PLACES, range(FRONT_LIVES)):
            plan.write_text(f"{place} {number}")
            system.front.start()
            eventually(done.exists, within_s=30)
            eventually(lambda: system.front.has_died, within_s=10)
            system.front.stop()
            done.unlink()
            recorded += ring.read(10_000)
        system.front.start()
        run = system.operator.ended(uid, within_s=60)
        assert run.outcome is RunOutcome.COMPLETED, run.message
        opened = [e["valve"] for e in system.simulator.trace() if e["valve"] and e["state"]]
        assert opened == ["tma", "water"] * FRONT_CYCLES
        assert system.driver.stop() == 0
        assert system.front.stop() == 0
        recorded += ring.read(10_000)
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / "feed.db")) as feed:
        rows = feed.execute("SELECT position, ring_sequence, kind, body FROM feed").fetchall()
    assert [row[0] for row in rows] == [*range(1, len(rows) + 1)], "no gap, and nothing twice"
    assert [each.sequence for each in recorded] == [*range(1, len(recorded) + 1)]
    assert [row[1:] for row in rows] == [(e.sequence, e.kind, e.payload) for e in recorded]
    says = [decode_event(each.payload) for each in recorded if each.kind == EVENT]
    pulses = [event.valve for event in says if isinstance(event, PulseDone)]
    assert pulses == opened
