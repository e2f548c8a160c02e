"""The driver's first process: holds the machine, and keeps an executor running.

A dead executor is replaced by a fork of this process, which has everything loaded: milliseconds, without the kubelet.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import traceback
import uuid
from functools import partial
from typing import TYPE_CHECKING

import ald
from ald.errors import AldError, CorruptRecordError, InvalidInputError
from ald.gateway.driver import alive, kernel, realtime
from ald.gateway.driver.commands import Commands
from ald.gateway.driver.diary import Diary
from ald.gateway.driver.executor import Executor, Parts
from ald.gateway.driver.files import read_plant
from ald.gateway.driver.memory import RunMemory
from ald.gateway.driver.output import output
from ald.gateway.driver.plant_file import PlantFile
from ald.gateway.driver.recorder import Recorder
from ald.gateway.driver.requests import check_usable
from ald.gateway.driver.reserver import Reserver
from ald.gateway.driver.settings import Settings
from ald.gateway.holder import HeldError, Holder
from ald.gateway.ring import CAPACITY_MIN, RingWriter, ring_capacity
from ald.kit.clock import Clock, SystemClock
from ald.kit.config import load
from ald.kit.lines import Level, Lines

if TYPE_CHECKING:
    from pathlib import Path

    from ald.plant.model import Plant

HOLDER_RETRY_S = 0.25
"""How often a waiting driver asks for the lock."""

RESTART_S = (0.0, 0.05, 0.1, 0.2, 0.4)
"""Wait before each restart in a row: an executor that cannot start must not take the processor."""

STEADY_NS = 10_000_000_000
"""An executor that lived this long was sound: the next restart is the first in a row again."""

STOP_S = 25.0
"""An executor that has not ended this long after SIGTERM is killed."""

STDOUT = 1

_WATCHED = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}


def main() -> int:
    """Run the driver until a signal ends it, and return how the process should end."""
    settings = load(Settings)
    # Front and driver share their files by the group: with real-time priority the driver is another user.
    os.umask(0o007)
    # One descriptor for supervisor and executor; neither ever waits for whoever reads the log.
    log = Lines(Level[settings.log_level.upper()], output(STDOUT)).bind(
        process="driver", machine=f"{settings.namespace}/{settings.machine}"
    )
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        return Supervisor(settings, SystemClock(), log).run()
    except Exception:  # noqa: BLE001 -- the outermost frame of the process
        log.error("driver_crashed", traceback=traceback.format_exc())  # noqa: TRY400 -- has the traceback as a fact
        return 1


class Supervisor:
    """Holds the lock for its whole life and replaces executors that die."""

    def __init__(self, settings: Settings, clock: Clock, log: Lines) -> None:
        self._settings = settings
        self._clock = clock
        self._log = log
        # When whoever is still there is killed; None as long as nobody has told the driver to stop.
        self._ends_ns: int | None = None

    def run(self) -> int:
        """Return 0 after a stop in good order."""
        holder = self._hold()
        if holder is None:
            return 0
        try:
            return self._keep_running()
        finally:
            holder.release()

    def _keep_running(self) -> int:
        """Replace executors until one ends in good order; also when the driver is to stop, as long as there is time.

        One that died on the way to its end has left the machine as it was, perhaps with a valve open.
        """
        row = 0
        while True:
            began_ns = self._clock.monotonic_ns()
            child = self._fork()
            self._log.info("executor_started", pid=child)
            if self._ends_ns is not None:
                os.kill(child, signal.SIGTERM)
            status, is_stopping = self._watched(child)
            row = 0 if self._clock.monotonic_ns() - began_ns > STEADY_NS else row + 1
            if status == 0 or (is_stopping and not self._is_worth_it(row)):
                self._log.info("driver_stopped", status=status)
                return 0 if status == 0 else 1
            wait_s = RESTART_S[min(row, len(RESTART_S) - 1)]
            self._log.error("executor_died", pid=child, status=status, restart_in_s=wait_s)
            if self._is_stopped_within(wait_s):
                self._is_to_stop()

    def _is_to_stop(self) -> None:
        """Note that the driver is to stop, once."""
        if self._ends_ns is None:
            self._ends_ns = self._clock.monotonic_ns() + int(STOP_S * 1e9)

    def _is_worth_it(self, row: int) -> bool:
        """Tell whether another executor may still make the machine safe, after so many in a row that have died."""
        is_time = self._ends_ns is not None and self._clock.monotonic_ns() < self._ends_ns
        return is_time and row < len(RESTART_S)

    def _hold(self) -> Holder | None:
        """Wait for the lock; None when a signal ends the wait."""
        name = f"{socket.gethostname()}/{os.getpid()}"
        said = ""
        while True:
            alive.stamp(self._settings.alive, self._clock.monotonic_ns())
            try:
                return Holder(self._settings.holder, name)
            except HeldError as error:
                if error.holder != said:
                    said = error.holder
                    self._log.warning("waiting_for_predecessor", holder=said)
            if self._is_stopped_within(HOLDER_RETRY_S):
                return None

    def _fork(self) -> int:
        parent = os.getpid()
        child = os.fork()
        if child:
            return child
        status = 1
        try:
            status = run_executor(self._settings, self._clock, self._log, parent)
        except BaseException:  # noqa: BLE001 -- the outermost frame of the child
            self._log.error("executor_crashed", traceback=traceback.format_exc())
        finally:
            # Never back into the supervisor's frames, whatever went wrong.
            os._exit(status)

    def _watched(self, child: int) -> tuple[int, bool]:
        """As `_watch`; where that fails the driver is to stop, and the executor first: it would be killed, with a valve open."""
        try:
            return self._watch(child)
        except Exception:  # noqa: BLE001 -- whatever it was, there is an executor to end
            self._log.error("driver_crashed", traceback=traceback.format_exc())
        self._ends_ns = self._clock.monotonic_ns()
        until_ns = self._clock.monotonic_ns() + int(STOP_S * 1e9)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGTERM)
            while not os.waitpid(child, os.WNOHANG)[0] and self._clock.monotonic_ns() < until_ns:
                signal.sigtimedwait({signal.SIGCHLD}, 0.1)
        return 1, True

    def _watch(self, child: int) -> tuple[int, bool]:
        """Return the exit status of the child, negative for a signal, and whether the driver is to stop.

        A child that does not turn any more is killed: its successor makes the machine safe, long before the kubelet would.
        """
        began_ns = self._clock.monotonic_ns()
        while True:
            found = signal.sigtimedwait(_WATCHED, 0.5)
            now_ns = self._clock.monotonic_ns()
            # First, so that a stop that comes as the child ends is not lost; until it is reaped its id is its own.
            if found is not None and found.si_signo in (signal.SIGTERM, signal.SIGINT):
                os.kill(child, signal.SIGTERM)
                self._is_to_stop()
            ended, raw = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(raw), self._ends_ns is not None
            is_stuck = now_ns - began_ns > alive.STUCK_NS and not alive.is_turning(
                self._settings.alive, now_ns
            )
            if is_stuck:
                self._log.error("executor_stuck", pid=child)
            if is_stuck or (self._ends_ns is not None and now_ns > self._ends_ns):
                os.kill(child, signal.SIGKILL)

    def _is_stopped_within(self, wait_s: float) -> bool:
        """Wait; True as soon as a signal says that the driver is to stop."""
        until_ns = self._clock.monotonic_ns() + int(wait_s * 1e9)
        while (left_ns := until_ns - self._clock.monotonic_ns()) > 0:
            found = signal.sigtimedwait(_WATCHED, left_ns / 1e9)
            if found is not None and found.si_signo != signal.SIGCHLD:
                return True
        return False


def run_executor(settings: Settings, clock: Clock, log: Lines, parent: int) -> int:
    """Be the executor: one session, from start to end."""
    kernel.die_with_parent(parent)
    kernel.sharpen_sleep()
    granted = realtime.obtain(settings.real_time)
    session = str(uuid.uuid4())
    log = log.bind(session=session)
    try:
        plant = _plant(settings, log)
        wanted = CAPACITY_MIN if plant is None else ring_capacity(plant)
        ring = ring_of(settings.ring, wanted, session, log)
        recorder = Recorder(ring, log)
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        parts = Parts(
            settings=settings,
            clock=clock,
            log=log,
            recorder=recorder,
            diary=_diary(settings, recorder, log),
            plant_file=PlantFile(settings.plant),
            commands=Commands(settings.socket),
            unit_random=random.SystemRandom().random,
            signals_fd=wake_read,
            jitter=realtime.Jitter(granted),
            reserver=Reserver(settings.reserved),
        )
        log.info("real_time", state=granted[0].value, message=granted[1])
        executor = Executor(parts, session, ald.__version__)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        # A Ctrl-C reaches the whole group; the supervisor passes it on as SIGTERM.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: executor.stop("SIGTERM"))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        executor.run(plant)
    except AldError as error:
        log.error("executor_failed", error=str(error))  # noqa: TRY400 -- for people
        return 1
    return 0


def ring_of(path: Path, capacity: int, session: str, log: Lines) -> RingWriter:
    """Return the ring; on a volume without room for it a small one, because the machine has to be made safe all the same.

    Raises:
        OSError: there is not even room for that.
    """
    try:
        return RingWriter(path, capacity, session)
    except OSError as error:
        log.error("ring_too_small", wanted=capacity, error=str(error))  # noqa: TRY400 -- for people
        return RingWriter(path, CAPACITY_MIN, session)


def _diary(settings: Settings, recorder: Recorder, log: Lines) -> Diary:
    """Return the diary; a ledger that is damaged, or cannot be read, is put aside, so that a person can look at it."""
    memory, last_record = RunMemory(settings.run_state), recorder.last_record
    diary = partial(Diary, memory, settings.ledger, last_record, reserved=settings.reserved)
    try:
        return diary()
    except CorruptRecordError as error:
        aside = settings.ledger.with_suffix(".damaged")
        log.error("ledger_corrupt", error=f"{error}; it is put aside as {aside.name}")  # noqa: TRY400 -- for people
        found = diary(is_lost=True)
        try:
            settings.ledger.rename(aside)
        except OSError as refused:
            # A machine has to be made safe whatever its volume takes.
            log.error("ledger_not_put_aside", error=str(refused))  # noqa: TRY400 -- for people
        return found


def _plant(settings: Settings, log: Lines) -> Plant | None:
    """Return the accepted configuration; one that is damaged, unusable or another machine's counts as none.

    The operator sends it anew. An executor that died of it instead would be followed by one that dies of it too.
    """
    try:
        plant = read_plant(settings.plant)
    except CorruptRecordError as error:
        log.error("plant_file_corrupt", error=f"{error}; the operator sends it anew")  # noqa: TRY400 -- for people
        return None
    if plant is None:
        return None
    # As for the journal, the uid may differ: a machine that is deleted and made again keeps its volume.
    theirs = (plant.identity.installation, plant.identity.namespace, plant.identity.name)
    if theirs != (settings.installation, settings.namespace, settings.machine):
        log.error(
            "plant_of_another",
            error=f"the volume holds the configuration of machine {'/'.join(theirs)};"
            " it is not used: give this gateway a volume of its own",
        )
        return None
    try:
        check_usable(plant)
    except InvalidInputError as error:
        log.error("plant_unusable", error=f"{error}; the operator sends it anew")  # noqa: TRY400 -- for people
        return None
    return plant
