"""Run other programs: quietly, for their output, or as a long step with a log and signs of life."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from clusterlib.paths import LOGS

COMMAND_TIMEOUT_S_MAX = 120.0
LONG_COMMAND_TIMEOUT_S_MAX = 3600.0
SIGN_OF_LIFE_S = 30.0
POLL_INTERVAL_S = 0.1
LOG_LINES_SHOWN = 25

Command = Sequence[str | Path]


class ClusterError(Exception):
    """Something a person has to know; the message says what failed and what to do."""


def say(text: str) -> None:
    """Tell the person who waits; standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def run(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    text: str | None = None,
    check: bool = True,
    timeout_s: float = COMMAND_TIMEOUT_S_MAX,
) -> subprocess.CompletedProcess[str]:
    """Run a command and keep its output.

    Raises:
        ClusterError: it is not installed, failed (unless `check` is false) or took too long.
    """
    try:
        done = subprocess.run(
            [str(part) for part in command],
            env={**os.environ, **(env or {})},
            cwd=cwd,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except FileNotFoundError:
        raise ClusterError(f"{command[0]}: not found on this machine") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{shown(command)}: no end after {timeout_s:.0f} s") from None
    if check and done.returncode != 0:
        # Some tools (docker exec is one) write their errors to standard output.
        raise ClusterError(f"{shown(command)} failed:\n{(done.stderr + done.stdout).strip()}")
    return done


def succeeds(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    timeout_s: float = COMMAND_TIMEOUT_S_MAX,
) -> bool:
    """Tell whether a command is there, ends in time and ends well."""
    try:
        return run(*command, env=env, check=False, timeout_s=timeout_s).returncode == 0
    except ClusterError:
        return False


def long_run(
    log_name: str,
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: Path | None = None,
) -> None:
    """Run a command for minutes: its output goes to a log, and a line appears every 30 s.

    Raises:
        ClusterError: with the end of the log.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    log_path = LOGS / f"{log_name}.log"
    begin = time.monotonic()
    with log_path.open("ab") as log, (stdin or Path(os.devnull)).open("rb") as source:
        log.write(f"$ {shown(command)}\n".encode())
        log.flush()
        process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=source,
            stdout=log,
            stderr=log,
        )
        code: int | None = None
        while code is None:
            try:
                code = process.wait(SIGN_OF_LIFE_S)
            except subprocess.TimeoutExpired:
                elapsed_s = time.monotonic() - begin
                if elapsed_s > LONG_COMMAND_TIMEOUT_S_MAX:
                    process.kill()
                say(f"      {log_name} … {elapsed_s:.0f} s")
            except BaseException:
                process.terminate()
                raise
    if code != 0:
        end = log_path.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        raise ClusterError("\n".join([f"{shown(command)} failed; the end of {log_path}:", *end]))


def wait_until(fact: Callable[[], bool], *, within_s: float) -> bool:
    """Poll a fact; return whether it came true in time."""
    deadline = time.monotonic() + within_s
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_INTERVAL_S)
    return True


def shown(command: Command) -> str:
    """Return a command as a person would type it, cut where it gets long."""
    line = " ".join(str(part) for part in command)
    return line if len(line) <= 160 else line[:157] + "..."
