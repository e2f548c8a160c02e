"""Writes to the API server: server-side apply under one field manager, and the few calls that apply cannot do."""

from __future__ import annotations

import json
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
import msgspec
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from ald.controller.names import FIELD_MANAGER, Key
from ald.errors import NotFoundError, PeerError, RefusedError

Document = dict[str, Any]
REQUEST_TIMEOUT_S_MAX = 15.0
MESSAGE_LENGTH_MAX = 500
PAGE_LENGTH = 500
CONFLICT = "Conflict"
REFUSED = "Refused"


class Kind(msgspec.Struct, frozen=True):
    """One kind of resource, and where the API server keeps it."""

    api_version: str
    kind: str
    plural: str

    def path(self, key: Key | None = None, namespace: str = "", subresource: str = "") -> str:
        """Return the path of one object, or of the collection in a namespace, or without one in all of them."""
        root = "api" if "/" not in self.api_version else "apis"
        home = quote(key.namespace if key else namespace)
        within = f"/namespaces/{home}" if home else ""
        end = f"/{quote(key.name)}" if key else ""
        below = f"/{subresource}" if subresource else ""
        return f"/{root}/{self.api_version}{within}/{self.plural}{end}{below}"


MACHINE = Kind("ald.dev/v1alpha1", "Machine", "machines")
RECIPE = Kind("ald.dev/v1alpha1", "Recipe", "recipes")
RUN = Kind("ald.dev/v1alpha1", "RecipeRun", "reciperuns")
ACTION = Kind("ald.dev/v1alpha1", "MachineAction", "machineactions")
SECRET = Kind("v1", "Secret", "secrets")
SERVICE = Kind("v1", "Service", "services")
VOLUME_CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
KINDS = {
    (kind.api_version, kind.kind): kind
    for kind in (
        MACHINE, RECIPE, RUN, ACTION, SECRET, SERVICE, VOLUME_CLAIM, DEPLOYMENT,
        DISRUPTION_BUDGET, LEASE,
    )
}  # fmt: skip


def key_of(document: Document) -> Key:
    """Return namespace and name of an object."""
    meta = document["metadata"]
    return Key(meta["namespace"], meta["name"])


def kind_of(document: Document) -> Kind:
    """Return the kind of an object; it is one that the operator deals with."""
    return KINDS[document["apiVersion"], document["kind"]]


class Cluster(Protocol):
    """The API server as the operator uses it. Every call is bounded in time.

    Raises, all of them:
        NotFoundError: no such object.
        RefusedError: `Conflict` where somebody else was faster, `Refused` for what will not be accepted as it is.
        PeerError: the API server is away, overloaded, or does not let us yet.
    """

    async def apply(self, document: Document, *, subresource: str = "") -> Document:
        """Apply our part of an object; returns it whole."""
        ...

    async def create(self, document: Document) -> Document:
        """Create an object that must not exist yet."""
        ...

    async def get(self, kind: Kind, key: Key) -> Document:
        """Read an object."""
        ...

    async def merge(self, kind: Kind, key: Key, change: Document) -> Document:
        """Merge a change into an object; with a resource version in it, only into exactly that one."""
        ...


class KubernetesCluster:
    """`Cluster` over kubernetes.aio, documents in and out, so that no field is lost on the way."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def close(self) -> None:
        await self._client.close()

    async def apply(self, document: Document, *, subresource: str = "") -> Document:
        path = kind_of(document).path(key_of(document), subresource=subresource)
        query = [("fieldManager", FIELD_MANAGER), ("force", "true")]
        return await self._call("PATCH", path, document, "application/apply-patch+yaml", query)

    async def create(self, document: Document) -> Document:
        path = kind_of(document).path(namespace=document["metadata"]["namespace"])
        query = [("fieldManager", FIELD_MANAGER)]
        return await self._call("POST", path, document, "application/json", query)

    async def get(self, kind: Kind, key: Key) -> Document:
        return await self._call("GET", kind.path(key))

    async def merge(self, kind: Kind, key: Key, change: Document) -> Document:
        query = [("fieldManager", FIELD_MANAGER)]
        return await self._call(
            "PATCH", kind.path(key), change, "application/merge-patch+json", query
        )

    async def all(self, kind: Kind, namespace: str = "") -> list[Document]:
        """Return every object of a kind, in all namespaces by default; read in pages of `PAGE_LENGTH`."""
        found: list[Document] = []
        token = ""
        while True:
            query = [("limit", str(PAGE_LENGTH)), *([("continue", token)] if token else [])]
            page = await self._call("GET", kind.path(namespace=namespace), query=query)
            found += page["items"]
            token = page["metadata"].get("continue", "")
            if not token:
                return found

    async def serves(self, kind: Kind) -> bool:
        """Return whether the API server knows this kind of ours, that is: whether its definition is installed.

        Raises:
            PeerError: the API server does not answer.
        """
        try:
            found = await self._call("GET", f"/apis/{kind.api_version}")
        except NotFoundError:
            return False
        return any(each["name"] == kind.plural for each in found["resources"])

    async def _call(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        content_type: str = "application/json",
        query: list[tuple[str, str]] | None = None,
    ) -> Document:
        _, url, headers, _, _ = await self._client.param_serialize(
            method,
            path,
            query_params=query or [],
            header_params={"Accept": "application/json", "Content-Type": content_type},
            auth_settings=["BearerToken"],
        )
        try:
            answer = await self._client.rest_client.request(
                method,
                url,
                headers=headers,
                body=body,
                _request_timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S_MAX),
            )
            data: bytes = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PeerError(f"the API server does not answer: {error!r}") from error
        if answer.status >= 300:
            raise _refusal(answer.status, data, f"{method} {path}")
        result: Document = json.loads(data)
        return result


async def connect() -> KubernetesCluster:
    """Return a client by the pod's service account, or by the usual kubeconfig outside a cluster.

    Raises:
        PeerError: neither is there.
    """
    configuration = Configuration()
    try:
        kubernetes_config.load_incluster_config(client_configuration=configuration)
    except kubernetes_config.ConfigException:
        try:
            await kubernetes_config.load_kube_config(client_configuration=configuration)
        except kubernetes_config.ConfigException as error:
            raise PeerError(f"no way to the API server is configured: {error}") from error
    return KubernetesCluster(ApiClient(configuration))


def _refusal(status: int, data: bytes, call: str) -> Exception:
    """Turn an answer that is no success into our error; a lack of rights is temporary, since roles arrive late."""
    try:
        said = str(json.loads(data).get("message", ""))
    except ValueError:
        said = data.decode(errors="replace")
    message = f"{call}: {status}: {said}"[:MESSAGE_LENGTH_MAX]
    if status == 404:
        return NotFoundError(message)
    if status == 409:
        return RefusedError(CONFLICT, message)
    if status in (401, 403, 408, 429) or status >= 500:
        return PeerError(message)
    return RefusedError(REFUSED, message)
