"""What the kernel is asked for; each in a process of its own, because it cannot be taken back."""

import subprocess
import sys

import pytest

NOBODY = 65534


def asked(code: str) -> str:
    """Return what a fresh process prints that has none of root's rights."""
    # What is imported comes first: without root's rights the interpreter's own files may be out of reach.
    drop = f"import os, pathlib, tempfile\nif os.getuid() == 0: os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
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


@pytest.mark.parametrize(("share", "is_named"), [("0", True), ("950000", False), (None, False)])
def test_a_cgroup_without_a_real_time_share_is_named_as_the_reason(share, is_named):
    code = (
        "with tempfile.TemporaryDirectory() as directory:\n"
        "    share = pathlib.Path(directory, 'cpu.rt_runtime_us')\n"
        f"    if {share!r}: share.write_text('{share}\\n')\n"
        "    try: kernel.run_first(50, share)\n"
        "    except PermissionError as error: print(error.strerror)"
    )
    said = asked(code)
    assert said.startswith("Operation not permitted")
    assert ("no real-time share, cpu.rt_runtime_us is 0" in said) is is_named


def test_under_a_limit_locked_memory_is_not_even_tried():
    code = (
        "import resource\nresource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))\n"
        "try: kernel.lock_memory()\nexcept PermissionError as error: print(error.strerror)"
    )
    assert asked(code) == "locked memory is limited to 64 KiB"
