"""What the kernel is asked for; each in a process of its own, because it cannot be taken back."""

import subprocess
import sys

NOBODY = 65534


def asked(code: str) -> str:
    """Return what a fresh process prints that has none of root's rights."""
    drop = f"import os\nif os.getuid() == 0: os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    done = subprocess.run(
        [sys.executable, "-c", f"import ald.gateway.driver.kernel as kernel\n{drop}{code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def test_without_the_right_the_priority_is_refused_and_everything_stays_as_it_was():
    code = (
        "try: kernel.run_first(50)\n"
        "except PermissionError: print(os.sched_getscheduler(0) == os.SCHED_OTHER)"
    )
    assert asked(code) == "True"


def test_under_a_limit_locked_memory_is_not_even_tried():
    code = (
        "import resource\nresource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))\n"
        "try: kernel.lock_memory()\nexcept PermissionError as error: print(error.strerror)"
    )
    assert asked(code) == "locked memory is limited to 64 KiB"
