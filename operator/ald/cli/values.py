"""`ald machine values`: what the gateway read last, asked where the gateway's own certificate is."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ald.cli import kubectl
from ald.cli.examples import examples
from ald.cli.gateway import gateway
from ald.cli.render import Output, show, show_json
from ald.cli.render_values import MachineValues, values_page
from ald.errors import PeerError
from ald.kit import tls
from ald.wire import GatewayStatus, ValuesReply

ANSWER_TIMEOUT_S = 10.0

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    epilog=examples(
        "ald machine values demo-reactor -n ald", "ald machine values demo-reactor -n ald -o json"
    )
)
def values(  # noqa: PLR0913, PLR0917 -- each parameter is one option
    name: Annotated[str, typer.Argument(help="Name of the Machine.")],
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", envvar="ALD_NAMESPACE", help="Its namespace.")
    ] = "",
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print.")] = Output.TABLE,
    local: Annotated[
        bool, typer.Option("--local", help="Ask from here, inside the gateway's front container.")
    ] = False,
    port: Annotated[
        int, typer.Option(envvar="ALD_HTTPS_PORT", help="With --local: the gateway's port.")
    ] = 8443,
    tls_dir: Annotated[
        Path, typer.Option(envvar="ALD_TLS_DIR", help="With --local: the certificate.")
    ] = Path("/etc/ald/tls"),
    installation: Annotated[
        str, typer.Option(envvar="ALD_INSTALLATION", help="With --local: the installation.")
    ] = "ald",
) -> None:
    """Show what a machine measures now: value, unit, quality, age.

    Reads through `kubectl exec` in the gateway's pod, so that whoever may do that may see the values. Exit code 1 where the
    gateway does not answer or has read nothing yet.
    """
    if local:
        expected = tls.gateway_uri(installation, namespace, name)
        found = asyncio.run(_ask_gateway(f"https://127.0.0.1:{port}", tls_dir, expected, name))
    else:
        found = _ask_pod(name, namespace)
    if output is Output.JSON:
        show_json(found)
    else:
        show(*values_page(found))
    if not found.values:
        raise PeerError(f"machine {name} has no values yet: {found.message or found.link}")


def _ask_pod(name: str, namespace: str) -> MachineValues:
    """Have this program ask inside the pod. Raises NotFoundError, PeerError."""
    command = ("ald", "machine", "values", name, "--local", "-o", "json")
    arguments = kubectl.inside(f"{name}-gateway", command, namespace=namespace, container="front")
    text = kubectl.ask(arguments, f"asking the gateway of machine {name}")
    try:
        return msgspec.json.decode(text, type=MachineValues)
    except msgspec.DecodeError as error:
        raise PeerError(
            f"the gateway's answer cannot be read ({error}); is it of another version than this program?"
        ) from error


async def _ask_gateway(url: str, directory: Path, expected: str, name: str) -> MachineValues:
    """Ask the gateway itself, with the certificate in `directory`. Raises PeerError, CredentialsError."""
    async with gateway(url, directory, expected, timeout_s=ANSWER_TIMEOUT_S) as asked:
        read = await asked.get("/v1/values", ValuesReply)
        status = await asked.get("/v1/status", GatewayStatus)
    return combined(name, read, status)


def combined(name: str, read: ValuesReply, status: GatewayStatus) -> MachineValues:
    """Return values and state in one."""
    driver = status.driver
    if driver is None:
        state, message, link = "Unknown", "the driver does not answer", "unknown"
    else:
        state, message, link = driver.state.value, driver.message, driver.link.message
    scanned = datetime.datetime.fromtimestamp(read.wall_ns / 1e9, datetime.UTC)
    return MachineValues(
        machine=name,
        state=state,
        message=message,
        connected=driver is not None and driver.link.connected,
        link=link,
        sequence=read.sequence,
        scanned=scanned if read.sequence else None,
        values=read.values,
    )
