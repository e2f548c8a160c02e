"""The charts: every value changes what its comment says, a wrong one is refused by name, and an API server takes the objects."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ald.controller import manifests as gateway_manifests
from ald.controller import settings as operator_settings
from ald.controller import uninstall
from ald.controller.names import Key
from ald.kit.config import load
from ald.logger import settings as logger_settings
from ald.logger.settings import database_settings
from fixtures.chart import (
    CHARTS,
    WRONG,
    Document,
    Rendered,
    defaults,
    helm,
    leaves,
    manifests,
    merged,
    nested,
    parsed,
    refused,
    render,
)
from fixtures.resources import Resources
from fixtures.wait import eventually

pytestmark = pytest.mark.integration

VALUES: Document = yaml.safe_load((CHARTS / "ald-operator" / "values.yaml").read_text())
VERSION = yaml.safe_load((CHARTS / "ald-operator" / "Chart.yaml").read_text())["appVersion"]
OPERATOR = "Deployment/ald-operator:spec.template.spec"
LOGGER = "Deployment/ald-logger:spec.template.spec"
DATABASE = "StatefulSet/ald-database:spec.template.spec"
SIMULATOR = "Deployment/ald-simulator:spec.template.spec"
JOB = "Job/ald-uninstall:spec.template.spec"
FROM_OPERATOR = f"{OPERATOR}.containers.operator.env"
MORE = {"requests": {"cpu": 1, "memory": "200Mi"}, "limits": {"memory": "600Mi"}}
SIMULATED = {"simulator": {"enabled": True, "machine": "kind: Machine"}}
OWN = {"database": {"existingSecret": "mine"}}

Case = tuple[str, object, str, object]
CASES: list[Case] = [
    ("image.registry", "hub:5000/x", f"{OPERATOR}.containers.operator.image", f"hub:5000/x/ald-operator:{VERSION}"),
    ("image.registry", "hub:5000/x", f"{FROM_OPERATOR}.ALD_GATEWAY_IMAGE.value", f"hub:5000/x/ald-gateway:{VERSION}"),
    ("image.tag", "9", f"{LOGGER}.containers.logger.image", "localhost/ald-logger:9"),
    ("image.tag", "9", f"{SIMULATOR}.containers.simulator.image", "localhost/ald-simulator:9"),
    ("image.tag", "9", f"{JOB}.containers.uninstall.image", "localhost/ald-operator:9"),
    ("image.pullPolicy", "Always", f"{OPERATOR}.containers.operator.imagePullPolicy", "Always"),
    ("image.pullPolicy", "Always", f"{LOGGER}.containers.logger.imagePullPolicy", "Always"),
    ("image.pullPolicy", "Always", f"{DATABASE}.containers.postgresql.imagePullPolicy", "Always"),
    ("image.pullPolicy", "Always", f"{SIMULATOR}.containers.simulator.imagePullPolicy", "Always"),
    ("image.pullPolicy", "Always", f"{JOB}.containers.uninstall.imagePullPolicy", "Always"),
    ("image.pullPolicy", "Always", f"{FROM_OPERATOR}.ALD_IMAGE_PULL_POLICY.value", "Always"),
    ("image.pullSecrets", ["a", "b"], f"{OPERATOR}.imagePullSecrets", [{"name": "a"}, {"name": "b"}]),
    ("image.pullSecrets", ["a", "b"], f"{LOGGER}.imagePullSecrets", [{"name": "a"}, {"name": "b"}]),
    ("image.pullSecrets", ["a", "b"], f"{DATABASE}.imagePullSecrets", [{"name": "a"}, {"name": "b"}]),
    ("image.pullSecrets", ["a", "b"], f"{SIMULATOR}.imagePullSecrets", [{"name": "a"}, {"name": "b"}]),
    ("image.pullSecrets", ["a", "b"], f"{JOB}.imagePullSecrets", [{"name": "a"}, {"name": "b"}]),
    ("image.pullSecrets", ["a", "b"], f"{FROM_OPERATOR}.ALD_IMAGE_PULL_SECRETS.value", "a,b"),
    ("installation", "fab-2", f"{FROM_OPERATOR}.ALD_INSTALLATION.value", "fab-2"),
    ("installation", "fab-2", f"{LOGGER}.containers.logger.env.ALD_INSTALLATION.value", "fab-2"),
    ("watchNamespaces", ["a", "b"], f"{FROM_OPERATOR}.ALD_NAMESPACES.value", "a,b"),
    ("watchNamespaces", ["a", "b"], f"{LOGGER}.containers.logger.env.ALD_NAMESPACES.value", "a,b"),
    ("watchNamespaces", ["a", "b"], f"{JOB}.containers.uninstall.env.ALD_NAMESPACES.value", "a,b"),
    ("watchNamespaces", ["a", "b"], "Role/b/ald-logger:metadata.namespace", "b"),
    ("watchNamespaces", ["a", "b"], "ClusterRole/ald-operator-ald", None),
    ("logLevel", "debug", f"{FROM_OPERATOR}.ALD_LOG_LEVEL.value", "debug"),
    ("logLevel", "debug", f"{FROM_OPERATOR}.ALD_GATEWAY_LOG_LEVEL.value", "debug"),
    ("logLevel", "debug", f"{LOGGER}.containers.logger.env.ALD_LOG_LEVEL.value", "debug"),
    ("logLevel", "debug", f"{SIMULATOR}.containers.simulator.args", [
        "--machine", "/etc/ald/machine.yaml", "--host", "0.0.0.0", "--port", "1502", "--admin-port", "8090",
        "--seed", "1", "--log-level", "debug",
    ]),
    ("storageClass", "fast", f"{FROM_OPERATOR}.ALD_GATEWAY_STORAGE_CLASS.value", "fast"),
    ("storageClass", "fast", "PersistentVolumeClaim/ald-database:spec.storageClassName", "fast"),
    ("operator.resources", MORE, f"{OPERATOR}.containers.operator.resources", MORE),
    ("operator.resources", MORE, f"{JOB}.containers.uninstall.resources", MORE),
    ("gateway.realTime", "Try", f"{FROM_OPERATOR}.ALD_GATEWAY_REAL_TIME.value", "Try"),
    ("gateway.storage.size", "7Gi", f"{FROM_OPERATOR}.ALD_GATEWAY_STORAGE_SIZE.value", "7Gi"),
    ("gateway.storage.accessMode", "ReadWriteOnce", f"{FROM_OPERATOR}.ALD_GATEWAY_ACCESS_MODE.value", "ReadWriteOnce"),
    ("certificates.lifetime", "48h", f"{FROM_OPERATOR}.ALD_CERTIFICATE_LIFETIME.value", "48h"),
    ("logger.resources", MORE, f"{LOGGER}.containers.logger.resources", MORE),
    ("database.existingSecret", "mine", f"{LOGGER}.containers.logger.env.ALD_DATABASE_URL.valueFrom.secretKeyRef",
     {"name": "mine", "key": "url"}),
    ("database.existingSecret", "mine", "StatefulSet/ald-database", None),
    ("database.embedded.image", "pg:1", f"{DATABASE}.containers.postgresql.image", "pg:1"),
    ("database.embedded.runAsUser", 70, f"{DATABASE}.securityContext.runAsUser", 70),
    ("database.embedded.runAsUser", 70, f"{DATABASE}.securityContext.fsGroup", 70),
    ("database.embedded.storage", "9Gi", "PersistentVolumeClaim/ald-database:spec.resources.requests.storage", "9Gi"),
    ("database.embedded.resources", MORE, f"{DATABASE}.containers.postgresql.resources", MORE),
    ("simulator.machine", "spec: {}", "ConfigMap/ald-simulator:data", {"machine.yaml": "spec: {}"}),
    ("simulator.resources", MORE, f"{SIMULATOR}.containers.simulator.resources", MORE),
]  # fmt: skip
ELSEWHERE = {
    "gateway.resources.driver",
    "gateway.resources.front",
    "database.embedded.enabled",
    "simulator.enabled",
    "simulator.seed",
}
"""Values with a test of their own below."""


@pytest.mark.parametrize("chart", ["ald-operator", "ald-crds"])
def test_helm_finds_nothing_to_complain_about(chart):
    done = helm("lint", "--strict", str(CHARTS / chart))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("path", "value", "where", "wanted"), CASES, ids=[f"{c[0]}-{n}" for n, c in enumerate(CASES)]
)
def test_a_value_changes_what_it_is_for(path, value, where, wanted):
    before = render(SIMULATED) if "ald-simulator" in where else defaults()
    after = render(merged(SIMULATED, nested(path, value)))
    assert before.look(where) != wanted
    assert after.look(where) == wanted


def test_every_value_has_a_test():
    assert {case[0] for case in CASES} | ELSEWHERE == set(leaves(VALUES))


def test_the_simulator_is_there_when_wanted_and_wants_a_machine():
    assert defaults().look("Deployment/ald-simulator") is None
    assert render(SIMULATED).look("Service/ald-simulator") is not None
    assert "--set-file simulator.machine=FILE" in refused({"simulator": {"enabled": True}})
    seeded = render(merged(SIMULATED, nested("simulator.seed", 7)))
    args = seeded.look(f"{SIMULATOR}.containers.simulator.args")
    assert args[args.index("--seed") + 1] == "7"


def test_a_new_machine_starts_its_simulator_anew():
    where = "Deployment/ald-simulator:spec.template.metadata.annotations"
    other = merged(SIMULATED, nested("simulator.machine", "kind: Other"))
    assert render(SIMULATED).look(where) != render(other).look(where)


def settings_of_the_operator(values: Document | None = None) -> operator_settings.Settings:
    variables = render(values).environment("ald-operator", "operator")
    return load(operator_settings.Settings, variables)


def test_the_operator_takes_every_variable_that_it_is_given():
    settings = settings_of_the_operator()
    assert settings.operator_namespace == "ald"
    operator_settings.lifetime_s("ALD_CERTIFICATE_LIFETIME", settings.certificate_lifetime)


@pytest.mark.parametrize("container", ["driver", "front"])
def test_resources_of_a_gateway_reach_its_containers(container):
    settings = settings_of_the_operator(nested(f"gateway.resources.{container}", MORE))
    resources = operator_settings.gateway_resources(settings)
    owner = gateway_manifests.Owner(key=Key("plant", "reactor"), uid="u")
    deployment = gateway_manifests.deployment(owner, settings, resources)
    containers = deployment["spec"]["template"]["spec"]["containers"]
    assert [c["name"] for c in containers if c["resources"] == MORE] == [container]


def test_the_logger_takes_every_variable_that_it_is_given():
    variables = defaults().environment("ald-logger", "logger")
    settings = load(logger_settings.Settings, variables)
    assert database_settings(settings).url == "secret:ald-database/url"


def test_the_question_before_an_uninstall_takes_every_variable_that_it_is_given():
    variables = defaults().look(f"{JOB}.containers.uninstall.env")
    given = {each["name"]: each["value"] for each in variables}
    assert load(uninstall.Settings, given).namespaces == ()


def test_the_simulator_takes_every_option_that_it_is_given(tmp_path):
    args = list(render(SIMULATED).look(f"{SIMULATOR}.containers.simulator.args"))
    args[args.index("--machine") + 1] = str(tmp_path / "none.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "ald.simulator", *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "No such file" in done.stderr
    assert "usage" not in done.stderr


@pytest.mark.parametrize(("path", "value", "where"), WRONG, ids=[f"{w[0]}-{w[1]}" for w in WRONG])
def test_a_wrong_value_is_refused_by_name(path, value, where):
    assert f"at '{where}" in refused(nested(path, value))


def test_every_value_is_tried_with_a_wrong_one():
    assert {path for path, _, _ in WRONG} == set(leaves(VALUES))


def objects(values: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each object in the values, with a full stop at its end; the whole is the first."""
    yield path
    for name, value in values.items():
        if isinstance(value, dict) and name not in ("requests", "limits"):
            yield from objects(value, f"{path}{name}.")


@pytest.mark.parametrize("path", list(objects(VALUES)))
def test_an_unknown_key_is_refused_by_name(path):
    said = refused(nested(f"{path}typo", 1))
    where = f"/{path}".replace(".", "/").rstrip("/")
    assert f"at '{where}': additional properties 'typo' not allowed" in said


@pytest.mark.parametrize(
    "values", [None, merged(SIMULATED, OWN), merged(SIMULATED, nested("image.pullSecrets", ["a"]))]
)
def test_an_api_server_takes_all_objects(resources, values):
    text = manifests(values, namespace=resources.namespace)
    assert dry_run(resources, text) == len(parsed(text))


def test_an_api_server_takes_the_roles_of_watched_namespaces(resources):
    home = resources.namespace
    text = manifests({"watchNamespaces": [home]}, namespace=home)
    assert dry_run(resources, text) == len(parsed(text))


def test_the_chart_of_the_definitions_is_taken_and_kept(resources):
    text = manifests(chart="ald-crds")
    kinds = parsed(text)
    assert len(kinds) == 4
    for document in kinds.values():
        assert document["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert dry_run(resources, text) == 4


def dry_run(resources: Resources, text: str) -> int:
    """Return how many objects the server would have taken."""
    done = resources.server.kubectl(
        f"--namespace={resources.namespace}", "apply", "--dry-run=server", "--validate=strict",
        "--server-side", "--force-conflicts", "-f", "-", input=text,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return len(done.stdout.splitlines())


@pytest.fixture
def granted(resources: Resources) -> Iterator[Resources]:
    """Apply the accounts and roles of a release that watches the namespace of this test only; some are of the whole cluster."""
    home = resources.namespace
    found = parsed(manifests({"watchNamespaces": [home]}, namespace=home))
    rights = [d for (kind, _), d in found.items() if "Role" in kind or kind == "ServiceAccount"]
    everything = {"apiVersion": "v1", "kind": "List", "items": rights}
    code, said = resources.kubectl("apply", "-f", "-", document=everything)
    assert code == 0, said
    eventually(lambda: may(resources, "ald-operator", "list", "machines", home), within_s=10)
    yield resources
    code, said = resources.kubectl("delete", "-f", "-", document=everything)
    assert code == 0, said


def may(resources: Resources, account: str, verb: str, resource: str, namespace: str) -> bool:
    done = resources.server.kubectl(
        "auth", "can-i", verb, resource, f"--namespace={namespace}",
        f"--as=system:serviceaccount:{resources.namespace}:{account}",
    )  # fmt: skip
    return done.stdout.strip() == "yes"


@pytest.mark.requirement("SEC-03")
def test_with_watched_namespaces_there_are_no_rights_elsewhere(granted):
    home = granted.namespace
    for account in ("ald-operator", "ald-logger", "ald-uninstall"):
        assert may(granted, account, "list", "machines", home)
        assert not may(granted, account, "list", "machines", "default")
    assert not may(granted, "ald-uninstall", "patch", "reciperuns", home)
    assert not may(granted, "ald-uninstall", "get", "secrets", home)


@pytest.mark.requirement("SEC-03")
def test_the_question_before_an_uninstall_needs_no_more_than_its_role(granted, tmp_path):
    code, token = granted.kubectl("create", "token", "ald-uninstall")
    assert code == 0, token
    config = yaml.safe_load(granted.server.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token.strip()}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
    }

    def ask(namespaces: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "ald.controller.uninstall"],
            env=environment | {"ALD_NAMESPACES": namespaces},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert ask(granted.namespace).returncode == 0
    everywhere = ask("")
    assert everywhere.returncode == 1
    assert "403" in everywhere.stdout


def hooks(found: Rendered) -> set[tuple[str, str]]:
    return {
        key
        for key, document in found.items()
        if "helm.sh/hook" in document["metadata"].get("annotations", {})
    }


def test_all_that_asks_before_an_uninstall_is_there_only_then():
    assert hooks(defaults()) == {
        ("ServiceAccount", "ald-uninstall"),
        ("ClusterRole", "ald-uninstall-ald"),
        ("ClusterRoleBinding", "ald-uninstall-ald"),
        ("Job", "ald-uninstall"),
    }
    for key in hooks(defaults()):
        assert defaults()[key]["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
