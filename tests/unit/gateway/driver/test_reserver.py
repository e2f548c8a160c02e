"""Reservations on their way to the volume."""

import functools
import threading

import pytest

from ald.engine.effects import Reservation, Reserve
from ald.gateway.driver import reserver
from ald.gateway.driver.files import read_reservation
from ald.gateway.driver.reserver import PATIENCE_NS, RETRY_NS, Reserver
from ald.wire import Reached
from fixtures.wait import eventually


def wanted(cycle):
    made = Reservation(
        run="r",
        attempt=2,
        begun=Reached(step="a", iterations=((cycle - 5, 100),)),
        reached=Reached(step="a", iterations=((cycle, 100),)),
        ordinal=cycle * 4,
        leaves_done=3,
        pulses=1,
        is_over=False,
    )
    return Reserve(cycle=cycle, reservation=made)


@pytest.fixture
def volume(tmp_path):
    made = Reserver(tmp_path / "reserved.bin")
    yield made
    made.close()


def done(volume, now_ns, *, is_quiet=True):
    """Return what comes to the volume within some seconds."""
    found = []

    def is_done():
        come = volume.work(now_ns, is_quiet=is_quiet)
        if come is not None:
            found.append(come)
        return bool(found)

    eventually(is_done, within_s=10)
    return found[0]


def is_idle(volume, now_ns):
    volume.work(now_ns, is_quiet=True)
    return volume._going is None


def test_what_is_on_the_volume_is_told_with_run_attempt_and_cycle(volume, tmp_path):
    volume.ask(wanted(8), 0)
    found = done(volume, 0)
    assert (found.run, found.attempt, found.cycle) == ("r", 2, 8)
    assert read_reservation(tmp_path / "reserved.bin") == wanted(8).reservation
    assert volume.work(0, is_quiet=True) is None


def test_near_an_edge_it_waits_but_not_for_long(volume, tmp_path):
    volume.ask(wanted(8), 0)
    for now_ns in (0, PATIENCE_NS - 1):
        assert volume.work(now_ns, is_quiet=False) is None
    assert not (tmp_path / "reserved.bin").exists()
    assert done(volume, PATIENCE_NS, is_quiet=False).cycle == 8


def test_a_later_one_takes_the_place_of_one_that_waits(volume):
    volume.ask(wanted(8), 0)
    volume.ask(wanted(11), 0)
    assert done(volume, 0).cycle == 11


def test_the_loop_never_waits_for_a_disk_that_takes_its_time(volume, monkeypatch):
    go_on, written = threading.Event(), []

    def slow(_path, made):
        go_on.wait(10)
        written.append(made)

    monkeypatch.setattr(reserver, "write_reservation", slow)
    volume.ask(wanted(8), 0)
    assert volume.work(0, is_quiet=True) is None
    volume.ask(wanted(11), 0)
    assert volume.work(0, is_quiet=True) is None
    assert written == []
    go_on.set()
    assert done(volume, 0).cycle == 8
    assert done(volume, 0).cycle == 11


def test_a_volume_that_takes_none_is_asked_again_but_not_at_once(volume, monkeypatch):
    tried = []

    def full(_path, _made):
        tried.append(1)
        if len(tried) < 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(reserver, "write_reservation", full)
    volume.ask(wanted(8), 0)
    volume.work(0, is_quiet=True)
    for attempt in (1, 2):
        now_ns = (attempt - 1) * RETRY_NS
        eventually(functools.partial(is_idle, volume, now_ns), within_s=10)
        assert len(tried) == attempt
        volume.work(now_ns + RETRY_NS, is_quiet=True)
    assert done(volume, 3 * RETRY_NS).cycle == 8
