"""How a process of ours has ended: what of it runs on, and what it has said of a fault."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

FAULTY = Path(__file__).parents[1] / "fixtures" / "faulty.py"

TOLD = [pytest.param(number, id=number.name) for number in (signal.SIGTERM, signal.SIGINT)]
"""What a process is told to end by."""


def tell(leader: int, number: signal.Signals) -> None:
    """Signal as it comes: a Ctrl-C reaches the whole group, a stop its first process."""
    (os.killpg if number is signal.SIGINT else os.kill)(leader, number)


def family(leader: int) -> set[int]:
    """Return the processes that run in the session of a part."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, _, _, session = file.read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                found.add(int(file.parent.name))
    return found


def check_told(lines: list[dict[str, Any]]) -> None:
    """A fault is on the log once, and its one line says where it was."""
    (line,) = lines
    text = line.get("exception") or line["traceback"]
    assert "Traceback" in text
    assert "PlantedError" in text
