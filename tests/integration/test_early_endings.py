"""Told to end before it has begun: nothing ends the first process of a container that has no handler for the signal yet."""

import os
import subprocess
import sys

import pytest

from fixtures.certificates import Authority
from fixtures.front import GATEWAY, OWNER

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

FRONT, DRIVER = "ald.gateway.front", "ald.gateway.driver"

LATEST_S = 60.0
"""Longest from the signal to the end, on a host that does much beside; without a handler there is no end."""


@pytest.mark.parametrize("program", [FRONT, DRIVER])
def test_a_gateway_told_to_end_while_it_loads_ends_in_good_order(tmp_path, program):
    for name in ("run", "state"):
        (tmp_path / name).mkdir()
    Authority().issue(tmp_path / "tls", GATEWAY)
    variables = {
        "ALD_INSTALLATION": OWNER.installation,
        "ALD_NAMESPACE": OWNER.namespace,
        "ALD_MACHINE": OWNER.name,
        "ALD_RUN_DIR": str(tmp_path / "run"),
        "ALD_STATE_DIR": str(tmp_path / "state"),
    }
    if program == FRONT:
        variables["ALD_TLS_DIR"] = str(tmp_path / "tls")
        variables |= dict.fromkeys(("ALD_HTTPS_PORT", "ALD_PLAIN_PORT"), "0")
    # The kernel keeps a signal without a handler from a first process, as from one that ignores it.
    command = ["env", "--ignore-signal=TERM", sys.executable, "-X", "importtime", "-m", program]
    loading = subprocess.Popen(
        command,
        env={k: v for k, v in os.environ.items() if not k.startswith("ALD_")} | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert loading.stderr is not None
        assert any(line.rpartition("|")[2].strip() == "msgspec" for line in loading.stderr)
        loading.terminate()
        loading.communicate(timeout=LATEST_S)
        assert loading.returncode == 0
    finally:
        loading.kill()
        loading.wait()
