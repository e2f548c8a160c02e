"""Runs of a real gateway, replayed from its feed by the program that people use."""

import os
import signal
import subprocess
import sys

import msgspec
import pytest

from ald.cli.replay import Outcome
from fixtures.processes import RECIPE, Processes
from fixtures.wait import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CYCLES = 3
ALD = "import sys; from ald.cli.app import main; sys.exit(main())"


def replayed(system: Processes, uid: str) -> Outcome:
    """Return what `ald run replay` says inside the gateway's front, as it is called in the pod."""
    environment = {**os.environ, **system.front.environment}
    options = ("--local", "--machine", system.identity.name, "-o", "json")
    done = subprocess.run(
        [sys.executable, "-c", ALD, "run", "replay", uid, *options],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=Outcome)


def test_a_run_of_a_real_gateway_replays_to_its_end(running: Processes):
    running.operator.idle()
    uid = running.operator.start(RECIPE, cycles=CYCLES)
    run = running.operator.ended(uid, within_s=60)
    running.stored(uid)
    found = replayed(running, uid)
    assert run.outcome is not None
    assert (found.outcome, found.message) == (run.outcome.value, run.message)
    assert found.events > 10 * CYCLES


def test_a_run_whose_executor_was_killed_replays_in_its_two_parts(running: Processes):
    running.operator.idle()
    running.simulator.reset_trace()
    uid = running.operator.start(RECIPE, cycles=100)
    eventually(lambda: len(running.simulator.trace()) >= 6, within_s=30)
    os.kill(running.executor_pid, signal.SIGKILL)
    running.operator.ended(uid, within_s=60)
    running.stored(uid)
    assert replayed(running, uid).outcome == "GatewayRestarted"
