"""The embedded database in the chart: its password, its volume, and doing without it."""

import pytest

from fixtures.chart import (
    CHARTS,
    defaults,
    helm,
    manifests,
    merged,
    nested,
    parsed,
    refused,
    render,
)

pytestmark = pytest.mark.integration

DATABASE = "StatefulSet/ald-database:spec.template.spec"
OWN = {"database": {"existingSecret": "mine"}}


def test_without_the_embedded_database_one_has_to_be_named():
    none = nested("database.embedded.enabled", value=False)
    assert "database: set existingSecret" in refused(none)
    found = render(merged(none, OWN))
    assert [name for kind, name in found if "database" in name] == []


def test_the_database_starts_only_when_no_other_server_has_its_volume():
    container = defaults().look(f"{DATABASE}.containers.postgresql")
    assert container["command"][0] == "flock"
    lock = container["command"][-1]
    assert any(lock.startswith(each["mountPath"] + "/") for each in container["volumeMounts"])
    data = next(each["value"] for each in container["env"] if each["name"] == "PGDATA")
    assert not lock.startswith(data), "the server makes its directory anew"


def test_the_password_of_the_database_is_made_once(resources):
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "ald-database",
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {
                "meta.helm.sh/release-name": "ald",
                "meta.helm.sh/release-namespace": resources.namespace,
            },
        },
        "stringData": {"password": "made-long-ago"},
    }
    assert resources.create(secret)[0] == 0
    done = helm(
        "install", "ald", str(CHARTS / "ald-operator"), "--dry-run=server",
        f"--namespace={resources.namespace}", f"--kubeconfig={resources.server.kubeconfig}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "postgresql://ald:made-long-ago@ald-database." in done.stdout
    assert "Before you uninstall" in done.stdout
    first, second = (parsed(manifests()).look("Secret/ald-database:stringData") for _ in range(2))
    assert first["password"] != second["password"]
    assert len(first["password"]) == 32
    assert first["password"] in first["url"]
