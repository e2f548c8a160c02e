"""`ald run replay`: whether a run's record tells the same story when the engine is given the same inputs again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ald.cli import kubectl
from ald.cli.examples import examples
from ald.cli.gateway import gateway
from ald.cli.render import Output, show, show_json
from ald.engine.replay import Recorded, Replay
from ald.errors import CorruptRecordError, PeerError
from ald.kit import tls
from ald.records.event import decode_event
from ald.records.scan import decode_scan
from ald.wire import FeedBatch, FeedRecord

ANSWER_TIMEOUT_S = 30.0
"""Longest wait for one batch of the feed."""

BATCH = 2000
"""Records asked for at once."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay came to. `outcome` is empty while the run has not ended."""

    uid: str
    events: int
    inputs: int
    outcome: str
    message: str


class _Reference(msgspec.Struct, frozen=True):
    name: str


class _Metadata(msgspec.Struct, frozen=True):
    uid: str


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    machine_ref: _Reference


class _Run(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec


@app.command(
    epilog=examples(
        "ald run replay al2o3-demo-0001 -n ald", "ald run replay al2o3-demo-0001 -n ald -o json"
    )
)
def replay(  # noqa: PLR0913, PLR0917 -- each parameter is one option
    name: Annotated[str, typer.Argument(help="Name of the RecipeRun; with --local its uid.")],
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", envvar="ALD_NAMESPACE", help="Its namespace.")
    ] = "",
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print.")] = Output.TABLE,
    local: Annotated[
        bool, typer.Option("--local", help="Ask from here, inside the gateway's front container.")
    ] = False,
    machine: Annotated[str, typer.Option(help="With --local: the Machine it ran on.")] = "",
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
    """Replay a run from the gateway's feed, event by event.

    Exit code 0: everything on record is what the engine makes of the recorded inputs. 1: something is not, and its position
    is named; or the feed does not have the beginning of the run any more.
    """
    if local:
        expected = tls.gateway_uri(installation, namespace, machine)
        found = asyncio.run(_replayed(f"https://127.0.0.1:{port}", tls_dir, expected, name))
    else:
        found = _ask_pod(name, namespace)
    if output is Output.JSON:
        show_json(found)
    else:
        show(sentence(found))


def sentence(found: Outcome) -> str:
    """Return the outcome in plain words."""
    end = f"to its end, {found.outcome}" if found.outcome else "as far as it has come"
    return (
        f"run {found.uid} replays {end}: {found.events} events are what {found.inputs} inputs give"
    )


def decoded(record: FeedRecord) -> Recorded:
    """Return one record of the feed. Raises CorruptRecordError with its position."""
    try:
        what = decode_scan(record.body) if record.kind == "scan" else decode_event(record.body)
    except (msgspec.DecodeError, CorruptRecordError) as error:
        raise CorruptRecordError(f"position {record.position}: {error}") from error
    return Recorded(position=record.position, what=what)


def _ask_pod(name: str, namespace: str) -> Outcome:
    """Have this program replay inside the pod. Raises NotFoundError, PeerError."""
    where = ("--namespace", namespace) if namespace else ()
    text = kubectl.ask(
        (*where, "get", "reciperuns.ald.dev", name, "--output", "json"), f"looking for run {name}"
    )
    try:
        run = msgspec.json.decode(text, type=_Run)
        machine = run.spec.machine_ref.name
        command = ("ald", "run", "replay", run.metadata.uid, "--local", "--machine", machine)
        inside = kubectl.inside(
            f"{machine}-gateway", (*command, "-o", "json"), namespace=namespace, container="front"
        )
        return msgspec.json.decode(kubectl.ask(inside, f"replaying run {name}"), type=Outcome)
    except msgspec.DecodeError as error:
        raise PeerError(
            f"an answer cannot be read ({error}); is it of another version than this program?"
        ) from error


async def _replayed(url: str, directory: Path, expected: str, uid: str) -> Outcome:
    """Read the feed from its beginning until the run has ended. Raises PeerError, CorruptRecordError."""
    run = Replay(uid)
    after = 0
    async with gateway(url, directory, expected, timeout_s=ANSWER_TIMEOUT_S) as asked:
        while not run.is_over:
            batch = await asked.get(f"/v1/feed?after={after}&max={BATCH}", FeedBatch)
            if not batch.records:
                break
            for record in batch.records:
                run.take(decoded(record))
            after = batch.records[-1].position
    found = run.result()
    return Outcome(
        uid=uid,
        events=found.events,
        inputs=found.inputs,
        outcome=found.ended.outcome.value if found.ended is not None else "",
        message=found.ended.message if found.ended is not None else "",
    )
