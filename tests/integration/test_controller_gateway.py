"""The operator with a real gateway and the simulator: the processes run as the Deployment that it made says."""

import functools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import fixtures.guard
from fixtures.controller import Operator, run_operator
from fixtures.ports import free_port
from fixtures.resources import example
from fixtures.wait import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


class Pod:
    """The containers of the gateway's Deployment as processes, with the directories and ports of this test."""

    def __init__(self, operator: Operator, directory: Path) -> None:
        self.operator = operator
        self.directory = directory
        self.guards: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        volumes = {name: self.directory / name for name in ("run", "state", "tls")}
        for path in volumes.values():
            path.mkdir(parents=True, exist_ok=True)
        eventually(lambda: self.operator.write_gateway_certificate(volumes["tls"]), within_s=20)
        found = self.operator.resources.read("deployment", "demo-reactor-gateway")
        for container in found["spec"]["template"]["spec"]["containers"]:
            mounts = {m["mountPath"]: str(volumes[m["name"]]) for m in container["volumeMounts"]}
            given = {each["name"]: each["value"] for each in container["env"]}
            environment = {name: mounts.get(value, value) for name, value in given.items()}
            if "ALD_HTTPS_PORT" in environment:
                environment["ALD_HTTPS_PORT"] = str(self.operator.gateway.port)
                environment["ALD_PLAIN_PORT"] = str(free_port())
            command = [
                sys.executable if word == "python" else word for word in container["command"]
            ]
            with (self.directory / f"{container['name']}.log").open("ab") as log:
                self.guards.append(
                    subprocess.Popen(
                        [sys.executable, fixtures.guard.__file__, "--", *command],
                        stdin=subprocess.PIPE,
                        stdout=log,
                        stderr=log,
                        env={"PATH": os.environ["PATH"]} | environment,
                        start_new_session=True,
                    )
                )

    def stop(self) -> None:
        for guard in self.guards:
            assert guard.stdin is not None
            guard.stdin.close()
        for guard in self.guards:
            guard.wait(40)
        self.guards.clear()

    @property
    def log(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in self.directory.glob("*.log"))


class System:
    def __init__(self, operator: Operator, pod: Pod, simulator) -> None:
        self.operator = operator
        self.pod = pod
        self.simulator = simulator

    def ready(self) -> None:
        try:
            self.operator.wait_for("machine", "demo-reactor", "Ready", "Ready", within_s=40)
        except pytest.fail.Exception as failure:
            pytest.fail(f"{failure}\nGateway:\n{self.pod.log}")

    def deposits(self, name: str) -> bool:
        status = self.operator.resources.read("reciperun", name).get("status", {})
        return str(status.get("step", "")).startswith("deposit")

    def run(self, name: str, cycles: int) -> None:
        document = example("runs/al2o3-demo.yaml")
        document["metadata"]["name"] = name
        document["spec"]["inputs"] = {"cycles": cycles}
        code, said = self.operator.resources.create(document)
        assert code == 0, said


@pytest.fixture
def system(resources, tmp_path, start_simulator) -> Iterator[System]:
    machine = example("machines/demo-reactor.yaml")
    machine["spec"]["plc"] |= {"host": "127.0.0.1", "port": 502}
    machine_file = tmp_path / "machine.yaml"
    machine_file.write_text(yaml.safe_dump(machine))
    simulator = start_simulator(machine_file)
    machine["spec"]["plc"]["port"] = simulator.port
    with run_operator(resources, tmp_path) as operator:
        for document in (machine, example("recipes/al2o3-demo.yaml")):
            code, said = resources.create(document)
            assert code == 0, said
        eventually(
            lambda: resources.kubectl("get", "deployment", "demo-reactor-gateway")[0] == 0,
            within_s=20,
        )
        pod = Pod(operator, tmp_path / "pod")
        try:
            pod.start()
            yield System(operator, pod, simulator)
        finally:
            pod.stop()


def test_a_run_goes_from_kubectl_to_the_valves_and_back_into_its_status(system):
    system.ready()
    system.run("one", 3)
    status = system.operator.wait_for("reciperun", "one", "Succeeded", "Completed", within_s=60)
    assert status["pulses"]["count"] == 6
    assert status["stepsDone"] == status["stepsTotal"] == 4 + 3 * 4 + 2
    assert abs(status["pulses"]["worstErrorMs"]) < 20
    resources = system.operator.resources
    eventually(
        lambda: resources.read("machine", "demo-reactor")["status"]["state"] == "Idle", within_s=5
    )


def test_an_abort_closes_the_valves_within_a_second_and_the_next_run_needs_no_help(system):
    system.ready()
    for number in range(3):
        name = f"abort-{number}"
        system.run(name, 500)
        eventually(functools.partial(system.deposits, name), within_s=40)
        code, said = system.operator.resources.merge(
            "reciperun", name, {"spec": {"action": "Abort"}}
        )
        returned = time.monotonic()
        assert code == 0, said
        system.operator.wait_for("reciperun", name, "Succeeded", "Aborted")
        last = system.simulator.trace()[-1]
        # The simulator stamps on this host's monotonic clock.
        assert last["received_ns"] / 1e9 - returned < 1.0
    system.run("after", 1)
    system.operator.wait_for("reciperun", "after", "Succeeded", "Completed", within_s=60)
