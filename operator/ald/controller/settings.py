"""What the chart tells the operator, by environment variables named ALD_*."""

import re
from typing import Annotated

import msgspec

from ald.errors import InvalidInputError, Violation
from ald.standing import RealTimeMode

_LIFETIME = re.compile(r"([0-9]+)(s|m|h)")
_UNIT_S = {"s": 1, "m": 60, "h": 3600}
LIFETIME_S_MIN = 3
LIFETIME_S_MAX = 100 * 366 * 24 * 3600


def _says(description: str) -> msgspec.Meta:
    return msgspec.Meta(description=description)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One field is one variable: `gateway_image` is ALD_GATEWAY_IMAGE."""

    operator_namespace: Annotated[str, _says("where the operator runs and keeps its certificates")]
    gateway_image: Annotated[str, _says("image of both containers of a gateway")]
    installation: Annotated[
        str, _says("first part of every certificate's identity, and of history")
    ] = "ald"
    namespaces: Annotated[tuple[str, ...], _says("watched namespaces; empty: all")] = ()
    image_pull_policy: Annotated[str, _says("pull policy of the gateway's image")] = "IfNotPresent"
    image_pull_secrets: Annotated[
        tuple[str, ...], _says("names of pull secrets for the gateway")
    ] = ()
    gateway_storage_class: Annotated[
        str, _says("storage class of a volume; empty: the default one")
    ] = ""
    gateway_storage_size: Annotated[str, _says("size of a gateway's volume")] = "2Gi"
    gateway_access_mode: Annotated[str, _says("access mode of a gateway's volume")] = (
        "ReadWriteOncePod"
    )
    gateway_resources: Annotated[
        str, _says("JSON object: resources of `driver` and of `front`")
    ] = (
        '{"driver": {"requests": {"cpu": "100m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},'
        ' "front": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}}'
    )
    gateway_real_time: Annotated[
        RealTimeMode,
        _says("Try: the driver runs as root with only SYS_NICE and asks for real-time priority"),
    ] = RealTimeMode.OFF
    gateway_log_level: Annotated[str, _says("log level of gateways")] = "info"
    gateway_url_template: Annotated[
        str,
        _says("where a gateway is reached; tests put it on loopback. Knows {machine}, {namespace}"),
    ] = "https://{machine}-gateway.{namespace}.svc:8443"
    certificate_lifetime: Annotated[str, _says("life of a certificate, renewed at two thirds")] = (
        "2160h"
    )
    authority_lifetime: Annotated[str, _says("life of the certificate authority")] = "87600h"
    tls_dir: Annotated[str, _says("writable directory for the operator's own certificate")] = (
        "/run/ald/tls"
    )
    plain_port: Annotated[int, _says("port of /livez, /readyz, /metrics")] = 8080
    log_level: Annotated[str, _says("debug, info, warning or error")] = "info"


class ContainerResources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Requests and limits as a container takes them: `cpu: 500m`, and `cpu: 1` too."""

    requests: dict[str, str | float] = {}
    limits: dict[str, str | float] = {}


class GatewayResources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Resources of the two containers of a gateway."""

    driver: ContainerResources = ContainerResources()
    front: ContainerResources = ContainerResources()


def gateway_resources(settings: Settings) -> GatewayResources:
    """Return the resources of a gateway's containers.

    Raises:
        InvalidInputError: the variable is no such JSON object.
    """
    try:
        return msgspec.json.decode(settings.gateway_resources, type=GatewayResources)
    except msgspec.DecodeError as error:
        raise _wrong(
            "ALD_GATEWAY_RESOURCES",
            settings.gateway_resources,
            f"this is no JSON object of resources: {error}",
            'write for example {"driver": {"limits": {"memory": "512Mi"}}}',
        ) from error


def lifetime_s(variable: str, text: str) -> int:
    """Return a certificate's lifetime in seconds, from whole hours, minutes and seconds such as `2160h` or `1h30m`.

    Raises:
        InvalidInputError: no such text, or outside `LIFETIME_S_MIN` to `LIFETIME_S_MAX`; names `variable`.
    """
    parts = _LIFETIME.findall(text)
    total = sum(int(number) * _UNIT_S[unit] for number, unit in parts)
    written = "".join(number + unit for number, unit in parts)
    if written != text or not LIFETIME_S_MIN <= total <= LIFETIME_S_MAX:
        raise _wrong(
            variable,
            text,
            "a lifetime is whole hours, minutes or seconds",
            "write for example 2160h",
        )
    return total


def _wrong(path: str, value: str, rule: str, hint: str) -> InvalidInputError:
    return InvalidInputError([Violation(path=path, value=value[:100], rule=rule, hint=hint)])
