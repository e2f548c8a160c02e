"""Nothing is taken away from under a run."""

import json
import subprocess

import pytest

from fixtures.system import NAMESPACE, System, run_document

pytestmark = pytest.mark.e2e


def helm(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["helm", "--namespace", NAMESPACE, *args],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.timeout(240)
def test_uninstalling_while_a_run_is_on_is_refused_and_harms_nothing(idle: System) -> None:
    idle.delete("run", "kept")
    idle.apply(run_document("kept", "al2o3-demo", inputs={"cycles": 70}))
    idle.wait_for("run", "kept", lambda o: o["status"]["phase"] == "Running", within_s=30)
    refused = helm("uninstall", "ald", "--timeout", "60s")
    assert refused.returncode != 0
    assert "uninstall" in refused.stderr
    log = idle.kubectl("logs", "job/ald-uninstall", check=False).stdout
    assert "kept" in log + refused.stdout + refused.stderr
    release = json.loads(helm("status", "ald", "--output", "json").stdout)
    assert release["info"]["status"] == "uninstalling", "as docs/uninstall.md says"
    kept = helm("rollback", "ald", str(release["version"]), "--wait", "--timeout", "100s")
    assert kept.returncode == 0, kept.stderr
    release = json.loads(helm("status", "ald", "--output", "json").stdout)
    assert release["info"]["status"] == "deployed"
    assert idle.ended("kept", within_s=120)["reason"] == "Completed"
    assert idle.pod("ald-operator")["status"]["phase"] == "Running"
    idle.delete("run", "kept")
