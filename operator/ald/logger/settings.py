"""What the chart tells the logger, by environment variables named ALD_*; libpq's own (PG*) serve where `database_url` is empty."""

from typing import Annotated, Literal

import msgspec

from ald.errors import InvalidInputError, Violation
from ald.store.database import DatabaseSettings, Endpoint


def _says(description: str) -> msgspec.Meta:
    return msgspec.Meta(description=description)


def _within(description: str, low: int, high: int) -> msgspec.Meta:
    return msgspec.Meta(description=description, ge=low, le=high)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One field is one variable: `database_url` is ALD_DATABASE_URL."""

    installation: Annotated[
        str, _says("first part of every certificate's identity, and of history")
    ] = "ald"
    namespaces: Annotated[tuple[str, ...], _says("watched namespaces; empty: all")] = ()
    gateways: Annotated[
        tuple[str, ...], _says("NAMESPACE/NAME=URL, …: these gateways, and no look at Kubernetes")
    ] = ()
    gateway_url_template: Annotated[
        str, _says("where a machine's gateway is reached. Knows {machine}, {namespace}")
    ] = "https://{machine}-gateway.{namespace}.svc:8443"
    database_url: Annotated[str, _says("postgresql://…; empty: libpq's variables")] = ""
    database_pool_max: Annotated[int, _within("connections at most", 1, 100)] = 4
    database_statement_timeout_s: Annotated[int, _within("longest statement, s", 1, 600)] = 30
    database_lock_timeout_s: Annotated[int, _within("longest wait for a lock, s", 1, 600)] = 10
    batch_interval_ms: Annotated[
        int, _within("least time between two batches of one gateway", 0, 60_000)
    ] = 500
    tls_dir: Annotated[str, _says("tls.crt, tls.key and ca.crt of the role logger")] = (
        "/etc/ald/tls"
    )
    plain_port: Annotated[int, _says("port of /livez, /readyz, /metrics; 0 takes a free one")] = (
        8080
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _says("how much is logged")
    ] = "info"


SECRETS = frozenset({"database_url"})
"""Fields that are masked when the settings are printed."""


def database_settings(settings: Settings) -> DatabaseSettings:
    """Return the part that the store needs."""
    return DatabaseSettings(
        url=settings.database_url,
        pool_max=settings.database_pool_max,
        statement_timeout_s=settings.database_statement_timeout_s,
        lock_timeout_s=settings.database_lock_timeout_s,
    )


def static_endpoints(settings: Settings) -> list[Endpoint]:
    """Return the gateways named one by one.

    Raises:
        InvalidInputError: an entry is not NAMESPACE/NAME=https://HOST:PORT.
    """
    found, wrong = [], []
    for entry in settings.gateways:
        key, _, url = entry.partition("=")
        namespace, _, name = key.partition("/")
        if namespace and name and url.startswith("https://"):
            found.append(Endpoint(namespace=namespace, name=name, url=url.rstrip("/")))
        else:
            wrong.append(
                Violation(
                    path="ALD_GATEWAYS",
                    value=entry[:100],
                    rule="an entry is NAMESPACE/NAME=https://HOST:PORT",
                    hint="write for example lab/reactor=https://localhost:8443",
                )
            )
    if wrong:
        raise InvalidInputError(wrong)
    return found
