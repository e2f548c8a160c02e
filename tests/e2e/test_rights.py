"""The operator and the logger have the rights they need and no others."""

import pytest

from fixtures.system import NAMESPACE, System

pytestmark = pytest.mark.e2e


def may(system: System, account: str, verb: str, resource: str, namespace: str = NAMESPACE) -> bool:
    done = system.kubectl(
        "auth", "can-i", verb, resource, "-n", namespace,
        f"--as=system:serviceaccount:{NAMESPACE}:{account}", check=False,
    )  # fmt: skip
    return done.stdout.strip() == "yes"


@pytest.mark.requirement("SEC-03")
@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("list", "machines.ald.dev"),
        ("patch", "reciperuns.ald.dev/status"),
        ("create", "deployments.apps"),
        ("patch", "poddisruptionbudgets.policy"),
        ("get", "secrets/ald-ca"),
    ],
)
def test_the_operator_may_do_its_work(system: System, verb: str, resource: str) -> None:
    assert may(system, "ald-operator", verb, resource)


@pytest.mark.requirement("SEC-03")
@pytest.mark.parametrize(
    ("account", "verb", "resource"),
    [
        ("ald-operator", "create", "machines.ald.dev"),
        ("ald-operator", "delete", "reciperuns.ald.dev"),
        ("ald-operator", "list", "secrets"),
        ("ald-operator", "delete", "secrets"),
        ("ald-operator", "delete", "deployments.apps"),
        ("ald-operator", "list", "pods"),
        ("ald-operator", "create", "pods"),
        ("ald-operator", "create", "pods/exec"),
        ("ald-operator", "delete", "namespaces"),
        ("ald-operator", "create", "clusterroles"),
        ("ald-logger", "patch", "machines.ald.dev"),
        ("ald-logger", "get", "secrets"),
        ("ald-logger", "list", "reciperuns.ald.dev"),
        ("default", "list", "machines.ald.dev"),
    ],
)
def test_nobody_may_do_more(system: System, account: str, verb: str, resource: str) -> None:
    assert not may(system, account, verb, resource)


@pytest.mark.requirement("SEC-03")
@pytest.mark.parametrize(
    "app", ["ald-operator", "ald-logger", "ald-gateway", "ald-simulator", "ald-database"]
)
def test_every_container_runs_without_rights(system: System, app: str) -> None:
    pod = system.pod(app)["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
