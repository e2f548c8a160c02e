"""Keeps the certificate authority and every certificate in Secrets, and the operator's own in files; renews what is due."""

from __future__ import annotations

import asyncio
import base64
import binascii
import datetime as dt
import ssl
from collections.abc import Callable
from pathlib import Path

from ald.controller import certificates, names
from ald.controller.apply import CONFLICT, SECRET, Cluster, Document
from ald.controller.certificates import Authority, Leaf, Signer
from ald.controller.manifests import tls_data
from ald.controller.names import Key
from ald.controller.settings import Settings, lifetime_s
from ald.errors import NotFoundError, PeerError, RefusedError
from ald.kit.clock import Clock
from ald.kit.log import get_logger
from ald.kit.tls import Credentials, CredentialsError, client_uri

CHECK_INTERVAL_S_MAX = 60.0
CHECKS_PER_LIFETIME = 20
CREATE_ATTEMPTS_MAX = 5
CLIENTS = (
    (names.OPERATOR_SECRET, "operator"),
    (names.LOGGER_SECRET, "logger"),
    (names.STOP_SECRET, "stop"),
)
"""The Secret of each client, and its role."""

log = get_logger()


class Keeper:
    """Owner of the authority. `ensure` may be called by several tasks at once; `refresh` by one."""

    def __init__(self, cluster: Cluster, settings: Settings, clock: Clock) -> None:
        self._cluster = cluster
        self._settings = settings
        self._clock = clock
        leaf_s = lifetime_s("ALD_CERTIFICATE_LIFETIME", settings.certificate_lifetime)
        authority_s = lifetime_s("ALD_AUTHORITY_LIFETIME", settings.authority_lifetime)
        self._lifetime = dt.timedelta(seconds=leaf_s)
        self._authority_lifetime = dt.timedelta(seconds=authority_s)
        self._authority: Authority | None = None
        self._credentials: Credentials | None = None
        self.check_interval_s = min(
            CHECK_INTERVAL_S_MAX, min(leaf_s, authority_s) / CHECKS_PER_LIFETIME
        )

    async def refresh(self) -> bool:
        """Bring authority and the clients' certificates up to date; return whether the trusted authorities changed.

        Raises:
            PeerError, RefusedError: the API server does not take it now.
        """
        before = self._authority.bundle if self._authority else b""
        self._authority = await self._current_authority()
        home = self._settings.operator_namespace
        for name, role in CLIENTS:
            identity = client_uri(self._settings.installation, role)
            leaf = await self.ensure(Key(home, name), identity, _client_secret(Key(home, name)))
            if role == "operator":
                await asyncio.to_thread(self._take, leaf)
        return self._authority.bundle != before

    def client_context(self, expected: str) -> ssl.SSLContext:
        """Return a context that goes on only with a server of the identity `expected`, with whatever is valid then.

        Raises:
            PeerError: there is no certificate yet.
        """
        if self._credentials is None:
            raise PeerError("the operator has no certificate yet")
        return self._credentials.client_context(expected)

    async def ensure(self, secret: Key, identity: str, build: Callable[[Leaf], Document]) -> Leaf:
        """Return the certificate in a Secret, made or renewed where that is due; `build` makes the Secret.

        Raises:
            PeerError, RefusedError: there is no authority yet, or the API server does not take it now.
        """
        if self._authority is None:
            raise PeerError("the certificate authority is not there yet")
        try:
            found = _leaf(await self._cluster.get(SECRET, secret))
        except NotFoundError:
            found = None
        wanted = certificates.current(
            found, self._authority, identity, now=self._now(), lifetime=self._lifetime
        )
        if wanted != found:
            await self._cluster.apply(build(wanted))
        return wanted

    async def _current_authority(self) -> Authority:
        """Read, make or rotate the authority; whoever is first wins, and the others read what it wrote."""
        key = Key(self._settings.operator_namespace, names.AUTHORITY_SECRET)
        for _ in range(CREATE_ATTEMPTS_MAX):
            document: Document | None
            try:
                document = await self._cluster.get(SECRET, key)
            except NotFoundError:
                document = None
            found = _authority(document) if document else None
            if found is not None and not certificates.is_sound(found):
                raise PeerError(
                    f"Secret {key.name} holds no authority that can be read: put it back as it was,"
                    " or delete it, and a new one is made"
                )
            wanted = certificates.rotated(
                found,
                self._settings.installation,
                now=self._now(),
                lifetime=self._authority_lifetime,
            )
            if wanted == found:
                return wanted
            try:
                if document is None:
                    await self._cluster.create(_authority_secret(key, wanted))
                else:
                    await self._cluster.merge(SECRET, key, _authority_change(document, wanted))
            except RefusedError as error:
                if error.reason != CONFLICT:
                    raise
                continue
            return wanted
        raise PeerError(f"Secret {key.name} keeps being changed by somebody else")

    def _take(self, leaf: Leaf) -> None:
        """Take over the operator's own certificate; blocks on the disk."""
        directory = Path(self._settings.tls_dir)
        write_files(directory, leaf)
        try:
            if self._credentials is None:
                self._credentials = Credentials(directory, _log_refusal)
            else:
                self._credentials.refresh()
        except CredentialsError as error:
            raise PeerError(str(error)) from error

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._clock.wall_ns() / 1e9, dt.UTC)


def write_files(directory: Path, leaf: Leaf) -> None:
    """Write a certificate where `ald.kit.tls` reads it; unchanged files stay untouched."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in (
        ("ca.crt", leaf.bundle),
        ("tls.key", leaf.key),
        ("tls.crt", leaf.certificate),
    ):
        path = directory / name
        if path.exists() and path.read_bytes() == data:
            continue
        new = directory / f".{name}.new"
        new.touch(mode=0o600)
        new.write_bytes(data)
        new.replace(path)


def _log_refusal(reason: str) -> None:
    log.warning("handshake_refused", reason=reason)


def _client_secret(key: Key) -> Callable[[Leaf], Document]:
    def build(leaf: Leaf) -> Document:
        return _secret(key) | tls_data(
            certificate=leaf.certificate, key=leaf.key, bundle=leaf.bundle
        )

    return build


def _authority_change(document: Document, authority: Authority) -> Document:
    """Return the change of exactly this version of the Secret; what is no longer in it is taken out."""
    gone: Document = dict.fromkeys(document.get("data") or {})
    return {
        "metadata": {"resourceVersion": document["metadata"]["resourceVersion"]},
        "data": gone | _authority_data(authority),
    }


def _authority_secret(key: Key, authority: Authority) -> Document:
    return _secret(key) | {"type": "Opaque", "data": _authority_data(authority)}


def _authority_data(authority: Authority) -> dict[str, str]:
    following = authority.following
    data = {
        "ca.crt": authority.current.certificate,
        "ca.key": authority.current.key,
        "next.crt": following.certificate if following else b"",
        "next.key": following.key if following else b"",
        "previous.crt": authority.previous,
        "bundle.crt": authority.bundle,
    }
    return {name: base64.b64encode(value).decode() for name, value in data.items() if value}


def _secret(key: Key) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {"app.kubernetes.io/name": "ald-operator", **names.MANAGED_BY},
        },
    }


def _authority(document: Document) -> Authority | None:
    data = _decoded(document)
    if not data.get("ca.crt") or not data.get("ca.key"):
        return None
    following = None
    if data.get("next.crt") and data.get("next.key"):
        following = Signer(certificate=data["next.crt"], key=data["next.key"])
    return Authority(
        current=Signer(certificate=data["ca.crt"], key=data["ca.key"]),
        following=following,
        previous=data.get("previous.crt", b""),
    )


def _leaf(document: Document) -> Leaf:
    data = _decoded(document)
    return Leaf(
        certificate=data.get("tls.crt", b""),
        key=data.get("tls.key", b""),
        bundle=data.get("ca.crt", b""),
    )


def _decoded(document: Document) -> dict[str, bytes]:
    """Return a Secret's data; what is no base64 counts as missing, so that it is made anew."""
    result = {}
    for name, value in (document.get("data") or {}).items():
        try:
            result[name] = base64.b64decode(value, validate=True)
        except binascii.Error:
            continue
    return result
