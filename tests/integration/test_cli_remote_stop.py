"""`ald stop --url`, from where neither the pod nor the cluster is: over HTTPS, with the certificate that may stop and nothing else."""

import pytest

from ald.records.event import MachineState, RunOutcome
from fixtures.processes import RECIPE, Processes
from fixtures.program import Program, said
from fixtures.wait import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def call(ald: Program, system: Processes, role: str = "stop", machine: str = "") -> tuple[int, str]:
    """Call the stop; return its exit code and what it said."""
    port = system.front.environment["ALD_HTTPS_PORT"]
    named = machine or f"{system.identity.namespace}/{system.identity.name}"
    done = ald(
        f"ald stop --url https://127.0.0.1:{port} --machine {named} --installation test"
        f" --tls-dir {system.directory / f'{role}-tls'}"
    )
    return done.returncode, done.stdout or said(done)


def test_a_stop_from_elsewhere_shuts_the_valves_with_operator_and_logger_away(
    ald: Program, running: Processes
) -> None:
    uid = running.operator.start(RECIPE, cycles=1000)
    running.logger.stop()
    eventually(lambda: bool(running.open_valves()), within_s=20)
    code, text = call(ald, running)
    assert code == 0, text
    assert text.startswith("safe state confirmed by the PLC: the machine is ")
    assert running.open_valves() == []
    ended = running.operator.ended(uid, within_s=20)
    assert ended.outcome is RunOutcome.ABORTED
    assert "ald stop" in ended.message


def test_a_stop_of_another_machine_or_by_another_role_moves_nothing(
    ald: Program, running: Processes
) -> None:
    uid = running.operator.start(RECIPE, cycles=1000)
    eventually(lambda: bool(running.open_valves()), within_s=20)
    code, text = call(ald, running, machine="lab/another")
    assert code == 1
    assert "expected ald://test/gateway/lab/another at the other end" in text
    code, text = call(ald, running, role="logger")
    assert code == 1
    assert "the role logger may not do this" in text
    status = running.operator.status().driver
    assert status is not None
    assert status.state is MachineState.EXECUTE
    running.operator.abort(uid)


def test_a_stop_says_when_nobody_answers(ald: Program, unstarted: Processes) -> None:
    code, text = call(ald, unstarted)
    assert code == 1
    assert "cannot be reached" in text


def test_a_stop_without_the_machines_name_is_not_understood(
    ald: Program, unstarted: Processes
) -> None:
    port = unstarted.front.environment["ALD_HTTPS_PORT"]
    done = ald(f"ald stop --url https://127.0.0.1:{port}")
    assert done.returncode == 2
    assert "NAMESPACE/NAME" in done.stderr
