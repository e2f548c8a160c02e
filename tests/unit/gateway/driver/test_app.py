"""The supervisor: signals, executors that hang, volumes without room."""

import errno
import io
import os
import signal
import time
from types import SimpleNamespace
from unittest import mock

import pytest
from msgspec.structs import replace

from ald.gateway.driver import alive, app
from ald.gateway.driver.files import write_plant
from ald.gateway.driver.settings import Settings
from ald.gateway.holder import Holder, holder_name
from ald.gateway.ring import CAPACITY_MIN
from ald.kit.clock import SystemClock
from ald.kit.lines import Level, Lines
from unit.engine.programs import PLANT


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


def test_a_supervisor_that_fails_ends_its_executor_before_it_ends_itself(supervisor):
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        signal.sigwait({signal.SIGTERM})
        os._exit(0)
    with mock.patch.object(supervisor, "_watch", side_effect=ValueError("of nobody's making")):
        assert supervisor._watched(child) == (1, True)
    with pytest.raises(ChildProcessError):
        os.waitpid(child, os.WNOHANG)


def test_an_executor_that_is_gone_already_keeps_no_failed_supervisor(supervisor):
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    with mock.patch.object(supervisor, "_watch", side_effect=ValueError("of nobody's making")):
        assert supervisor._watched(child) == (1, True)


def test_a_driver_that_has_ended_is_named_as_holder_no_more(supervisor):
    failing = mock.patch.object(supervisor, "_fork", side_effect=BlockingIOError("none is left"))
    with failing, pytest.raises(BlockingIOError):
        supervisor.run()
    assert holder_name(supervisor._settings.holder) == ""
    Holder(supervisor._settings.holder, "the next").release()


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


def kept(tmp_path, plant):
    settings = Settings(
        installation="i", namespace="n", machine="m", run_dir=str(tmp_path), state_dir=str(tmp_path)
    )
    write_plant(settings.plant, plant)
    said = io.StringIO()
    return app._plant(settings, Lines(Level.ERROR, said)), said.getvalue()


def test_the_configuration_on_the_volume_is_used(tmp_path):
    assert kept(tmp_path, PLANT) == (PLANT, "")


@pytest.mark.requirement("FR-01")
def test_a_configuration_that_nobody_can_work_with_counts_as_none_and_is_named(tmp_path):
    for plant in (
        replace(PLANT, scan_period_ns=0),
        replace(PLANT, link=replace(PLANT.link, port=65536)),
        replace(PLANT, link=replace(PLANT.link, max_registers=126)),
    ):
        found, said = kept(tmp_path, plant)
        assert found is None
        assert "plant_unusable" in said
        assert "the operator sends it anew" in said


def ended_by_turns(supervisor, *lives):
    """Have the supervisor's executors end like this, one after the other; return its own end, and who was told to stop."""
    pids = iter(range(100, 200))
    watched = mock.patch.object(supervisor, "_watched", side_effect=lives)
    forked = mock.patch.object(supervisor, "_fork", side_effect=pids)
    with watched, forked, mock.patch.object(os, "kill") as kill:
        status = supervisor._keep_running()
    return status, [call.args for call in kill.call_args_list]


def test_an_executor_that_dies_when_it_is_to_stop_has_a_successor_that_makes_the_machine_safe(
    supervisor,
):
    stop = SimpleNamespace(si_signo=signal.SIGTERM)
    with (
        mock.patch.object(signal, "sigtimedwait", return_value=stop),
        mock.patch.object(os, "waitpid", return_value=(100, 9)),
        mock.patch.object(os, "kill"),
    ):
        died = supervisor._watch(100)
    assert died == (-9, True)
    status, told = ended_by_turns(supervisor, died, (0, True))
    assert (status, told[-1:]) == (0, [(101, signal.SIGTERM)])


def test_a_stop_that_comes_between_two_executors_reaches_the_second_one(supervisor):
    with mock.patch.object(supervisor, "_is_stopped_within", return_value=True):
        status, told = ended_by_turns(supervisor, (-9, False), (0, True))
    assert (status, told) == (0, [(101, signal.SIGTERM)])


def test_executors_that_go_on_dying_keep_no_driver_from_ending(supervisor):
    with mock.patch.object(supervisor, "_is_stopped_within", return_value=True):
        status, told = ended_by_turns(supervisor, (1, False), *[(1, True)] * 50)
    assert status == 1
    assert 1 < len(told) <= len(app.RESTART_S)


def test_when_the_time_to_stop_is_over_nobody_follows(supervisor):
    with mock.patch.object(app, "STOP_S", 0.0):
        supervisor._is_to_stop()
    assert ended_by_turns(supervisor, (-9, True)) == (1, [(100, signal.SIGTERM)])


@pytest.mark.parametrize("refused", [errno.EROFS, errno.EIO])
def test_a_torn_file_of_runs_that_cannot_be_put_aside_keeps_no_executor_from_its_start(
    tmp_path, refused
):
    settings = Settings(
        installation="i", namespace="n", machine="m", run_dir=str(tmp_path), state_dir=str(tmp_path)
    )
    settings.ledger.write_bytes(b"torn")
    said = io.StringIO()
    recorder = mock.Mock(last_record=0)
    with mock.patch.object(type(settings.ledger), "rename", side_effect=OSError(refused, "no")):
        diary = app._diary(settings, recorder, Lines(Level.ERROR, said))
    assert diary.is_doubtful
    assert "ledger_corrupt" in said.getvalue()
    assert "ledger_not_put_aside" in said.getvalue()
    # The next one knows no more, and makes the machine safe as well.
    diary = app._diary(settings, recorder, Lines(Level.ERROR, said))
    assert diary.unsafe is not None
    assert not settings.ledger.exists()
