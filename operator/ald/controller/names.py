"""Names that the operator gives: of objects, labels, annotations, and of itself."""

from typing import NamedTuple

FIELD_MANAGER = "ald-operator"
MANAGED_BY = {"app.kubernetes.io/managed-by": "ald-operator"}
MACHINE_LABEL = "ald.dev/machine"
TEMPLATE_ANNOTATION = "ald.dev/template-digest"
"""On a gateway's Deployment: digest of the pod template that was applied, to tell a new one without comparing defaults."""

RUN_FINALIZER = "ald.dev/active-run"
"""On a RecipeRun that a gateway has: deleting it becomes an Abort, and it stays until the run has ended."""

MACHINE_FINALIZER = "ald.dev/machine-in-use"
"""On every Machine that has a gateway: it stays until its run has ended and the history has its records."""

AUTHORITY_SECRET = "ald-ca"  # noqa: S105 -- the name of a Secret, not a secret
OPERATOR_SECRET = "ald-operator-tls"  # noqa: S105 -- the name of a Secret, not a secret
LOGGER_SECRET = "ald-logger-tls"  # noqa: S105 -- the name of a Secret, not a secret
STOP_SECRET = "ald-stop-tls"  # noqa: S105 -- the name of a Secret, not a secret
"""The certificate with which `ald stop` stops a machine from outside the cluster, and may do nothing else."""

SELF_CHECK_LEASE = "ald-operator"


class Key(NamedTuple):
    """An object of one kind by namespace and name."""

    namespace: str
    name: str


def gateway_name(machine: str) -> str:
    """Return the name of a gateway's Deployment, Service and volume claim."""
    return f"{machine}-gateway"


def gateway_secret_name(machine: str) -> str:
    """Return the name of the Secret with a gateway's certificate."""
    return f"{machine}-gateway-tls"


def machine_labels(machine: str) -> dict[str, str]:
    """Return the labels of everything that belongs to a machine's gateway."""
    return {
        "app.kubernetes.io/name": "ald-gateway",
        **MANAGED_BY,
        MACHINE_LABEL: machine,
    }
