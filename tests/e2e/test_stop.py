"""The software stop from a host outside the cluster, with the operator away, as docs/cli.md says."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from fixtures.system import ROOT, System, run_document
from fixtures.wait import eventually

pytestmark = pytest.mark.e2e

PAGE = ROOT / "docs" / "cli.md"


def block(language: str, holding: str) -> str:
    """Return the example of the page that holds this."""
    parts = PAGE.read_text().split(f"```{language}\n")[1:]
    return next(text for text in (p.partition("```")[0] for p in parts) if holding in text)


@pytest.mark.timeout(240)
def test_a_machine_is_stopped_from_outside_the_cluster_without_the_operator(
    idle: System, tmp_path: Path
) -> None:
    idle.kubectl("apply", "-f", "-", stdin=block("yaml", "type: NodePort"))
    nodes = json.loads(idle.kubectl("get", "nodes", "-o", "json").stdout)["items"]
    host = next(a["address"] for a in nodes[0]["status"]["addresses"] if a["type"] == "InternalIP")
    try:
        idle.delete("run", "outside")
        idle.apply(run_document("outside", "al2o3-demo", inputs={"cycles": 100}))
        eventually(lambda: bool(idle.open_valves()), within_s=30)
        idle.kubectl("scale", "deploy/ald-operator", "--replicas=0")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block("bash", "ald stop").replace("node-1", host)],
            cwd=tmp_path,
            env=os.environ | {"PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert "safe state confirmed by the PLC" in done.stdout
        assert idle.open_valves() == []
    finally:
        idle.kubectl("scale", "deploy/ald-operator", "--replicas=1")
        idle.delete("service", "demo-reactor-stop")
    condition = idle.ended("outside", within_s=90)
    assert (condition["status"], condition["reason"]) == ("False", "Aborted")
    idle.delete("run", "outside")
