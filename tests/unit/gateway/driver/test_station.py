"""What the station makes of what the link says."""

import pytest

from ald.gateway.driver.spread import WRITES_MIN
from ald.gateway.driver.station import HEARTBEAT_TOKEN, Station
from ald.plant.model import digest
from ald.plc.link import Completion, LinkCounters
from unit.engine.programs import MS, PLANT


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
    made = Station(PLANT, digest(PLANT), Clock(), lambda: 0.5)
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
