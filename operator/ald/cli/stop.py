"""`ald stop`: the software stop, spoken over the driver's own socket, so that it needs neither network nor operator.

With --url it is asked of the gateway's front over HTTPS instead, from wherever the certificate is.

A message is cut into packets as in `ald.gateway.packets`; what is said here fits into one.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ald.cli.examples import examples
from ald.errors import PeerError, RefusedError
from ald.kit.clock import SystemClock
from ald.records.event import MachineState
from ald.wire import (
    AbortOrder,
    AbortRun,
    DriverReply,
    DriverRequest,
    DriverStatus,
    GetStatus,
)

ANSWER_TIMEOUT_S = 5.0
"""A driver that is alive answers in milliseconds."""

CONFIRM_TIMEOUT_S = 15.0
"""Longest wait for the safe state; the driver itself gives up after 10 s and says so."""

SUCCESSOR_S = 1.5
"""How long a stop waits for the successor of a driver that is away or dies before it answers; it is there within half a second."""

LOOK_INTERVAL_S = 0.1
REASON = "stopped by hand with ald stop"

PACKET_BYTES_MAX = 65_536
_LAST = b"\x01"
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(DriverReply)

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    epilog=examples(
        "kubectl exec deploy/demo-reactor-gateway -c driver -- ald stop",
        "ald stop --url https://node-1:30443 --machine ald/demo-reactor --tls-dir ./stop-certificate",
    )
)
def stop(
    run_dir: Annotated[
        Path,
        typer.Option(envvar="ALD_RUN_DIR", help="Directory of the driver's socket."),
    ] = Path("/run/ald"),
    url: Annotated[
        str, typer.Option(help="Ask the gateway's front at this https:// address instead.")
    ] = "",
    machine: Annotated[
        str, typer.Option(help="With --url: NAMESPACE/NAME that the gateway has to be of.")
    ] = "",
    tls_dir: Annotated[
        Path,
        typer.Option(
            envvar="ALD_TLS_DIR", help="With --url: directory of tls.crt, tls.key and ca.crt."
        ),
    ] = Path(),
    installation: Annotated[
        str, typer.Option(envvar="ALD_INSTALLATION", help="With --url: the installation.")
    ] = "ald",
) -> None:
    """Stop the machine: its safe state now, valves first, whether or not a run is on.

    To be called in the driver's container; it needs neither the operator nor the network. With --url from anywhere that
    reaches the gateway, with the certificate in Secret ald-stop-tls. Exit code 0 only when the PLC has confirmed the safe
    state. This is a software stop: an emergency stop is hardware.
    """
    before, now = _over_https(url, machine, tls_dir, installation) if url else _beside(run_dir)
    if not is_confirmed(before, now):
        raise PeerError(f"NOT CONFIRMED: {summary(before, now)}")
    print(f"safe state confirmed by the PLC: {summary(before, now)}")


def _over_https(
    url: str, machine: str, tls_dir: Path, installation: str
) -> tuple[DriverStatus, DriverStatus]:
    # A stop beside the driver loads neither HTTP nor TLS.
    remote = importlib.import_module("ald.cli.remote_stop")
    namespace, slash, name = machine.partition("/")
    if not (namespace and slash and name):
        raise typer.BadParameter("write NAMESPACE/NAME", param_hint="--machine")
    before, now = asyncio.run(remote.stop(url, tls_dir, installation, namespace, name))
    return before, now


def _beside(run_dir: Path) -> tuple[DriverStatus, DriverStatus]:
    """Stop the driver that is there, or the one that takes its place: told twice it is done once."""
    clock = SystemClock()
    until_ns = clock.monotonic_ns() + int(SUCCESSOR_S * 1e9)
    while True:
        try:
            return _told(run_dir, clock)
        except PeerError:
            if clock.monotonic_ns() >= until_ns:
                raise
        time.sleep(LOOK_INTERVAL_S)  # noqa: TID251 -- no event loop here


def _told(run_dir: Path, clock: SystemClock) -> tuple[DriverStatus, DriverStatus]:
    with _connected(run_dir / "driver.sock") as driver:
        before = _ask(driver, GetStatus()).status
        order = AbortOrder(reason=REASON, by="ald stop")
        reply = _ask(driver, AbortRun(uid="", order=order))
        if reply.error is not None:
            raise RefusedError(reply.error.reason, f"the driver refuses: {reply.error.message}")
        deadline_ns = clock.monotonic_ns() + int(CONFIRM_TIMEOUT_S * 1e9)
        now = reply.status
        while is_under_way(before, now) and clock.monotonic_ns() < deadline_ns:
            time.sleep(LOOK_INTERVAL_S)  # noqa: TID251 -- no event loop here
            now = _ask(driver, GetStatus()).status
    return before, now


def is_under_way(before: DriverStatus, now: DriverStatus) -> bool:
    """Tell whether the stop has neither succeeded nor failed yet."""
    return now.state is MachineState.ABORTING or _is_still_on(before, now)


def is_confirmed(before: DriverStatus, now: DriverStatus) -> bool:
    """Tell whether the driver says that the PLC has acknowledged every write of the safe state."""
    is_safe = now.safe_confirmed and now.state is not MachineState.ABORTED
    return is_safe and not is_under_way(before, now)


def summary(before: DriverStatus, now: DriverStatus) -> str:
    """Return what the driver said, as one line."""
    parts = [f"the machine is {now.state.value}"]
    if now.message:
        parts.append(now.message)
    was, run = before.run, now.run
    if was is not None and was.outcome is None and run is not None and run.outcome is not None:
        parts.append(f"run {run.run.name} ended: {run.outcome.value}")
    if not now.link.connected:
        parts.append(f"no connection to the PLC ({now.link.message})")
    return "; ".join(parts)


def _is_still_on(before: DriverStatus, now: DriverStatus) -> bool:
    was, run = before.run, now.run
    if was is None or run is None or was.outcome is not None or run.outcome is not None:
        return False
    return was.run.uid == run.run.uid


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(ANSWER_TIMEOUT_S)
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        raise PeerError(
            f"no driver answers at {path} ({error.strerror or error}); call this in the driver's container: "
            "kubectl exec deploy/MACHINE-gateway -c driver -- ald stop"
        ) from error
    return connection


def _ask(driver: socket.socket, request: AbortRun | GetStatus) -> DriverReply:
    """Send a request and return the reply.

    Raises:
        PeerError: the driver is gone or silent; of a stop it is then unknown whether it arrived.
    """
    try:
        driver.send(_LAST + _ENCODER.encode(DriverRequest(id=1, request=request)))
        parts: list[bytes] = []
        while packet := driver.recv(PACKET_BYTES_MAX):
            parts.append(packet[1:])
            if packet[:1] == _LAST:
                return _DECODER.decode(b"".join(parts))
    except (OSError, msgspec.DecodeError) as error:
        raise PeerError(
            f"the driver did not answer ({error}): look at the valves, and use the hardware's stop"
        ) from error
    raise PeerError("the driver hung up: look at the valves, and use the hardware's stop")
