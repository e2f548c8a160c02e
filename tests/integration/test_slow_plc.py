"""A driver whose PLC is slow, uneven or away for a while: late scans and no wrong value; and writes that take longer than their time.

What takes minutes or an hour in the field takes seconds here: nothing in the link counts longer than its cap of a second.
"""

import contextlib
import itertools
import random
import socket
import threading
import time
from array import array

import pytest
from msgspec.structs import replace

from ald.errors import LinkTimeoutError
from ald.plant.model import Table, digest, signals
from ald.plc import codec
from ald.plc.link import Lane
from ald.plc.request import ReadRegisters, WriteRegisters
from ald.records.event import LinkChanged, MachineState
from ald.records.scan import Quality
from fixtures.driver_process import plant_of
from fixtures.sockets import close_server
from fixtures.wait import eventually
from integration.link_loop import loop

pytestmark = pytest.mark.integration

MS = 1_000_000
PLACE = 3000
HELD = {"pressure-gauge-1.pressure-read": 4321.0, "mfc-1.flow-read": 77.0}
"""What the simulator is told to show: anything else in a good place is a wrong value."""


@pytest.fixture
def driver(simulator, start_driver):
    """A driver of the small reactor, idle, with a time-out that no delay here reaches."""
    simulator.force(**HELD)
    made = start_driver()
    plant = plant_of(simulator.machine_file, simulator.port)
    # Without a heartbeat, which would take its turns on a link that is slow enough.
    link = replace(plant.link, timeout_ns=10_000 * MS)
    made.plant = replace(plant, link=link, heartbeat=None)
    made.load(made.plant)
    made.reaches(MachineState.IDLE)
    eventually(lambda: made.status().scan.sequence > 0, within_s=10)
    return made


def check_values(driver, scans):
    names = [signal.name for signal in signals(driver.plant)]
    for scan in scans:
        row = dict(
            zip(names, zip(array("d", scan.values), scan.qualities, strict=True), strict=True)
        )
        for name, value in HELD.items():
            assert row[name] == (value, Quality.GOOD)


def check_grid(driver, scans):
    """Each scan stands at a place of its own on the grid, and the record says how late it came."""
    period_ns = driver.plant.scan_period_ns
    places = [scan.started_ns - scan.late_ns for scan in scans]
    steps = [after - before for before, after in itertools.pairwise(places)]
    assert all(step > 0 and step % period_ns == 0 for step in steps), steps
    return sum(step // period_ns - 1 for step in steps)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param({"delay_ms": 1000}, marks=pytest.mark.requirement("FI-NL-01")),
        pytest.param(
            {"delay_ms": 100, "jitter_ms": 900}, marks=pytest.mark.requirement("FI-NL-03")
        ),
        pytest.param(
            {"delay_ms": 500, "one_at_a_time": True}, marks=pytest.mark.requirement("FI-NL-04")
        ),
    ],
    ids=str,
)
def test_a_slow_link_gives_fewer_scans_each_on_the_grid_and_no_wrong_value(
    simulator, driver, faults
):
    simulator.faults(**faults)
    driver.drain()
    before, missed = len(driver.scans), driver.status().scan.missed
    eventually(lambda: len(driver.drain().scans) >= before + 3, within_s=60)
    scans = driver.scans[before:]
    check_values(driver, scans)
    assert check_grid(driver, scans) > 0, "scans were left out"
    assert driver.status().scan.missed > missed, "and that is told"
    assert driver.status().link.reconnects == 0


class Narrow:
    """A way to the PLC with little bandwidth and long delays, on which packets are lost.

    Loss is what TCP makes of it: nothing arrives for the time of a retransmission, and then all of it, in order.
    """

    BYTES_A_SECOND = 500
    DELAY_S = 0.05
    LOSS = 0.1
    RETRANSMISSION_S = 0.3
    PIECE_BYTES = 16

    def __init__(self, port):
        self._target = ("127.0.0.1", port)
        self._random = random.Random(5)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = []
        self.port = self._listener.getsockname()[1]
        self.lost = 0
        self._serving = threading.Thread(target=self._serve, daemon=True)
        self._serving.start()

    def close(self):
        close_server(self._listener, self._serving, self._open)

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._open.append(near)
                far = socket.create_connection(self._target)
                self._open.append(far)
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(self.PIECE_BYTES):
                is_lost = self._random.random() < self.LOSS
                self.lost += is_lost
                time.sleep(
                    self.DELAY_S + len(data) / self.BYTES_A_SECOND + is_lost * self.RETRANSMISSION_S
                )
                target.sendall(data)
            target.close()


@pytest.mark.requirement("FI-NL-05")
def test_on_a_narrow_link_with_loss_scans_leave_out_places_of_the_grid_and_say_so(
    simulator, driver
):
    way = Narrow(simulator.port)
    link = replace(driver.plant.link, port=way.port)
    driver.plant = replace(driver.plant, link=link, generation=2)
    assert driver.load(driver.plant).error is None
    before, missed = len(driver.drain().scans), driver.status().scan.missed
    eventually(lambda: len(driver.drain().scans) >= before + 4 and way.lost > 0, within_s=60)
    scans = [scan for scan in driver.scans[before:] if scan.plant_digest == digest(driver.plant)]
    check_values(driver, scans)
    assert check_grid(driver, scans) > 0, "scans were left out"
    assert driver.status().scan.missed > missed, "and that is told"
    assert driver.status().link.reconnects == 0
    way.close()


@pytest.mark.requirement("FI-RD-01")
def test_a_plc_that_was_away_is_back_as_soon_as_it_answers(simulator, driver):
    simulator.faults(refuse=True, drop=True)
    eventually(lambda: not driver.status().link.connected, within_s=10)
    # Tries come no further apart the longer it is away.
    tries = driver.status().link.failed_connects
    eventually(lambda: driver.status().link.failed_connects >= tries + 8, within_s=60)
    simulator.faults(refuse=False)
    back = time.monotonic()
    eventually(lambda: driver.status().link.connected, within_s=30)
    driver.reaches(MachineState.IDLE, within_s=30)
    assert time.monotonic() - back < 30
    begun = len(driver.drain().scans)
    eventually(lambda: len(driver.drain().scans) > begun, within_s=30)
    check_values(driver, driver.scans[begun:])
    assert [change.connected for change in driver.of(LinkChanged)][-2:] == [False, True]


@pytest.mark.requirement("INT-05")
def test_ten_restarts_of_the_gateway_leave_one_connection_and_nothing_stuck(simulator, driver):
    for _ in range(10):
        session = driver.status().session
        driver.kill_executor()
        eventually(driver.answers, within_s=20)
        # As the operator does for every session.
        driver.load(driver.plant)
        driver.reaches(MachineState.IDLE, within_s=20)
        assert driver.status().session != session
    eventually(lambda: simulator.state()["connections"]["open"] == 1, within_s=10)
    assert simulator.state()["connections"]["peak"] == 1, "never a second one beside it"
    before = len(driver.drain().scans)
    eventually(lambda: len(driver.drain().scans) > before, within_s=10)
    check_values(driver, driver.scans[before:])


@pytest.mark.requirement("FI-PD-02")
def test_a_write_that_takes_longer_than_its_time_is_unknown_and_done_once(simulator):
    with loop(simulator.port, timeout_s=0.4) as link:
        link.up()
        simulator.faults(delay_ms=2000)
        done = link.result(WriteRegisters(PLACE, (1, 1)), Lane.COMMAND)
        assert isinstance(done.error, LinkTimeoutError)
        assert done.unknown
        simulator.faults(delay_ms=0)
        link.until(lambda: link.link.connected)
        assert link.result(ReadRegisters(Table.HOLDING, PLACE, 2), Lane.SAFE).data == b"\0\1\0\1"
    assert len([w for w in simulator.writes() if w["address"] == PLACE]) == 1


@pytest.mark.requirement("FI-PD-04")
def test_writes_to_a_plc_that_stays_slow_end_right_each_done_once(simulator):
    simulator.faults(delay_ms=1000)
    with loop(simulator.port, timeout_s=20, window=2) as link:
        link.up()
        tokens = {link.ask(WriteRegisters(PLACE, (n, n))): n for n in range(1, 9)}
        link.until(lambda: link.done.keys() >= tokens.keys(), within_s=60)
        assert all(link.done[token].ok for token in tokens)
        read = link.result(ReadRegisters(Table.HOLDING, PLACE, 2))
        assert codec.words(read.data) == (8, 8)
        assert link.link.counters.reconnects == 0
    written = [w["values"][0] for w in simulator.writes() if w["address"] == PLACE]
    assert written == [*range(1, 9)]
