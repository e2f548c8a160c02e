"""What every task of the operator works with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ald.controller.announce import Announcer
from ald.controller.apply import Cluster, Document, Kind, key_of, kind_of
from ald.controller.compiler import Compiler
from ald.controller.gateway import Gateway
from ald.controller.keeper import Keeper
from ald.controller.metrics import Metrics
from ald.controller.names import Key
from ald.controller.settings import GatewayResources, Settings
from ald.controller.world import World, finalizers, uid
from ald.errors import NotFoundError, RefusedError
from ald.kit.clock import Clock


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The operator's parts, made once; `gateway` makes the way to a machine's gateway."""

    settings: Settings
    resources: GatewayResources
    cluster: Cluster
    world: World
    compiler: Compiler
    keeper: Keeper
    announcer: Announcer
    metrics: Metrics
    clock: Clock
    gateway: Callable[[Key], Gateway]

    async def write_status(
        self, document: Document, status: Document, *, exactly: bool = False
    ) -> None:
        """Write a status whole and take in what the API server made of it.

        With `exactly`, only onto the version of the object that is known: for what is written once.

        Raises:
            RefusedError: `Conflict` when the object has changed since; the newest version is in the world then.
            NotFoundError, PeerError: as the cluster says.
        """
        key = key_of(document)
        meta = {"name": key.name, "namespace": key.namespace, "uid": uid(document)}
        if exactly:
            meta["resourceVersion"] = document["metadata"]["resourceVersion"]
        body = {
            "apiVersion": document["apiVersion"],
            "kind": document["kind"],
            "metadata": meta,
            "status": status,
        }
        try:
            self.world.put(await self.cluster.apply(body, subresource="status"))
        except NotFoundError:
            self.world.remove(document)
            raise
        except RefusedError:
            await self.read_again(kind_of(document), document)
            raise

    async def set_finalizer(self, document: Document, finalizer: str, *, present: bool) -> None:
        """Put our finalizer on an object or take it off; no more than it has to be.

        Raises:
            RefusedError: the object has changed since, or is being deleted; the newest version is in the world then.
            NotFoundError, PeerError: as the cluster says.
        """
        now = finalizers(document)
        if (finalizer in now) == present:
            return
        wanted = [*now, finalizer] if present else [name for name in now if name != finalizer]
        version = document["metadata"]["resourceVersion"]
        change = {"metadata": {"resourceVersion": version, "finalizers": wanted}}
        kind = kind_of(document)
        try:
            self.world.put(await self.cluster.merge(kind, key_of(document), change))
        except NotFoundError:
            self.world.remove(document)
            raise
        except RefusedError:
            await self.read_again(kind, document)
            raise

    async def read_again(self, kind: Kind, document: Document) -> None:
        """Take in the newest version of an object, or that it is gone."""
        try:
            self.world.put(await self.cluster.get(kind, key_of(document)))
        except NotFoundError:
            self.world.remove(document)
