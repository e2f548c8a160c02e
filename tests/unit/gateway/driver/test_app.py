"""The supervisor: signals, executors that hang, volumes without room."""

import errno
import os
import signal
import time
from types import SimpleNamespace
from unittest import mock

import pytest

from ald.gateway.driver import alive, app
from ald.gateway.driver.settings import Settings
from ald.gateway.ring import CAPACITY_MIN
from ald.kit.clock import SystemClock
from ald.kit.lines import Level, Lines


@pytest.fixture
def supervisor(tmp_path):
    settings = Settings(
        installation="i", namespace="n", machine="m", run_dir=str(tmp_path), state_dir=str(tmp_path)
    )
    return app.Supervisor(settings, SystemClock(), Lines(Level.ERROR))


def test_a_stop_that_comes_as_the_executor_ends_is_not_lost(supervisor):
    stop = SimpleNamespace(si_signo=signal.SIGTERM)
    with (
        mock.patch.object(signal, "sigtimedwait", return_value=stop),
        mock.patch.object(os, "waitpid", return_value=(4711, 9)),
        mock.patch.object(os, "kill"),
    ):
        assert supervisor._watch(4711) == (-9, True)


def test_an_executor_that_hangs_is_killed_so_that_the_next_one_makes_the_machine_safe(supervisor):
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        signal.pause()
        os._exit(0)
    began = time.monotonic()
    with mock.patch.object(alive, "STUCK_NS", 300_000_000):
        assert supervisor._watch(child) == (-signal.SIGKILL, False)
    assert time.monotonic() - began < 5


def test_an_executor_that_turns_is_left_alone(supervisor):
    child = os.fork()
    if not child:
        for _ in range(10):
            alive.stamp(supervisor._settings.alive, time.monotonic_ns())
            time.sleep(0.1)
        os._exit(7)
    with mock.patch.object(alive, "STUCK_NS", 600_000_000):
        assert supervisor._watch(child) == (7, False)


def test_a_volume_without_room_for_the_whole_ring_gets_a_small_one(tmp_path):
    real = os.posix_fallocate

    def small(descriptor, start, size):
        if size > 2 * CAPACITY_MIN:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor, start, size)

    with mock.patch.object(os, "posix_fallocate", small):
        ring = app.ring_of(tmp_path / "ring", 8 * CAPACITY_MIN, "s", Lines(Level.ERROR))
    assert ring.capacity == CAPACITY_MIN
    ring.close()
