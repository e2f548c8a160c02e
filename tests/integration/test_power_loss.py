"""Power lost at any moment of a run: what the gateway wrote and synced is on record, and every disk that may be left serves.

The disks are made from that record: what was synced, and some of all the ways in which the rest may have come to the disk.
"""

import bisect
import contextlib
import dataclasses
import itertools
import sqlite3
import time
from pathlib import Path

import pytest

from ald.gateway.driver.diary import Diary
from ald.gateway.driver.files import read_ledger, read_plant
from ald.gateway.driver.memory import RunMemory
from ald.gateway.front.feed import Feed
from ald.gateway.ring import EVENT, RingRecord
from ald.plant.model import digest
from ald.records.event import (
    Event,
    RunEnded,
    RunOutcome,
    SafeStateReached,
    StepStarted,
    Written,
    decode_event,
)
from ald.wire import FeedRecord
from fixtures import disk
from fixtures.processes import RECIPE, Processes, say, watched
from fixtures.wait import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

CYCLES = 9
MOMENTS_MAX = 120
"""Moments at which power is lost, evenly spread over the operations."""


@dataclasses.dataclass(frozen=True)
class Lived:
    """What is known for certain of a life with one run: times are monotonic ns."""

    uid: str
    plant_digest: str
    records: list[tuple[int, bytes]]
    served: list[tuple[int, int]]
    """When the feed was said to reach so far."""

    def events(self) -> list[Event]:
        return [decode_event(body) for kind, body in self.records if kind == EVENT]

    def served_by(self, at_ns: int) -> int:
        """Return the last position that somebody may have read by then."""
        place = bisect.bisect_right(self.served, (at_ns, 0))
        return self.served[place - 1][1] if place else 0


def live(system: Processes) -> Lived:
    """Start everything, run the recipe once, and end everything."""
    system.driver.start()
    system.front.start()
    system.simulator.start()
    system.operator.idle(within_s=60)
    uid = system.operator.start(RECIPE, cycles=CYCLES)
    served = []
    while True:
        status = system.operator.status()
        served.append((time.monotonic_ns(), status.feed_position))
        run = status.driver.run if status.driver is not None else None
        if run is not None and run.outcome is not None:
            break
        time.sleep(0.02)
    assert run.outcome is RunOutcome.COMPLETED
    ledger = system.state_dir / "runs.bin"
    eventually(lambda: _is_closed(ledger), within_s=10)
    assert system.driver.stop() == 0
    assert system.front.stop() == 0
    with contextlib.closing(sqlite3.connect(system.state_dir / "feed.db")) as feed:
        rows = feed.execute("SELECT kind, body FROM feed ORDER BY position").fetchall()
    return Lived(uid, digest(system.operator.plant), rows, served)


def _is_closed(path: Path) -> bool:
    ledger = read_ledger(path)
    return ledger is not None and ledger.open is None


def check_driver(image: Path, lived: Lived, at_ns: int) -> None:
    """The files of the driver are whole, and say of the run what the plant was told of it."""
    events = lived.events()
    ledger = read_ledger(image / "runs.bin")
    plant = read_plant(image / "plant.bin")
    safe = next(event for event in events if isinstance(event, SafeStateReached))
    if at_ns > safe.at_ns:
        assert plant is not None, "the machine is made safe from this file alone"
        assert digest(plant) == lived.plant_digest
    first = next(e for e in events if isinstance(e, Written) and e.run == lived.uid)
    ended = next(e for e in events if isinstance(e, RunEnded))
    if at_ns > first.sent_ns:
        assert ledger is not None, "the PLC was written to for a run of which nothing is left"
        assert lived.uid in ledger.uids, "it would be started once more"
        is_open = ledger.open is not None and ledger.open.run.uid == lived.uid
        assert is_open or at_ns > ended.at_ns
        if is_open:
            check_reserved(image, lived, at_ns)


def check_reserved(image: Path, lived: Lived, at_ns: int) -> None:
    """The next driver, with nothing but the volume, knows of everything that may have begun."""
    memory = RunMemory(image / "run.state")
    try:
        found = Diary(memory, image / "runs.bin", 0, reserved=image / "reserved.bin").found
    finally:
        memory.close()
    assert found is not None
    made = found.reservation
    assert made is not None
    begun = [e for e in lived.events() if isinstance(e, StepStarted) and e.at_ns < at_ns]
    assert made.is_over or not begun or begun[-1].ordinal <= made.ordinal


def check_front(image: Path, lived: Lived, owner: object, at_ns: int) -> None:
    """The feed opens, has all that anybody can have read, and gives no position twice."""
    served = lived.served_by(at_ns)
    feed = Feed(image / "feed.db", owner)  # type: ignore[arg-type]  # -- an Identity
    try:
        found: list[FeedRecord] = []
        batch = feed.read(0, 5000)
        while batch.records:
            found += batch.records
            batch = feed.read(found[-1].position, 5000)
        assert [each.position for each in found] == [*range(1, len(found) + 1)]
        assert [each.body for each in found] == [body for _, body in lived.records[: len(found)]]
        assert len(found) >= served, f"{served} were served, {len(found)} are left"
        feed.store("new", [RingRecord(1, "s", EVENT, b"")], {}, 0)
        assert feed.marks.latest == len(found) + 1 > served
    finally:
        feed.close()


@pytest.mark.requirement("RC-03")
def test_whatever_is_left_on_the_disk_the_next_gateway_comes_up_with_it(tmp_path, disk_recorder):
    log = tmp_path / "disk.operations"
    with watched(tmp_path, dsn="") as system:
        more = {
            "LD_PRELOAD": str(disk_recorder),
            "DISK_LOG": str(log),
            "DISK_UNDER": str(system.state_dir),
        }
        for part in (system.driver, system.front):
            part.environment.update(more)
        lived = live(system)
    written = list(disk.operations(log))
    step = max(1, len(written) // MOMENTS_MAX)
    present, count = disk.Disk(tmp_path / "state"), 0
    for number, (operation, after) in enumerate(itertools.pairwise(written)):
        present.do(operation)
        if number % step and operation.what not in "rc":
            continue
        # Power is lost right before the next one; what was known by then has to be there.
        for name, image in present.images(seed=number):
            directory = disk.lay_down(image, tmp_path / "image")
            try:
                check_driver(directory, lived, after.at_ns)
                check_front(directory, lived, system.identity, after.at_ns)
            except Exception as error:
                raise AssertionError(f"after {number} {operation.what}, {name}: {error}") from error
            count += 1
    say(f"{len(written)} operations, {count} disks, {len(lived.records)} records")
    assert count > MOMENTS_MAX
