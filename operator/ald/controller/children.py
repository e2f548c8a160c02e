"""The objects of one machine's gateway, kept as they should be."""

from __future__ import annotations

import functools

from ald.controller import manifests, names
from ald.controller.apply import DEPLOYMENT, VOLUME_CLAIM, Document, key_of
from ald.controller.certificates import Leaf
from ald.controller.manifests import Owner
from ald.controller.names import Key
from ald.controller.parts import Parts
from ald.errors import NotFoundError, PeerError, RefusedError
from ald.kit.log import get_logger
from ald.kit.tls import gateway_uri

RESYNC_INTERVAL_NS = 300_000_000_000
"""How often everything is applied again although nothing is known to have changed: somebody may have edited it."""

log = get_logger()


class Children:
    """Claim, Service, Secret, Deployment and disruption budget of the machine `key`."""

    def __init__(self, key: Key, parts: Parts) -> None:
        self._key = key
        self._parts = parts
        self._applied = ""
        self._applied_ns = 0
        self._certificate_ns = 0
        self._budget_applied: bool | None = None
        self.template_waits = False
        self.due_ns = 0

    def suspect(self) -> None:
        """Apply everything in the next pass: something of it has been changed or deleted."""
        self._applied = ""

    async def reconcile(self, machine: Document, *, is_busy: bool) -> None:
        """Bring everything up to date; sets `due_ns`, when to look again.

        While a run `is_busy`, a new pod template waits, since it ends the gateway that runs; `template_waits` says so, and
        stays until the pods of the old one are gone. No drain of the node ends that gateway either.

        Raises:
            PeerError, RefusedError: as the cluster says; the next pass tries again.
        """
        owner = Owner(key=self._key, uid=machine["metadata"]["uid"])
        await self._certificate(owner)
        now_ns = self._parts.clock.monotonic_ns()
        deployment = manifests.deployment(owner, self._parts.settings, self._parts.resources)
        wanted = manifests.digest(deployment)
        waits = self.template_waits
        is_old = now_ns - self._applied_ns >= RESYNC_INTERVAL_NS
        is_changed = self._applied != wanted
        if is_changed or is_old or (waits and not is_busy):
            await self._volume_claim(owner)
            await self._parts.cluster.apply(manifests.service(owner))
            await self._deployment(deployment, may_restart=not is_busy)
            self._applied, self._applied_ns = wanted, now_ns
        if is_changed or is_old or self._budget_applied != is_busy:
            await self._parts.cluster.apply(manifests.disruption_budget(owner, is_busy=is_busy))
            self._budget_applied = is_busy
        self.due_ns = min(self._applied_ns + RESYNC_INTERVAL_NS, self._certificate_ns)

    async def _certificate(self, owner: Owner) -> None:
        now_ns = self._parts.clock.monotonic_ns()
        if now_ns < self._certificate_ns and self._applied:
            return
        identity = gateway_uri(self._parts.settings.installation, *self._key)
        secret = Key(self._key.namespace, names.gateway_secret_name(self._key.name))
        await self._parts.keeper.ensure(secret, identity, functools.partial(_secret, owner))
        self._certificate_ns = now_ns + int(self._parts.keeper.check_interval_s * 1e9)

    async def _volume_claim(self, owner: Owner) -> None:
        """Bring the claim up to date, as far as that can be done of one that is there."""
        wanted = manifests.volume_claim(owner, self._parts.settings)
        found: Document | None
        try:
            found = await self._parts.cluster.get(VOLUME_CLAIM, key_of(wanted))
        except NotFoundError:
            found = None
        if found is not None and is_of_another(found, owner):
            # Taken over, it would stay, and no gateway works on the volume of another machine.
            raise PeerError("the volume of the Machine that had this name before is still there")
        try:
            await self._parts.cluster.apply(wanted)
        except (PeerError, RefusedError) as error:
            if found is None:
                raise
            # Most of a claim cannot be changed: another size or storage class counts for new machines.
            log.warning("volume_not_changed", machine=self._key.name, error=str(error))

    async def _deployment(self, deployment: Document, *, may_restart: bool) -> None:
        name = Key(self._key.namespace, names.gateway_name(self._key.name))
        found: Document | None
        try:
            found = await self._parts.cluster.get(DEPLOYMENT, name)
        except NotFoundError:
            found = None
        same = found is None or (
            manifests.template_digest(found) == manifests.template_digest(deployment)
        )
        if same or may_restart:
            found = await self._parts.cluster.apply(deployment)
            self.template_waits = not is_rolled_out(found)
        else:
            self.template_waits = True


def is_of_another(document: Document, owner: Owner) -> bool:
    """Return whether an object belongs to an owner that is not this one; nobody's belongs to whoever takes it."""
    owners = document["metadata"].get("ownerReferences") or []
    return bool(owners) and all(each["uid"] != owner.uid for each in owners)


def is_rolled_out(deployment: Document) -> bool:
    """Return whether no pod of an older template is left; so it is where nobody has started any yet."""
    status = deployment.get("status") or {}
    observed = status.get("observedGeneration")
    if observed is None:
        return True
    is_observed = int(observed) >= int(deployment["metadata"]["generation"])
    return is_observed and status.get("replicas", 0) == status.get("updatedReplicas", 0)


def _secret(owner: Owner, leaf: Leaf) -> Document:
    return manifests.tls_secret(
        owner, certificate=leaf.certificate, key=leaf.key, bundle=leaf.bundle
    )
