"""`ald stop --url`: the software stop over HTTPS, which needs neither operator, API server nor database."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ald.cli.gateway import gateway
from ald.cli.stop import (
    ANSWER_TIMEOUT_S,
    CONFIRM_TIMEOUT_S,
    LOOK_INTERVAL_S,
    REASON,
    is_under_way,
)
from ald.errors import PeerError
from ald.kit import tls
from ald.kit.clock import SystemClock
from ald.wire import AbortOrder, DriverStatus, GatewayStatus


async def stop(
    url: str, tls_dir: Path, installation: str, namespace: str, name: str
) -> tuple[DriverStatus, DriverStatus]:
    """Stop the machine; return what its driver said before, and at the end.

    Raises:
        PeerError: the gateway or its driver does not answer, or refuses; whether the machine stops is then unknown.
        CredentialsError: the certificate in `tls_dir` cannot be read.
    """
    clock = SystemClock()
    expected = tls.gateway_uri(installation, namespace, name)
    async with gateway(url, tls_dir, expected, timeout_s=ANSWER_TIMEOUT_S) as front:
        before = (await front.get("/v1/status", GatewayStatus)).driver
        order = AbortOrder(reason=REASON, by="ald stop over HTTPS")
        now = _driver(await front.post("/v1/stop", order, GatewayStatus))
        before = before or now
        deadline_ns = clock.monotonic_ns() + int(CONFIRM_TIMEOUT_S * 1e9)
        while is_under_way(before, now) and clock.monotonic_ns() < deadline_ns:
            await asyncio.sleep(LOOK_INTERVAL_S)
            now = _driver(await front.get("/v1/status", GatewayStatus))
    return before, now


def _driver(status: GatewayStatus) -> DriverStatus:
    if status.driver is None:
        raise PeerError(
            "the driver does not answer: look at the valves, and use the hardware's stop"
        )
    return status.driver
