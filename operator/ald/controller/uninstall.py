"""`python -m ald.controller.uninstall`: whether the operator may be taken away now. The chart asks before it uninstalls."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Annotated

import msgspec

from ald.controller.apply import MACHINE, RUN, Document, Kind, KubernetesCluster, connect, key_of
from ald.controller.conditions import find
from ald.controller.names import RUN_FINALIZER
from ald.controller.world import finalizers, has_ended
from ald.errors import AldError, NotFoundError, PeerError
from ald.kit.config import load

ATTEMPTS_MAX = 3
ATTEMPT_INTERVAL_S = 1.0
"""A role that was made a moment ago may not count yet."""

NAMED_MAX = 20
"""Objects named in one message; the others are counted."""

ROLLBACK = "helm rollback RELEASE REVISION, with the last revision that helm history RELEASE shows."
ANYWAY = "To uninstall without this check: helm uninstall --no-hooks."


STAY = (
    "These Machines are still there. Their gateways go on scanning without an operator; to delete them"
    " then, install it again, because it is the operator that lets a deleted Machine go:"
)
HINT = (
    "Wait for them, or abort them with"
    """ kubectl -n NAMESPACE patch run NAME --type=merge -p '{"spec":{"action":"Abort"}}'"""
    f" and uninstall again. {ANYWAY}"
    f" To keep it instead, roll the release back to itself, since Helm counts it as half uninstalled now: {ROLLBACK}"
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One field is one variable: `namespaces` is ALD_NAMESPACES."""

    namespaces: Annotated[
        tuple[str, ...], msgspec.Meta(description="watched namespaces; empty: all")
    ] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the operator may go, and what to tell the person who asked."""

    allowed: bool
    message: str


def decide(runs: Sequence[Document], machines: Sequence[Document]) -> Answer:
    """Return whether the operator may go, from all runs and machines that it serves."""
    # Whoever else keeps a run that has ended does not wait for the operator.
    active = [run for run in runs if RUN_FINALIZER in finalizers(run) or not has_ended(run)]
    said = []
    if active:
        said += [
            "The operator stays: these RecipeRuns have not ended, and nobody would abort them or write down how they end.",
            *_named([_run(run) for run in active]),
            HINT,
        ]
    if machines:
        said += [
            STAY,
            *_named(["/".join(key_of(machine)) for machine in machines]),
        ]
    return Answer(allowed=not active, message="\n".join(said) or "No run is active.")


async def ask(settings: Settings) -> Answer:
    """Look at the cluster and decide.

    Raises:
        PeerError: the API server does not answer, or does not let us look.
    """
    cluster = await connect()
    try:
        runs, machines = [], []
        for namespace in settings.namespaces or ("",):
            runs += await _all(cluster, RUN, namespace)
            machines += await _all(cluster, MACHINE, namespace)
    finally:
        await cluster.close()
    return decide(runs, machines)


def main() -> int:
    """Return 0 when the operator may go, 1 when not or when nobody can tell."""
    try:
        answer = asyncio.run(ask(load(Settings)))
    except AldError as error:
        message = f"Nobody can tell whether a run is active: {error}. {ANYWAY}"
        answer = Answer(allowed=False, message=message)
    sys.stdout.write(f"{answer.message}\n")
    return 0 if answer.allowed else 1


async def _all(cluster: KubernetesCluster, kind: Kind, namespace: str) -> list[Document]:
    attempts = ATTEMPTS_MAX
    while True:
        attempts -= 1
        try:
            return await cluster.all(kind, namespace)
        except NotFoundError:
            return []  # without its definition there is no object of the kind
        except PeerError:
            if attempts == 0:
                raise
        await asyncio.sleep(ATTEMPT_INTERVAL_S)


def _run(run: Document) -> str:
    reason = find(run, "Succeeded").get("reason", "Pending")
    return f"{'/'.join(key_of(run))} ({reason}) on {run['spec']['machineRef']['name']}"


def _named(names: list[str]) -> list[str]:
    more = len(names) - NAMED_MAX
    return [f"  {name}" for name in sorted(names)[:NAMED_MAX]] + (
        [f"  and {more} more"] if more > 0 else []
    )


if __name__ == "__main__":
    sys.exit(main())
