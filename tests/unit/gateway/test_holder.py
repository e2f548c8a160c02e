import errno
import os
import subprocess
import sys

import pytest

from ald.gateway.holder import HeldError, Holder, holder_name
from fixtures.full_volume import files_of_at_most


@pytest.mark.requirement("INT-19")
def test_the_second_holder_is_refused_and_told_who_the_first_is(tmp_path):
    path = tmp_path / "holder"
    first = Holder(path, "pod-a/17")
    with pytest.raises(HeldError, match="is held by pod-a/17; waiting") as raised:
        Holder(path, "pod-b/18")
    assert raised.value.holder == holder_name(path) == "pod-a/17"
    first.release()
    assert holder_name(path) == ""
    Holder(path, "pod-b/18").release()


@pytest.mark.requirement("INT-19")
def test_the_lock_of_a_killed_holder_is_taken_over_unaided(tmp_path):
    path = tmp_path / "holder"
    script = (
        "import sys; from pathlib import Path; from ald.gateway.holder import Holder\n"
        "held = Holder(Path(sys.argv[1]), 'pod-a/1'); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(HeldError, match="pod-a/1"):
            Holder(path, "pod-b/2")
        process.kill()
        process.wait(10)
    Holder(path, "pod-b/2")
    assert holder_name(path) == "pod-b/2"


def test_a_file_that_is_not_there_names_nobody(tmp_path):
    assert holder_name(tmp_path / "holder") == ""


@pytest.mark.requirement("FI-DF-01")
def test_a_volume_without_room_for_a_name_is_held_all_the_same(tmp_path):
    path = tmp_path / "holder"
    with files_of_at_most(0):
        held = Holder(path, "pod-a/1")
        with pytest.raises(HeldError, match="an unnamed process"):
            Holder(path, "pod-b/2")
        held.release()
    Holder(path, "pod-b/2").release()


@pytest.fixture
def read_only(monkeypatch):
    """Open nothing for writing, as on a volume that its filesystem has made read-only."""
    opened = os.open

    def refuse(path, flags, *more):
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opened(path, flags, *more)

    return lambda: monkeypatch.setattr(os, "open", refuse)


@pytest.mark.requirement("INT-19")
def test_a_volume_that_became_read_only_is_held_all_the_same_and_by_one(tmp_path, read_only):
    path = tmp_path / "holder"
    Holder(path, "pod-a/1").release()
    read_only()
    held = Holder(path, "pod-b/2")
    with pytest.raises(HeldError, match="an unnamed process"):
        Holder(path, "pod-c/3")
    held.release()
    Holder(path, "pod-c/3").release()


def test_where_nothing_can_be_locked_the_reason_is_that_of_the_writing(tmp_path, read_only):
    read_only()
    with pytest.raises(OSError, match="Read-only file system"):
        Holder(tmp_path / "holder", "pod-a/1")
