"""The objects of one machine's gateway, built whole: volume claim, certificate, service, deployment, budget. Pure."""

from __future__ import annotations

import base64
import hashlib

import msgspec

from ald.controller import names
from ald.controller.apply import Document
from ald.controller.names import Key
from ald.controller.quantity import bytes_of
from ald.controller.settings import ContainerResources, GatewayResources, Settings
from ald.standing import RealTimeMode

USER_ID = 65532
GRACE_PERIOD_S = 45
HTTPS_PORT = 8443
PLAIN_PORT = 8080
RUN_DIRECTORY = "/run/ald"
STATE_DIRECTORY = "/var/lib/ald"
TLS_DIRECTORY = "/etc/ald/tls"

FEED_SHARE = 0.75
"""Of the volume for the journal: its write-ahead log, the other files and the file system itself need the rest."""

FEED_BYTES_MIN = 1_000_000
"""The least that the front takes."""

RUN_SHARE = 0.75
"""Of the driver's memory for the volume that it shares with the front, since what it writes there counts as its own."""

RUN_BYTES_MAX = 384 * 1024**2
"""Room for the largest ring and what lies beside it."""


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The Machine that everything here belongs to, and goes with."""

    key: Key
    uid: str


def volume_claim(owner: Owner, settings: Settings) -> Document:
    """Return the claim of the volume for journal, spool, holder file and the accepted configuration."""
    spec: Document = {
        "accessModes": [settings.gateway_access_mode],
        "resources": {"requests": {"storage": settings.gateway_storage_size}},
    }
    if settings.gateway_storage_class:
        spec["storageClassName"] = settings.gateway_storage_class
    return _object("v1", "PersistentVolumeClaim", owner, names.gateway_name(owner.key.name)) | {
        "spec": spec
    }


def service(owner: Owner) -> Document:
    """Return the Service; it publishes addresses that are not ready, so that an abort reaches a gateway without a PLC."""
    machine = owner.key.name
    return _object("v1", "Service", owner, names.gateway_name(machine)) | {
        "spec": {
            "selector": _selector(machine),
            "publishNotReadyAddresses": True,
            "ports": [
                _port("https", HTTPS_PORT),
                _port("plain", PLAIN_PORT),
            ],
        }
    }


def disruption_budget(owner: Owner, *, is_busy: bool) -> Document:
    """Return the budget by which the drain of a node waits for the end of a run, and for nothing else."""
    machine = owner.key.name
    base = _object("policy/v1", "PodDisruptionBudget", owner, names.gateway_name(machine))
    return base | {
        "spec": {
            "maxUnavailable": 0 if is_busy else 1,
            "selector": {"matchLabels": _selector(machine)},
        }
    }


def tls_secret(owner: Owner, *, certificate: bytes, key: bytes, bundle: bytes) -> Document:
    """Return the Secret with the gateway's certificate, its key, and the authorities it trusts."""
    base = _object("v1", "Secret", owner, names.gateway_secret_name(owner.key.name))
    return base | tls_data(certificate=certificate, key=key, bundle=bundle)


def tls_data(*, certificate: bytes, key: bytes, bundle: bytes) -> Document:
    """Return type and data of a Secret with a certificate."""
    data = {"tls.crt": certificate, "tls.key": key, "ca.crt": bundle}
    return {
        "type": "kubernetes.io/tls",
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def deployment(owner: Owner, settings: Settings, resources: GatewayResources) -> Document:
    """Return the Deployment of the gateway, with the digest of its pod template as an annotation."""
    machine = owner.key.name
    template = _template(owner, settings, resources)
    base = _object("apps/v1", "Deployment", owner, names.gateway_name(machine))
    base["metadata"]["annotations"] = {names.TEMPLATE_ANNOTATION: digest(template)}
    return base | {
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 2,
            # A rolling update would start a second holder of the PLC before the first has ended.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": _selector(machine)},
            "template": template,
        }
    }


def template_digest(document: Document) -> str:
    """Return the digest of the pod template that a Deployment was applied with, or nothing."""
    annotations = document["metadata"].get("annotations") or {}
    return str(annotations.get(names.TEMPLATE_ANNOTATION, ""))


def digest(document: Document) -> str:
    """Return a short digest of a document."""
    return hashlib.sha256(msgspec.json.encode(document, order="deterministic")).hexdigest()[:16]


def feed_bytes(settings: Settings) -> int:
    """Return the size that the journal is kept below, so that it never fills its volume.

    Raises:
        InvalidInputError: the size of the volume is no quantity.
    """
    size = bytes_of(settings.gateway_storage_size, "ALD_GATEWAY_STORAGE_SIZE")
    return max(FEED_BYTES_MIN, int(size * FEED_SHARE))


def run_bytes(driver: ContainerResources) -> int:
    """Return the size of the volume in memory, so that a large ring is refused instead of ending the driver.

    Raises:
        InvalidInputError: the memory limit is no quantity.
    """
    limit = driver.limits.get("memory")
    if limit is None:
        return RUN_BYTES_MAX
    memory = bytes_of(str(limit), "ALD_GATEWAY_RESOURCES.driver.limits.memory")
    return min(RUN_BYTES_MAX, int(memory * RUN_SHARE))


def _template(owner: Owner, settings: Settings, resources: GatewayResources) -> Document:
    machine = owner.key.name
    pod: Document = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_PERIOD_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            _driver(owner, settings, resources.driver),
            _front(owner, settings, resources.front),
        ],
        "volumes": [
            {
                "name": "run",
                "emptyDir": {"medium": "Memory", "sizeLimit": str(run_bytes(resources.driver))},
            },
            {
                "name": "state",
                "persistentVolumeClaim": {"claimName": names.gateway_name(machine)},
            },
            {
                "name": "tls",
                "secret": {"secretName": names.gateway_secret_name(machine), "defaultMode": 0o440},
            },
        ],
    }
    if settings.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    return {"metadata": {"labels": names.machine_labels(machine)}, "spec": pod}


def _driver(owner: Owner, settings: Settings, resources: ContainerResources) -> Document:
    base = _container("driver", owner, settings, resources)
    if settings.gateway_real_time is RealTimeMode.TRY:
        # Kubernetes gives added capabilities to uid 0 only; the group is still the one that owns the volumes.
        base["securityContext"] |= {
            "runAsUser": 0,
            "runAsNonRoot": False,
            "capabilities": {"drop": ["ALL"], "add": ["SYS_NICE"]},
        }
        base["env"] = base["env"] + _environment(ALD_REAL_TIME="Try")
    return base | {
        "livenessProbe": {
            "exec": {"command": ["python", "-m", "ald.gateway.driver", "--probe"]},
            "initialDelaySeconds": 10,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
    }


def _front(owner: Owner, settings: Settings, resources: ContainerResources) -> Document:
    base = _container("front", owner, settings, resources)
    base["env"] = base["env"] + _environment(
        ALD_TLS_DIR=TLS_DIRECTORY,
        ALD_HTTPS_PORT=str(HTTPS_PORT),
        ALD_PLAIN_PORT=str(PLAIN_PORT),
        ALD_FEED_BYTES_MAX=str(feed_bytes(settings)),
    )
    base["volumeMounts"].append({"name": "tls", "mountPath": TLS_DIRECTORY, "readOnly": True})
    return base | {
        "ports": [
            {"name": "https", "containerPort": HTTPS_PORT, "protocol": "TCP"},
            {"name": "plain", "containerPort": PLAIN_PORT, "protocol": "TCP"},
        ],
        "livenessProbe": _probe("/livez", initial_s=10, threshold=3),
        "readinessProbe": _probe("/readyz", initial_s=1, threshold=2),
    }


def _container(
    name: str, owner: Owner, settings: Settings, resources: ContainerResources
) -> Document:
    base: Document = {
        "name": name,
        "image": settings.gateway_image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["python", "-m", f"ald.gateway.{name}"],
        "env": _environment(
            ALD_INSTALLATION=settings.installation,
            ALD_NAMESPACE=owner.key.namespace,
            ALD_MACHINE=owner.key.name,
            ALD_MACHINE_UID=owner.uid,
            ALD_RUN_DIR=RUN_DIRECTORY,
            ALD_STATE_DIR=STATE_DIRECTORY,
            ALD_LOG_LEVEL=settings.gateway_log_level,
        ),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "run", "mountPath": RUN_DIRECTORY},
            {"name": "state", "mountPath": STATE_DIRECTORY},
        ],
    }
    wanted = {"requests": dict(resources.requests), "limits": dict(resources.limits)}
    base["resources"] = {kind: amounts for kind, amounts in wanted.items() if amounts}
    return base


def _object(api_version: str, kind: str, owner: Owner, name: str) -> Document:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": owner.key.namespace,
            "labels": names.machine_labels(owner.key.name),
            "ownerReferences": [
                {
                    "apiVersion": "ald.dev/v1alpha1",
                    "kind": "Machine",
                    "name": owner.key.name,
                    "uid": owner.uid,
                    "controller": True,
                    # Needs a right of its own on some clusters, and nothing here deletes in the foreground.
                    "blockOwnerDeletion": False,
                }
            ],
        },
    }


def _selector(machine: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "ald-gateway", names.MACHINE_LABEL: machine}


def _port(name: str, port: int) -> Document:
    return {"name": name, "port": port, "targetPort": name, "protocol": "TCP"}


def _environment(**variables: str) -> list[Document]:
    return [{"name": name, "value": value} for name, value in variables.items()]


def _probe(path: str, *, initial_s: int, threshold: int) -> Document:
    return {
        "httpGet": {"path": path, "port": "plain"},
        "initialDelaySeconds": initial_s,
        "periodSeconds": 5,
        "timeoutSeconds": 3,
        "failureThreshold": threshold,
    }
