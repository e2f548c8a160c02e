"""What the driver asks of the Linux kernel beyond the standard library (prctl(2), mlockall(2)), and its place in the queue."""

import ctypes
import errno
import os
import resource
import signal
from pathlib import Path

SHARE = Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us")
"""How much real-time time this process' cgroup has; only there where the kernel deals it out (CONFIG_RT_GROUP_SCHED)."""

_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29
_MCL_CURRENT = 1
_MCL_FUTURE = 2
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Have this process killed when its parent, process `parent`, ends.

    Raises:
        ProcessLookupError: the parent is gone already.
    """
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        raise ProcessLookupError(f"process {parent} ended before its child began")


def sharpen_sleep() -> None:
    """Let sleeps end within a nanosecond's slack instead of 50 µs; of this thread."""
    _prctl(_PR_SET_TIMERSLACK, 1)


def run_first(priority: int, share: Path = SHARE) -> None:
    """Put this thread before all that are not real-time (SCHED_FIFO); threads and processes that it starts are not.

    Raises:
        OSError: without CAP_SYS_NICE, or where the host's cgroups grant containers no real-time share.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except PermissionError as error:
        if not _is_without(share):
            raise
        why = "the container's cgroup has no real-time share, cpu.rt_runtime_us is 0"
        raise PermissionError(error.errno, f"{error.strerror} ({why})") from error


def lock_memory() -> None:
    """Keep all memory of this process from being paged out.

    Raises:
        OSError: the limit on locked memory forbids it; under a limit later allocations would fail, so it is not even tried.
    """
    soft, _hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != resource.RLIM_INFINITY:
        raise PermissionError(errno.EPERM, f"locked memory is limited to {soft // 1024} KiB")
    if _libc.mlockall(_MCL_CURRENT | _MCL_FUTURE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mlockall: {os.strerror(number)}")


def _is_without(share: Path) -> bool:
    try:
        return share.read_text().strip() == "0"
    except OSError:
        return False


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    if _libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")
