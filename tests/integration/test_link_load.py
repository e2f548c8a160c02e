"""Many that ask and write on the one link, and connections that come and go: nothing torn, nothing lost, nothing left over."""

import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ald.plant.model import Table
from ald.plc import codec
from ald.plc.link import Lane
from ald.plc.request import ReadRegisters, WriteRegisters
from fixtures.wait import eventually
from integration.link_loop import Loop, loop

pytestmark = pytest.mark.integration

PLACE = 3000
WORDS = 4
"""A float64, or any other value that could be torn."""

PATIENCE_S = 30.0


class Reader:
    """Reads one value again and again; each has to be whole, and never older than the one before."""

    def __init__(self, place=PLACE):
        self.request = ReadRegisters(Table.HOLDING, place, WORDS)
        self.seen = 0

    def take(self, completion):
        assert completion.ok, completion.error
        words = set(codec.words(completion.data))
        assert len(words) == 1, f"torn: {words}"
        assert words >= {max(self.seen, *words)}, f"{words} after {self.seen}"
        self.seen = max(words)


class Writer:
    """Writes numbers that grow, each into every word of the value."""

    def __init__(self, place=PLACE):
        self.place = place
        self.number = 0

    @property
    def request(self):
        self.number += 1
        return WriteRegisters(self.place, (self.number,) * WORDS)

    def take(self, completion):
        assert completion.ok, completion.error


def work(driver, askers, *, each, a_second):
    """Let every asker ask `each` times, together `a_second` times a second or as fast as this computer can."""
    due = [asker for _ in range(each) for asker in random.Random(1).sample(askers, len(askers))]
    open_: dict[int, Reader | Writer] = {}
    began = time.monotonic()
    deadline = began + len(due) / a_second + PATIENCE_S
    asked = 0
    while asked < len(due) or open_:
        assert time.monotonic() < deadline, driver.link.message
        while asked < len(due) and time.monotonic() >= began + asked / a_second:
            asker = due[asked]
            open_[driver.ask(asker.request, Lane.COMMAND)] = asker
            asked += 1
        driver.turn(0.002)
        for token in sorted(open_.keys() & driver.done.keys()):
            open_.pop(token).take(driver.done.pop(token))


@pytest.mark.parametrize(
    ("readers", "a_second"),
    [
        pytest.param(3, 30, marks=pytest.mark.requirement("PLC-CA-01")),
        pytest.param(10, 500, marks=pytest.mark.requirement("PLC-CA-02")),
    ],
)
def test_readers_see_whole_values_while_one_writes(simulator, readers, a_second):
    askers = [Writer(), *(Reader() for _ in range(readers))]
    with loop(simulator.port, timeout_s=PATIENCE_S, window=4) as driver:
        driver.up()
        work(driver, askers, each=40, a_second=a_second)
        assert driver.link.counters.reconnects == 0


@pytest.mark.requirement("PLC-CA-03")
def test_readers_and_writers_do_not_disturb_one_another(simulator):
    places = [PLACE + 10 * n for n in range(5)]
    writers = [Writer(place) for place in places]
    with loop(simulator.port, timeout_s=PATIENCE_S, window=8) as driver:
        driver.up()
        work(driver, [*writers, *(Reader(place) for place in places)], each=30, a_second=100)
    written = [w for w in simulator.writes() if len(w["values"]) == WORDS]
    for place in places:
        values = [w["values"][0] for w in written if w["address"] == place]
        assert values == [*range(1, 31)], "each once, in order"


@pytest.mark.requirement("INT-06")
@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_a_value_that_is_read_and_written_is_never_torn(simulator, one_at_a_time):
    simulator.faults(delay_ms=1, jitter_ms=3, one_at_a_time=one_at_a_time)
    with loop(simulator.port, timeout_s=PATIENCE_S, window=8) as driver:
        driver.up()
        work(driver, [Writer(), Reader(), Reader()], each=100, a_second=1000)


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.requirement("PLC-CA-04")
def test_connections_that_come_and_go_leave_nothing_behind(simulator):
    with loop(simulator.port) as driver:
        driver.up()
    before = descriptors(), threading.active_count()
    for turn in range(20):
        host = "localhost" if turn % 2 else "127.0.0.1"
        with loop(simulator.port, host=host, timeout_s=PATIENCE_S) as driver:
            driver.up()
            if turn % 3:
                assert driver.result(ReadRegisters(Table.HOLDING, PLACE, 2)).ok
    # The thread of the last lookup may still be about to end.
    eventually(lambda: (descriptors(), threading.active_count()) == before, within_s=10)
    eventually(lambda: simulator.state()["connections"]["open"] == 0, within_s=10)


def is_served(driver: Loop) -> bool:
    """Tell whether a read comes through; what was lost on the way is asked anew."""
    if not driver.link.connected:
        driver.turn()
        return False
    token = driver.ask(ReadRegisters(Table.HOLDING, PLACE, 2), Lane.SAFE)
    driver.until(lambda: token in driver.done, within_s=PATIENCE_S)
    return bool(driver.done.pop(token).ok)


@pytest.mark.parametrize(
    ("restarts", "pause_s"),
    [
        pytest.param(10, 0.3, marks=pytest.mark.requirement("PLC-CS-01")),
        pytest.param(50, 0.05, marks=pytest.mark.requirement("PLC-CS-02")),
    ],
)
def test_after_each_restart_the_connection_is_back_at_the_first_try(simulator, restarts, pause_s):
    with loop(simulator.port, timeout_s=PATIENCE_S) as driver:
        for _ in range(restarts):
            driver.until(lambda: is_served(driver), within_s=PATIENCE_S)
            connects = driver.link.counters.connects
            simulator.faults(drop=True)
            driver.until(lambda before=connects: driver.link.counters.connects > before)
            until = time.monotonic() + pause_s
            while time.monotonic() < until:
                driver.turn(0.01)
        driver.until(lambda: is_served(driver), within_s=PATIENCE_S)
        assert driver.link.counters.failed_connects == 0
        assert driver.link.counters.reconnects == restarts
    eventually(lambda: simulator.state()["connections"]["open"] == 0, within_s=10)


@pytest.mark.requirement("PLC-CS-03")
def test_ten_restarts_at_once_end_in_a_connection_that_serves(simulator):
    with loop(simulator.port, timeout_s=PATIENCE_S, window=4) as driver:
        driver.up()
        tokens = {driver.ask(WriteRegisters(PLACE, (n,) * WORDS)) for n in range(20)}
        driver.turn(0)
        for _ in range(10):
            simulator.faults(drop=True)
            driver.turn(0)
        driver.until(lambda: driver.done.keys() >= tokens, within_s=PATIENCE_S)
        driver.until(lambda: is_served(driver), within_s=PATIENCE_S)
        eventually(lambda: simulator.state()["connections"]["open"] == 1, within_s=10)


@pytest.mark.requirement("PLC-CS-04")
def test_twenty_restarts_with_failures_end_in_a_connection_that_serves(simulator):
    kinds: list[dict[str, Any]] = [
        {"refuse": True},
        {"hang_up": True},
        {"freeze": True},
        {"spoil": "garbage"},
    ]
    calm = {"refuse": False, "hang_up": False, "freeze": False, "spoil": ""}
    with loop(simulator.port, timeout_s=0.2, window=2) as driver:
        driver.up()
        for turn in range(20):
            simulator.faults(drop=True, **kinds[turn % len(kinds)])
            tokens = {driver.ask(ReadRegisters(Table.HOLDING, PLACE, 2)) for _ in range(3)}
            until = time.monotonic() + 0.1
            while time.monotonic() < until:
                driver.turn(0.01)
            simulator.faults(**calm)
            driver.until(lambda wanted=tokens: driver.done.keys() >= wanted, within_s=PATIENCE_S)
        driver.until(lambda: is_served(driver), within_s=PATIENCE_S)
        assert driver.link.counters.connects > 1
        eventually(lambda: simulator.state()["connections"]["open"] == 1, within_s=10)
