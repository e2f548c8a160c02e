import base64

import msgspec
import pytest

from ald.controller import manifests
from ald.controller.manifests import Owner
from ald.controller.names import TEMPLATE_ANNOTATION, Key
from ald.controller.settings import (
    ContainerResources,
    GatewayResources,
    Settings,
    gateway_resources,
)
from ald.standing import RealTimeMode

OWNER = Owner(key=Key("plant-1", "demo"), uid="uid-1")
SETTINGS = Settings(
    operator_namespace="ald-system",
    gateway_image="registry.example/ald/gateway:1",
    image_pull_secrets=("pull-1",),
    gateway_storage_class="fast",
)


def deployment(settings=SETTINGS):
    return manifests.deployment(OWNER, settings, gateway_resources(settings))


def pod():
    return deployment()["spec"]["template"]["spec"]


def container(name):
    (found,) = [each for each in pod()["containers"] if each["name"] == name]
    return found


def environment(name):
    return {each["name"]: each["value"] for each in container(name)["env"]}


@pytest.mark.parametrize(
    "document",
    [
        manifests.volume_claim(OWNER, SETTINGS),
        manifests.service(OWNER),
        manifests.disruption_budget(OWNER, is_busy=True),
        manifests.tls_secret(OWNER, certificate=b"c", key=b"k", bundle=b"b"),
        deployment(),
    ],
)
def test_everything_belongs_to_the_machine_and_goes_with_it(document):
    meta = document["metadata"]
    assert meta["namespace"] == "plant-1"
    assert meta["ownerReferences"] == [
        {
            "apiVersion": "ald.dev/v1alpha1",
            "kind": "Machine",
            "name": "demo",
            "uid": "uid-1",
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]
    assert meta["labels"]["ald.dev/machine"] == "demo"


def test_one_gateway_at_a_time():
    spec = deployment()["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    assert spec["template"]["metadata"]["labels"].items() >= spec["selector"]["matchLabels"].items()


@pytest.mark.parametrize("name", ["driver", "front"])
def test_a_container_has_no_rights_at_all(name):
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_pod_runs_as_nobody_and_knows_no_kubernetes():
    assert pod()["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["enableServiceLinks"] is False
    assert pod()["terminationGracePeriodSeconds"] == 45


@pytest.mark.parametrize("name", ["driver", "front"])
def test_each_process_is_told_who_it_is(name):
    assert (
        environment(name).items()
        >= {
            "ALD_INSTALLATION": "ald",
            "ALD_NAMESPACE": "plant-1",
            "ALD_MACHINE": "demo",
            "ALD_MACHINE_UID": "uid-1",
            "ALD_RUN_DIR": "/run/ald",
            "ALD_STATE_DIR": "/var/lib/ald",
            "ALD_LOG_LEVEL": "info",
        }.items()
    )
    assert container(name)["command"] == ["python", "-m", f"ald.gateway.{name}"]
    assert container(name)["image"] == "registry.example/ald/gateway:1"
    assert container(name)["resources"]["limits"]


def test_only_the_front_has_ports_and_the_certificate():
    assert "ports" not in container("driver")
    assert {"ALD_TLS_DIR", "ALD_HTTPS_PORT", "ALD_PLAIN_PORT"} <= environment("front").keys()
    assert not {"ALD_TLS_DIR", "ALD_HTTPS_PORT"} & environment("driver").keys()
    mounts = {
        name: {m["name"] for m in container(name)["volumeMounts"]} for name in ("driver", "front")
    }
    assert mounts == {"driver": {"run", "state"}, "front": {"run", "state", "tls"}}


def test_the_probes_ask_each_process_itself():
    assert container("driver")["livenessProbe"]["exec"]["command"][-1] == "--probe"
    assert container("front")["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "plain"}
    assert container("front")["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_volumes_are_memory_claim_and_secret():
    volumes = {each["name"]: each for each in pod()["volumes"]}
    assert volumes["run"]["emptyDir"]["medium"] == "Memory"
    assert volumes["state"]["persistentVolumeClaim"]["claimName"] == "demo-gateway"
    assert volumes["tls"]["secret"] == {"secretName": "demo-gateway-tls", "defaultMode": 0o440}


def test_every_setting_shows():
    claim = manifests.volume_claim(OWNER, SETTINGS)["spec"]
    assert claim == {
        "accessModes": ["ReadWriteOncePod"],
        "resources": {"requests": {"storage": "2Gi"}},
        "storageClassName": "fast",
    }
    assert pod()["imagePullSecrets"] == [{"name": "pull-1"}]
    assert container("driver")["imagePullPolicy"] == "IfNotPresent"


def test_without_a_storage_class_the_default_one_is_left_to_the_cluster():
    plain = Settings(operator_namespace="ald-system", gateway_image="x")
    assert "storageClassName" not in manifests.volume_claim(OWNER, plain)["spec"]
    assert "imagePullSecrets" not in deployment(plain)["spec"]["template"]["spec"]


def test_the_service_also_publishes_a_gateway_that_is_not_ready():
    spec = manifests.service(OWNER)["spec"]
    assert spec["publishNotReadyAddresses"] is True
    assert [(port["name"], port["port"]) for port in spec["ports"]] == [
        ("https", 8443),
        ("plain", 8080),
    ]


def test_the_secret_holds_certificate_key_and_authorities():
    data = manifests.tls_secret(OWNER, certificate=b"c", key=b"k", bundle=b"b")["data"]
    decoded = {name: base64.b64decode(value) for name, value in data.items()}
    assert decoded == {"tls.crt": b"c", "tls.key": b"k", "ca.crt": b"b"}


def test_the_template_digest_changes_with_the_template_only():
    one, same = deployment(), deployment()
    other = deployment(Settings(operator_namespace="ald-system", gateway_image="other"))
    assert manifests.template_digest(one) == manifests.template_digest(same)
    assert manifests.template_digest(one) != manifests.template_digest(other)
    assert one["metadata"]["annotations"] == {TEMPLATE_ANNOTATION: manifests.template_digest(one)}
    assert manifests.template_digest({"metadata": {}}) == ""


@pytest.mark.parametrize(
    ("size", "feed"), [("2Gi", 3 << 29), ("1G", 750_000_000), ("1Ki", 1_000_000)]
)
def test_the_journal_leaves_room_on_its_volume_whatever_its_size(size, feed):
    settings = msgspec.structs.replace(SETTINGS, gateway_storage_size=size)
    spec = deployment(settings)["spec"]["template"]["spec"]
    (front,) = [each for each in spec["containers"] if each["name"] == "front"]
    assert {"name": "ALD_FEED_BYTES_MAX", "value": str(feed)} in front["env"]


@pytest.mark.parametrize(
    ("limits", "size"),
    [
        ({}, 384 << 20),
        ({"memory": "4Gi"}, 384 << 20),
        ({"memory": "512Mi"}, 384 << 20),
        ({"memory": "128Mi"}, 96 << 20),
        ({"memory": 100e6}, 75_000_000),
    ],
)
def test_the_volume_in_memory_never_takes_all_that_the_driver_may_have(limits, size):
    resources = GatewayResources(driver=ContainerResources(limits=limits))
    found = manifests.deployment(OWNER, SETTINGS, resources)["spec"]["template"]["spec"]
    (run,) = [each for each in found["volumes"] if each["name"] == "run"]
    assert run["emptyDir"] == {"medium": "Memory", "sizeLimit": str(size)}


@pytest.mark.parametrize(("is_busy", "allowed"), [(True, 0), (False, 1)])
def test_a_node_is_not_drained_of_a_gateway_with_a_run(is_busy, allowed):
    spec = manifests.disruption_budget(OWNER, is_busy=is_busy)["spec"]
    labels = deployment()["spec"]["template"]["metadata"]["labels"]
    assert spec["maxUnavailable"] == allowed
    assert labels.items() >= spec["selector"]["matchLabels"].items()


def test_real_time_gives_the_driver_one_right_and_the_front_none():
    settings = msgspec.structs.replace(SETTINGS, gateway_real_time=RealTimeMode.TRY)
    driver, front = deployment(settings)["spec"]["template"]["spec"]["containers"]
    assert driver["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsUser": 0,
        "runAsNonRoot": False,
        "capabilities": {"drop": ["ALL"], "add": ["SYS_NICE"]},
    }
    assert {"name": "ALD_REAL_TIME", "value": "Try"} in driver["env"]
    assert front == container("front")
