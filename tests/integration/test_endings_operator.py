"""The operator told to end while a run is on, or failing as nobody expects: it ends in time, unsubscribes, and its successor takes up."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ald.records.event import RunOutcome
from fixtures.controller import Operator, run_operator
from fixtures.resources import Resources, example
from fixtures.wait import eventually
from integration.endings import FAULTY, TOLD, check_told, family, tell

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
def run(resources: Resources, tmp_path: Path):
    """Give a function that runs an operator with a directory of its own for temporary files."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    @contextlib.contextmanager
    def run_it(*program: str | Path) -> Iterator[Operator]:
        settings = {"TMPDIR": str(temporary)}
        with run_operator(resources, tmp_path, settings, program) as operator:
            yield operator
        assert list(temporary.iterdir()) == []

    return run_it


def with_run(operator: Operator) -> None:
    """Have a run that the gateway has."""
    for path in ("recipes/al2o3-demo.yaml", "machines/demo-reactor.yaml"):
        assert operator.resources.create(example(path))[0] == 0
    operator.serve_gateway()
    operator.wait_for("machine", "demo-reactor", "Ready", "Ready")
    assert operator.resources.create(example("runs/al2o3-demo.yaml"))[0] == 0
    operator.wait_for("reciperun", name(), "Succeeded", "Running")


def name() -> str:
    return str(example("runs/al2o3-demo.yaml")["metadata"]["name"])


def watches(operator: Operator) -> int:
    """Return how many watches of our kinds the API server serves."""
    lines = operator.resources.server.get("/metrics").decode().splitlines()
    return sum(
        int(float(line.rpartition(" ")[2]))
        for line in lines
        if line.startswith("apiserver_longrunning_requests{") and 'group="ald.dev"' in line
    )


def check_gone(operator: Operator, leader: int) -> None:
    assert family(leader) == set()
    eventually(lambda: watches(operator) == 0, within_s=10)


def check_goes_on(operator: Operator) -> None:
    """The run is followed to its end, and was ordered once."""
    operator.gateway.advance(leaves_done=10)
    eventually(
        lambda: operator.resources.read("reciperun", name())["status"]["stepsDone"] == 10,
        within_s=20,
    )
    operator.gateway.end(RunOutcome.COMPLETED)
    operator.wait_for("reciperun", name(), "Succeeded", "Completed")
    assert len(operator.gateway.orders) == 1
    assert operator.gateway.aborts == []


@pytest.mark.requirement("RC-01")
@pytest.mark.requirement("RC-02")
@pytest.mark.parametrize("number", TOLD)
def test_told_to_end_while_a_run_is_on_the_operator_ends_and_its_successor_follows_the_run(
    run, number: signal.Signals
):
    with run("-m", "ald.controller") as operator:
        with_run(operator)
        eventually(lambda: watches(operator) > 0, within_s=10)
        leader = operator.pid
        tell(leader, number)
        assert operator.ended() == 0
        check_gone(operator, leader)
        assert "Traceback" not in operator.log
        operator.start()
        check_goes_on(operator)


@pytest.mark.requirement("RC-04")
def test_a_fault_in_one_machines_task_is_told_and_the_task_begins_anew(run, tmp_path: Path):
    plan = tmp_path / "plan"
    with run(FAULTY, plan, "ald.controller.machine:Machine._pass", "ald.controller") as operator:
        with_run(operator)
        plan.touch()
        operator.gateway.advance(leaves_done=7)
        eventually(lambda: bool(operator.said("task_failed")), within_s=20)
        check_told(operator.said("task_failed"))
        check_goes_on(operator)


@pytest.mark.requirement("RC-04")
def test_a_fault_in_what_the_operator_stands_on_is_told_and_ends_it_with_nothing_held(
    run, tmp_path: Path
):
    plan = tmp_path / "plan"
    with run(FAULTY, plan, "ald.controller.health:SelfCheck.touch", "ald.controller") as operator:
        with_run(operator)
        leader = operator.pid
        plan.touch()
        assert operator.ended() == 1
        check_told(operator.said("operator_crashed"))
        check_gone(operator, leader)
        operator.start()
        check_goes_on(operator)
