"""TLS between our own processes: both sides show a certificate, and names are URIs, not host names.

A directory holds `tls.crt`, `tls.key` and `ca.crt` (one or more authorities), as a Kubernetes Secret is mounted. When they
change, connections made from then on use the new ones; those that are open go on. A process runs `keep_fresh` beside its work.

The role of a client is the last part of its URI `ald://INSTALLATION/ROLE`; a gateway is
`ald://INSTALLATION/gateway/NAMESPACE/NAME`. A client that finds another name at the other end breaks off the handshake.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from typing_extensions import override

from ald.errors import TemporaryError

REFRESH_S = 5.0
"""How often `keep_fresh` looks at the files."""

CERTIFICATE, KEY, AUTHORITIES = "tls.crt", "tls.key", "ca.crt"
ROLES = frozenset({"operator", "logger", "monitor", "stop"})


class CredentialsError(TemporaryError):
    """The files of a directory are missing, incomplete or do not fit together."""


def client_uri(installation: str, role: str) -> str:
    """Return the name of a client; `role` is one of `ROLES`."""
    assert role in ROLES, f"{role} is no role"
    return f"ald://{installation}/{role}"


def gateway_uri(installation: str, namespace: str, machine: str) -> str:
    """Return the name of a gateway."""
    return f"ald://{installation}/gateway/{namespace}/{machine}"


def peer_uris(ssl_object: ssl.SSLObject) -> tuple[str, ...]:
    """Return the URIs in the verified certificate at the other end."""
    certificate = ssl_object.getpeercert() or {}
    names = cast("Sequence[tuple[str, str]]", certificate.get("subjectAltName", ()))
    return tuple(value for kind, value in names if kind == "URI")


def peer_role(ssl_object: ssl.SSLObject, installation: str) -> str | None:
    """Return the role of the client at the other end; None when its certificate names none of this installation."""
    uris = peer_uris(ssl_object)
    roles = [role for role in sorted(ROLES) if client_uri(installation, role) in uris]
    # Two roles in one certificate are nobody's: rights must not add up by mistake.
    return roles[0] if len(roles) == 1 else None


class Credentials:
    """One directory of key, certificate and authorities.

    `on_refused` is called with the reason whenever a handshake fails because of what the other side showed.
    """

    def __init__(self, directory: Path, on_refused: Callable[[str], None]) -> None:
        """Raises CredentialsError."""
        self._directory = directory
        self._on_refused = on_refused
        self._contents = self._read()
        self._server, self._client = self._build()

    def server_context(self) -> ssl.SSLContext:
        """Return a context that lets in only clients with a certificate of our authorities."""
        return _Fresh.of(ssl.PROTOCOL_TLS_SERVER, lambda: self._server, expected="")

    def client_context(self, expected: str) -> ssl.SSLContext:
        """Return a context that goes on only with a server that has the URI `expected`."""
        return _Fresh.of(ssl.PROTOCOL_TLS_CLIENT, lambda: self._client, expected=expected)

    def refresh(self) -> bool:
        """Take over changed files and tell whether there were any; blocks on the disk.

        Raises:
            CredentialsError: what is there now does not work; the old ones stay in use.
        """
        contents = self._read()
        if contents == self._contents:
            return False
        self._server, self._client = self._build()
        self._contents = contents
        return True

    def _read(self) -> tuple[bytes, ...]:
        try:
            return tuple(
                (self._directory / name).read_bytes() for name in (CERTIFICATE, KEY, AUTHORITIES)
            )
        except OSError as error:
            raise CredentialsError(f"cannot read {error.filename}: {error.strerror}") from error

    def _build(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        return self._context(ssl.PROTOCOL_TLS_SERVER), self._context(ssl.PROTOCOL_TLS_CLIENT)

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        if protocol == ssl.PROTOCOL_TLS_SERVER:
            # A resumed session would outlive the certificate that it was opened with.
            context.num_tickets = 0
        try:
            context.load_verify_locations(str(self._directory / AUTHORITIES))
            context.load_cert_chain(str(self._directory / CERTIFICATE), str(self._directory / KEY))
        except (OSError, ssl.SSLError) as error:
            raise CredentialsError(
                f"the certificates in {self._directory} do not work: {error}"
            ) from error
        context.sslobject_class = _checked(self._on_refused)
        return context


async def keep_fresh(credentials: Credentials, on_error: Callable[[str], None]) -> None:
    """Take over changed files for ever; `on_error` hears once of each new failure."""
    said = ""
    while True:
        try:
            await asyncio.to_thread(credentials.refresh)
            said = ""
        except CredentialsError as error:
            if str(error) != said:
                said = str(error)
                on_error(said)
        await asyncio.sleep(REFRESH_S)


class _Checked(ssl.SSLObject):
    """A handshake that also checks the peer's name and tells of refusals."""

    expected = ""
    on_refused: Callable[[str], None]

    @override
    def do_handshake(self) -> None:
        try:
            super().do_handshake()
            if self.expected and self.expected not in peer_uris(self):
                found = ", ".join(peer_uris(self)) or "no URI"
                raise ssl.SSLCertVerificationError(
                    f"expected {self.expected} at the other end, found {found}"
                )
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            type(self).on_refused(str(error))
            raise


def _checked(on_refused: Callable[[str], None]) -> type[_Checked]:
    """Return the class for one listener; the context makes the objects itself and takes only a class."""
    return type("_Refusing", (_Checked,), {"on_refused": staticmethod(on_refused)})


class _Fresh(ssl.SSLContext):
    """A context that makes each connection with whatever context is the present one."""

    _present: Callable[[], ssl.SSLContext]
    _expected: str

    @classmethod
    def of(cls, side: int, present: Callable[[], ssl.SSLContext], *, expected: str) -> _Fresh:
        made = cls(side)
        made.check_hostname = False
        made._present, made._expected = present, expected
        return made

    @override
    def __repr__(self) -> str:
        # Clients put it into the messages that people read.
        return self._expected or "mutual"

    @override
    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        made = self._present().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(made, _Checked), "the present context makes checked objects"
        made.expected = self._expected
        return made
