"""What the station makes of what the link says."""

import io
import struct
from collections.abc import Callable

import pytest

from ald.engine.effects import Lane, Look
from ald.engine.inputs import LinkDown, LinkUp, Looked, Scanned
from ald.gateway.driver.requests import with_figures
from ald.gateway.driver.spread import WRITES_MIN
from ald.gateway.driver.station import HEARTBEAT_TOKEN, Station
from ald.kit.lines import Lines
from ald.plant.model import Table, digest
from ald.plc import codec, times
from ald.plc.link import Completion, LinkCounters
from ald.wire import DriverReply, DriverRequest, GetFigures, GetStatus, LaneFailures
from fixtures.driver import IDLE
from unit.engine.programs import MS, PLANT
from unit.plc.bench import exception_to


class Clock:
    def monotonic_ns(self) -> int:
        return 0

    def wall_ns(self) -> int:
        return 0


class SpokenFor:
    """A link that says what it is told to."""

    connected = False
    message = ""
    counters = LinkCounters(
        requests=0,
        timeouts=0,
        desyncs=0,
        exceptions=0,
        connects=0,
        reconnects=0,
        failed_connects=0,
        worst_valve_wait_ns=0,
    )

    def __init__(self) -> None:
        self.done: list[Completion] = []
        self.failures: tuple[tuple[str, str, int], ...] = ()
        self.io_times: Callable[[], tuple[times.IoTimes, ...]] = tuple

    def sent(self):
        return []

    def completions(self):
        done, self.done = self.done, []
        return done


def completion(token, round_trip_ms, *, ok=True, data=b""):
    return Completion(
        token=token,
        ok=ok,
        error=None,
        data=data,
        sent_ns=MS,
        acked_ns=MS + int(round_trip_ms * MS),
        unknown=False,
    )


@pytest.fixture
def link():
    return SpokenFor()


@pytest.fixture
def station(link, monkeypatch):
    made = Station(PLANT, digest(PLANT), Clock(), lambda: 0.5, Lines(stream=io.StringIO()))
    monkeypatch.setattr(made, "_link", link)
    return made


def test_every_acknowledged_write_counts_for_the_spread_and_no_read(station, link):
    half = WRITES_MIN // 2
    link.done = [completion(1 + i, 1) for i in range(half)]
    link.done += [completion(HEARTBEAT_TOKEN, 4) for _ in range(half)]
    link.done += [completion(HEARTBEAT_TOKEN - 1, 90, data=b"\0\1") for _ in range(half)]
    link.done += [completion(7, 50, ok=False) for _ in range(half)]
    assert station.write_spread.ns() is None
    list(station.news("", 0))
    assert station.write_spread.ns() == 3 * MS


def test_the_figures_are_those_of_the_link_with_the_bounds_of_their_classes(station, link):
    link.failures = (("scan", "lost", 2),)
    link.io_times = lambda: (times.IoTimes(request="write coils", counts=(1, 2), sum_ns=9),)
    figures = station.figures()
    assert figures.failures == (LaneFailures(lane="scan", outcome="lost", count=2),)
    (found,) = figures.io_times
    assert (found.request, found.counts, found.sum_ns) == ("write coils", (1, 2), 9)
    assert found.bounds_ns == times.BOUNDS_NS


def test_figures_are_told_only_to_whom_asks_for_them(station, link):
    link.failures, link.io_times = (), lambda: ()
    reply = DriverReply(id=1, at_ns=1, status=IDLE)
    told = with_figures(reply, DriverRequest(id=1, request=GetFigures()), station)
    assert told.figures is not None
    assert with_figures(reply, DriverRequest(id=1, request=GetStatus()), station) is reply
    assert with_figures(reply, DriverRequest(id=1, request=GetFigures()), None) is reply


@pytest.mark.parametrize(
    ("look", "data", "values"),
    [
        (Look(token=5, table=Table.COIL, address=40, count=1), b"\x01", (1,)),
        (Look(token=5, table=Table.DISCRETE, address=12, count=1), b"\x00", (0,)),
        (Look(token=5, table=Table.HOLDING, address=300, count=2), b"\xd4\xc0\0\1", (54464, 1)),
    ],
)
def test_a_look_comes_back_with_what_was_read(station, link, look, data, values):
    link.submit = lambda *_: None
    station.submit(look, 0)
    link.done = [completion(5, 1, data=data)]
    (found,) = [each for each in station.news("", 0) if isinstance(each, Looked)]
    assert (found.token, found.values) == (5, values)


def test_a_look_that_fails_comes_back_without_values(station, link):
    link.submit = lambda *_: None
    station.submit(Look(token=5, table=Table.COIL, address=40, count=1), 0)
    link.done = [completion(5, 1, ok=False)]
    (found,) = [each for each in station.news("", 0) if isinstance(each, Looked)]
    assert found.values is None


def test_a_look_that_is_taken_back_comes_back_once_and_is_forgotten():
    station = Station(PLANT, digest(PLANT), Clock(), lambda: 0.5, Lines(stream=io.StringIO()))
    assert station._link.begin_connect(0)
    station._link.opened(0)
    station.submit(Look(token=5, table=Table.COIL, address=40, count=1), 0)
    station.submit(Look(token=6, table=Table.COIL, address=40, count=1), 0)
    # One has gone as far as the kernel, which takes nothing.
    assert station._link.outgoing(0)
    station.cancel(Lane.RECIPE)
    found = [each for each in station.news("", 0) if isinstance(each, Looked)]
    assert [(each.token, each.values) for each in found] == [(5, None), (6, None)]
    assert station._looks == {}
    assert [each for each in station.news("", 0) if isinstance(each, Looked)] == []


def connected_station():
    """Return a station whose connection has just been made and told."""
    made = Station(PLANT, digest(PLANT), Clock(), lambda: 0.5, Lines(stream=io.StringIO()))
    assert made._link.begin_connect(0)
    made._link.opened(0)
    assert [type(each) for each in made.news("", 0)] == [LinkUp]
    return made


def asked_next(link):
    """Have the kernel take the next request; return its frame and itself."""
    frame = link.outgoing(0)
    (pending,) = link._in_flight.values()
    link.handed_over(len(frame), MS)
    return frame, pending.request


def answer_to(frame, request):
    """Return a frame that answers a read of any length with zeros."""
    form = codec.form_of(request)
    pdu = form.head + bytes(form.size - form.data_from)
    return frame[:4] + struct.pack(">H", 1 + len(pdu)) + frame[6:7] + pdu


@pytest.mark.parametrize("last", ["unanswered", "refused"])
def test_a_scan_that_the_connection_took_with_it_is_missed_and_not_told_after_the_loss(last):
    station = connected_station()
    link, scanner = station._link, station._scanner
    scanner.begin(link, 0)
    requests = len(scanner._open)
    assert requests > 1
    for _ in range(requests - 1):
        link.receive(answer_to(*asked_next(link)), 2 * MS)
    final, _ = asked_next(link)
    if last == "refused":
        link.receive(exception_to(final, 2), 2 * MS)
    link.receive(b"", 2 * MS)
    told = list(station.news("", 0))
    assert isinstance(told[0], LinkDown)
    # What had been read says nothing about the PLC that comes back.
    assert [each for each in (*told, *station.news("", 0)) if isinstance(each, Scanned)] == []
    assert (scanner.missed, scanner.sequence, scanner._open) == (1, 0, set())
