"""The API server that `hack/cluster tools` builds is a real one, and ends with the tests."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
from pathlib import Path

import pytest

from fixtures.apiserver import ApiServer
from fixtures.wait import eventually

pytestmark = pytest.mark.integration

START_TIMEOUT_S_MAX = 60.0
END_TIMEOUT_S_MAX = 20.0

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {kind: Thing, plural: things}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {count: {type: integer}}
            x-kubernetes-validations: [{rule: "self.count > 0"}]
"""


def thing(name: str, count: int) -> str:
    kind = {"apiVersion": "example.org/v1", "kind": "Thing"}
    return json.dumps({**kind, "metadata": {"name": name}, "spec": {"count": count}})


def test_server_and_client_are_of_the_version_in_the_module_file(apiserver: ApiServer) -> None:
    modules = Path(__file__).parents[2] / "hack" / "cluster.d" / "go" / "cluster" / "go.mod"
    version = json.loads(apiserver.kubectl("version", "-o", "json").stdout)
    assert version["clientVersion"]["gitVersion"] == version["serverVersion"]["gitVersion"]
    assert f"k8s.io/kubernetes {version['serverVersion']['gitVersion']}" in modules.read_text()


def test_rules_of_a_custom_resource_are_enforced(apiserver: ApiServer, namespace: str) -> None:
    assert apiserver.kubectl("apply", "-f", "-", input=DEFINITION).returncode == 0
    try:
        apiserver.has_established(["crd/things.example.org"])
        apply = ("apply", "-n", namespace, "-f", "-")
        good = apiserver.kubectl(*apply, input=thing("good", 1))
        assert good.returncode == 0, good.stderr
        bad = apiserver.kubectl(*apply, input=thing("bad", 0))
        assert bad.returncode != 0
        assert "self.count > 0" in bad.stderr
    finally:
        apiserver.kubectl("delete", "-f", "-", input=DEFINITION)


def test_a_caller_without_the_token_is_refused(apiserver: ApiServer) -> None:
    stranger = ApiServer(port=apiserver.port, directory=apiserver.directory, token="wrong")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        stranger.get("/api/v1/namespaces")


def test_a_killed_test_process_leaves_no_server_and_no_directory() -> None:
    script = (
        "import fixtures.apiserver as a, sys, time\n"
        "with a.run_apiserver() as server:\n"
        "    print(server.directory, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    tests = str(Path(__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": tests},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        directory = Path(process.stdout.readline().strip())
        assert directory.is_dir()
        assert processes_naming(directory)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def nothing_left() -> bool:
        return not processes_naming(directory) and not directory.exists()

    eventually(nothing_left, within_s=END_TIMEOUT_S_MAX)


def processes_naming(directory: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:  # it ended between the listing and the reading
            continue
        if str(directory).encode() in command:
            found.append(entry.name)
    return found
