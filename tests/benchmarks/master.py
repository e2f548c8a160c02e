"""The product's link in a loop like the driver's: what `link`, `scan` and `write` measure."""

import contextlib
import gc
import random
import time
from collections.abc import Callable, Iterator
from typing import Self

from ald.engine.effects import Write
from ald.engine.inputs import Answered, Scanned
from ald.gateway.driver import ready
from ald.gateway.driver.kernel import sharpen_sleep
from ald.gateway.driver.station import Station
from ald.kit.clock import SystemClock
from ald.kit.lines import Lines
from ald.plant.model import DataType, LinkSettings, Order, Plant, Table
from ald.plc.connection import Connection
from ald.plc.link import Lane, Link
from ald.plc.request import Request
from fixtures.plants import parameter, plant

CONNECT_S_MAX = 5.0
TURN_S_MAX = 1.0
QUEUED = 16
"""Requests that wait in their lane while the window is full, as the blocks of a large scan do."""

_CLOCK = SystemClock()


@contextlib.contextmanager
def as_the_driver() -> Iterator[None]:
    """Run the block as the executor runs: nothing collects garbage meanwhile, and sleeps end sharply."""
    sharpen_sleep()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


class Master:
    """One link that asks the same thing again and again."""

    def __init__(self, port: int, window: int) -> None:
        self._link = Link(
            LinkSettings(host="127.0.0.1", port=port, requests_in_flight=window),
            random.Random(1).random,
        )
        self._connection = Connection(self._link, time.monotonic_ns)
        deadline = time.monotonic() + CONNECT_S_MAX
        while not self._link.connected:
            assert time.monotonic() < deadline, self._link.message
            self._turn()

    def reads_per_s(self, request: Request, count: int) -> float:
        """Ask `count` times and return how many answers came a second."""
        link = self._link
        asked = answered = 0
        begin_ns = time.monotonic_ns()
        while answered < count:
            now_ns = time.monotonic_ns()
            while asked < count and asked - answered < QUEUED + link.settings.requests_in_flight:
                link.submit(Lane.SCAN, request, asked, now_ns)
                asked += 1
            self._turn()
            link.sent()
            for completion in link.completions():
                assert completion.ok, completion.error
                answered += 1
        return count * 1e9 / (time.monotonic_ns() - begin_ns)

    def close(self) -> None:
        self._connection.close()

    def _turn(self) -> None:
        connection = self._connection
        connection.flush(time.monotonic_ns())
        fd = connection.fileno()
        assert fd is not None or not self._link.connected
        reading = [] if fd is None else [fd]
        writing = reading if connection.wants_write() else []
        until_ns = time.monotonic_ns() + int(TURN_S_MAX * 1e9)
        came, takes = ready.wait(reading, writing, until_ns, self._link.near_until_ns, _CLOCK)
        now_ns = time.monotonic_ns()
        if came:
            connection.on_readable(now_ns)
        if takes:
            connection.on_writable(now_ns)


def scanned_plant(
    port: int, *, values: int, window: int, period_ns: int, valves: tuple[tuple[str, int], ...] = ()
) -> Plant:
    """Return a plant of so many float32 side by side, and valves."""
    parameters = tuple(
        parameter(f"p.{number}", Table.HOLDING, 2 * number, DataType.FLOAT32)
        for number in range(values)
    )
    assert all(p.point.order is Order.CDAB for p in parameters)
    made: Plant = plant(
        *parameters,
        valves=valves,
        scan_period_ns=period_ns,
        host="127.0.0.1",
        port=port,
        requests_in_flight=window,
    )
    return made


class Scanning:
    """One station at work: scans, and writes of valves in between."""

    def __init__(self, of: Plant) -> None:
        self._clock = SystemClock()
        self._station = Station(of, "digest", self._clock, random.Random(1).random, Lines())
        self._scans: list[int] = []
        self._answers: list[Answered] = []

    def __enter__(self) -> Self:
        self.scan_times_ns(1)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave at once: nobody would look at the answers that are still to come."""
        self._station.close()

    def scan_times_ns(self, count: int) -> list[int]:
        """Return how long each of the next scans took, from its first request sent to its values decoded."""
        self._scans.clear()
        self.until(lambda: len(self._scans) >= count)
        return self._scans[:count]

    def write(self, write: Write) -> Answered:
        """Hand over a write and return its answer."""
        self._answers.clear()
        self._station.submit(write, self._clock.monotonic_ns())
        self._station.flush(self._clock.monotonic_ns())
        self.until(lambda: bool(self._answers))
        return self._answers[0]

    def until(self, fact: Callable[[], bool]) -> None:
        """Turn until `fact()` holds."""
        while not fact():
            self.turn(self._clock.monotonic_ns() + int(TURN_S_MAX * 1e9))

    def wait(self, until_ns: int) -> None:
        """Turn until this moment."""
        while self._clock.monotonic_ns() < until_ns:
            self.turn(until_ns)

    def turn(self, until_ns: int) -> None:
        """One round of the loop; waits for at most until then."""
        station = self._station
        now_ns = self._clock.monotonic_ns()
        station.work(now_ns, None)
        self._take_news()
        fd = station.fileno()
        reading = [] if fd is None else [fd]
        now_ns = self._clock.monotonic_ns()
        wake_ns = min(until_ns, station.wake_ns(now_ns, None))
        writing = reading if station.wants_write() else []
        came, takes = ready.wait(reading, writing, wake_ns, station.poll_until_ns, self._clock)
        now_ns = self._clock.monotonic_ns()
        if came:
            station.receive(now_ns)
        if takes:
            station.transmit(now_ns)
        self._take_news()

    def _take_news(self) -> None:
        for news in self._station.news("", 0):
            if isinstance(news, Scanned):
                self._scans.append(self._clock.monotonic_ns() - news.scan.started_ns)
                assert not self._station.scan_status().bad_signals, "a value was not read"
            elif isinstance(news, Answered):
                assert news.ok, news.error
                self._answers.append(news)
