"""Told to end before it has begun: nothing ends the first process of a container that has no handler for the signal yet."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.certificates import Authority
from fixtures.front import GATEWAY, OWNER
from fixtures.kubeconfig import kubeconfig
from fixtures.ports import free_port
from fixtures.processes import MACHINE_FILE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

FRONT, DRIVER = "ald.gateway.front", "ald.gateway.driver"
OPERATOR, LOGGER, SIMULATOR = "ald.controller", "ald.logger", "ald.simulator"

LATEST_S = 60.0
"""Longest from the signal to the end, on a host that does much beside; without a handler there is no end."""


def arguments(program: str) -> list[str]:
    """Return what a program cannot run without."""
    if program != SIMULATOR:
        return []
    return ["--machine", str(MACHINE_FILE), "--port", "0", "--admin-port", "0"]


def variables(program: str, directory: Path) -> dict[str, str]:
    """Return settings with which a program runs until it is told to end, even where nothing answers it."""
    if program == SIMULATOR:
        return {}
    if program == LOGGER:
        nowhere = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
        return {"ALD_DATABASE_URL": nowhere, "ALD_PLAIN_PORT": "0", "ALD_TLS_DIR": str(directory)}
    if program == OPERATOR:
        file = directory / "kubeconfig"
        file.write_text(kubeconfig({}, server=f"http://127.0.0.1:{free_port()}"))
        return {
            "KUBECONFIG": str(file),
            "ALD_OPERATOR_NAMESPACE": "ald",
            "ALD_GATEWAY_IMAGE": "ald/gateway:test",
            "ALD_TLS_DIR": str(directory),
            "ALD_PLAIN_PORT": str(free_port()),
        }
    for name in ("run", "state"):
        (directory / name).mkdir()
    found = {
        "ALD_INSTALLATION": OWNER.installation,
        "ALD_NAMESPACE": OWNER.namespace,
        "ALD_MACHINE": OWNER.name,
        "ALD_RUN_DIR": str(directory / "run"),
        "ALD_STATE_DIR": str(directory / "state"),
    }
    if program == FRONT:
        found["ALD_TLS_DIR"] = str(Authority().issue(directory / "tls", GATEWAY))
        found |= dict.fromkeys(("ALD_HTTPS_PORT", "ALD_PLAIN_PORT"), "0")
    return found


@contextlib.contextmanager
def first_process(
    directory: Path, program: str, *options: str
) -> Iterator["subprocess.Popen[str]"]:
    """Start a program as the first of a container: the kernel keeps signals without a handler from it, as if ignored."""
    started = subprocess.Popen(
        [
            *("env", "--ignore-signal=TERM"),
            *(sys.executable, *options, "-m", program, *arguments(program)),
        ],
        env={k: v for k, v in os.environ.items() if not k.startswith(("ALD_", "PG"))}
        | variables(program, directory),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def told_to_end(process: "subprocess.Popen[str]") -> int:
    """Return how it ended."""
    process.terminate()
    process.communicate(timeout=LATEST_S)
    return process.returncode


@pytest.mark.parametrize("program", [FRONT, DRIVER, OPERATOR, LOGGER, SIMULATOR])
def test_a_program_told_to_end_while_it_loads_ends_in_good_order(tmp_path, program):
    with first_process(tmp_path, program, "-X", "importtime") as loading:
        assert loading.stdout is not None
        assert any(line.rpartition("|")[2].strip() == "msgspec" for line in loading.stdout)
        assert told_to_end(loading) == 0


def test_an_operator_told_to_end_before_it_has_reached_the_api_server_ends_in_good_order(tmp_path):
    with first_process(tmp_path, OPERATOR) as waiting:
        assert waiting.stdout is not None
        assert any('"api_server_away"' in line for line in waiting.stdout)
        assert told_to_end(waiting) == 0
