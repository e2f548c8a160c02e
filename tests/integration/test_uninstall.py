"""The question before an uninstall, as a process against a real API server."""

import os
import subprocess
import sys

import pytest

from fixtures.resources import Resources, changed, example

pytestmark = pytest.mark.integration

RUN = "runs/al2o3-demo.yaml"
ENDED = {
    "type": "Succeeded",
    "status": "True",
    "reason": "Completed",
    "message": "Completed.",
    "lastTransitionTime": "2026-03-01T12:00:00Z",
}


def ask(resources: Resources, namespaces: str) -> tuple[int, str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(resources.server.directory),
        "KUBECONFIG": str(resources.server.kubeconfig),
        "ALD_NAMESPACES": namespaces,
    }
    done = subprocess.run(
        [sys.executable, "-m", "ald.controller.uninstall"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert not done.stderr
    return done.returncode, done.stdout


def end(resources: Resources, name: str) -> None:
    code, said = resources.merge(
        "run", name, {"status": {"conditions": [ENDED]}}, "--subresource=status"
    )
    assert code == 0, said


def test_an_active_run_keeps_the_operator_until_it_has_ended(resources):
    home = resources.namespace
    assert ask(resources, home) == (0, "No run is active.\n")
    assert resources.create(example("machines/demo-reactor.yaml"))[0] == 0
    assert resources.create(example(RUN))[0] == 0
    assert resources.create(changed(RUN, "metadata.name", "earlier"))[0] == 0
    end(resources, "earlier")
    for namespaces in (home, f"elsewhere,{home}"):
        code, said = ask(resources, namespaces)
        assert code == 1
        assert f"{home}/al2o3-demo-0001 (Pending) on demo-reactor" in said
        assert f"{home}/demo-reactor" in said
        assert f"{home}/earlier" not in said
    code, said = ask(resources, "")
    assert code == 1, "all namespaces are looked at, those of other tests too"
    assert "these RecipeRuns have not ended" in said
    assert ask(resources, "elsewhere") == (0, "No run is active.\n")
    end(resources, "al2o3-demo-0001")
    code, said = ask(resources, home)
    assert code == 0
    assert "These Machines are still there" in said


def test_more_runs_than_one_page_holds_are_all_looked_at(resources):
    runs = [changed(RUN, "metadata.name", f"run-{index:03}") for index in range(501)]
    document = {"apiVersion": "v1", "kind": "List", "items": runs}
    assert resources.create(document)[0] == 0
    code, said = ask(resources, resources.namespace)
    assert code == 1
    assert "and 481 more" in said


def test_an_api_server_that_does_not_answer_keeps_the_operator(resources, tmp_path):
    nowhere = tmp_path / "kubeconfig"
    text = resources.server.kubeconfig.read_text()
    nowhere.write_text(text.replace(f"127.0.0.1:{resources.server.port}", "127.0.0.1:1"))
    done = subprocess.run(
        [sys.executable, "-m", "ald.controller.uninstall"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(nowhere)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "the API server does not answer" in done.stdout
    assert "Traceback" not in done.stderr
