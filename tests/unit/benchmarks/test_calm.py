"""Waiting for a quiet host."""

import time

from benchmarks import calm
from benchmarks.calm import PATIENCE_S, PAUSE_S, PROBE_S, Calm
from benchmarks.steal import Ticks


class Host:
    """Takes away so many of every 1,000 ticks, one number a probe; the last one for ever."""

    def __init__(self, *stolen):
        self.stolen = list(stolen)
        self.probes = 0
        self.slept_s = 0.0
        self._ticks = Ticks(0, 0, 0)

    def ticks(self):
        return self._ticks

    def busy(self):
        self.probes += 1
        stolen = self.stolen.pop(0) if len(self.stolen) > 1 else self.stolen[0]
        self._ticks = Ticks(self._ticks.total + 1000, 0, self._ticks.steal + stolen)

    def sleep(self, wait_s):
        self.slept_s += wait_s


def waiting(host):
    return Calm(0.003, ticks=host.ticks, busy=host.busy, sleep=host.sleep)


def test_a_calm_host_is_not_waited_for():
    host = Host(3)
    waiting(host).wait()
    assert (host.probes, host.slept_s) == (1, 0.0)


def test_a_host_that_takes_processors_away_is_waited_for_until_it_no_longer_does():
    host = Host(200, 4, 3)
    waiting(host).wait()
    assert (host.probes, host.slept_s) == (3, 2 * PAUSE_S)


def test_patience_is_that_of_all_rounds_together():
    host = Host(200)
    calm = waiting(host)
    calm.wait()
    probes = host.probes
    assert probes == -(-PATIENCE_S // (PROBE_S + PAUSE_S))
    calm.wait()
    assert host.probes == probes


def test_a_probe_keeps_the_processors_busy():
    begin = time.monotonic()
    calm.busy()
    assert time.monotonic() - begin >= PROBE_S
