"""Who may talk to the PLC: the one process that holds a lock on the volume's `holder` file.

The lock belongs to the open file and ends with the process, however it ends, so a dead holder is never in the way. The text
in the file is for people and for the one who is refused; it decides nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from ald.errors import TemporaryError

if TYPE_CHECKING:
    from pathlib import Path

TEXT_BYTES_MAX = 500


class HeldError(TemporaryError):
    """Another process holds the machine; `holder` says which, as far as it is known."""

    def __init__(self, path: Path, holder: str) -> None:
        self.holder = holder or "an unnamed process"
        super().__init__(f"{path} is held by {self.holder}; waiting for it to end")


class Holder:
    """The lock, held until `release` or the end of the process."""

    def __init__(self, path: Path, name: str) -> None:
        """Take the lock for `name`, such as `gateway-7f9c/1234`, or raise HeldError at once."""
        self._descriptor = _opened(path)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise HeldError(path, holder_name(path)) from error
        self._name(name)

    def release(self) -> None:
        """Let the next one in."""
        self._name("")
        os.close(self._descriptor)

    def _name(self, name: str) -> None:
        """Say who holds it; a volume that takes nothing keeps nobody from holding it."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, name.encode()[:TEXT_BYTES_MAX], 0)


def _opened(path: Path) -> int:
    """Open the file, or make it; one that only lets itself be read can be locked, and named by nobody.

    A volume that its filesystem has made read-only after an error is no reason to leave a machine as it is.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    except OSError as error:
        with contextlib.suppress(OSError):
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        raise error from None


def holder_name(path: Path) -> str:
    """Return the name that the last holder left in the file, empty if there is none, or none that can be read."""
    with contextlib.suppress(OSError):
        return path.read_bytes()[:TEXT_BYTES_MAX].decode(errors="replace").strip()
    return ""
