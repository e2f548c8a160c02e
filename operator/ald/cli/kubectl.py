"""The cluster by way of kubectl: a command of ours inside a pod, and a few questions. Whoever may do it with kubectl may do it here."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

from ald.errors import NotFoundError, PeerError

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWER_TIMEOUT_S = 60.0
"""Longest wait for an answer that fits a screen."""

STREAM_TIMEOUT_S = 3600.0
"""Longest time for a table to come out."""

_OURS = "ald: "


def ask(arguments: Sequence[str], doing: str) -> str:
    """Return what kubectl prints.

    Raises:
        NotFoundError: what is asked for does not exist.
        PeerError: kubectl is not there, is not let in, or fails.
    """
    command = ["kubectl", *arguments]
    try:
        done = subprocess.run(  # noqa: S603 -- every argument is one word, no shell reads them
            command, capture_output=True, text=True, check=False, timeout=ANSWER_TIMEOUT_S
        )
    except OSError as error:
        raise PeerError(_absent(error)) from error
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"{doing}: no answer within {ANSWER_TIMEOUT_S:g} s") from error
    if done.returncode:
        raise failure(done.stderr, doing)
    return done.stdout


def stream(arguments: Sequence[str], doing: str) -> None:
    """Let kubectl print to our own standard output. Raises as `ask`."""
    command = ["kubectl", *arguments]
    try:
        done = subprocess.run(  # noqa: S603 -- every argument is one word, no shell reads them
            command, stderr=subprocess.PIPE, text=True, check=False, timeout=STREAM_TIMEOUT_S
        )
    except OSError as error:
        raise PeerError(_absent(error)) from error
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"{doing}: not done within {STREAM_TIMEOUT_S:g} s") from error
    # Whoever reads may stop reading, as `head` does.
    if done.returncode not in (0, -signal.SIGPIPE):
        raise failure(done.stderr, doing)


def inside(
    deployment: str, command: Sequence[str], *, namespace: str, container: str
) -> tuple[str, ...]:
    """Return the arguments that run `command` in the pod of a deployment; an empty namespace is that of the context."""
    return (
        *_of(namespace),
        "exec",
        f"deploy/{deployment}",
        "--container",
        container,
        "--",
        *command,
    )


def current_namespace() -> str:
    """Return the namespace of kubectl's context. Raises PeerError."""
    found = ask(
        ["config", "view", "--minify", "--output", "jsonpath={..namespace}"],
        "looking at kubectl's context",
    )
    return found.strip() or "default"


def home_of(name: str, first: str) -> str:
    """Return the namespace that holds the deployment labelled `name`: `first` if it is there, else the only one that does.

    Raises:
        NotFoundError: nowhere, or in several namespaces.
        PeerError: as `ask`.
    """
    label = f"app.kubernetes.io/name={name}"
    doing = f"looking for {name}"
    if ask(["-n", first, "get", "deployments", "-l", label, "-o", "name"], doing).strip():
        return first
    namespaces = "jsonpath={.items[*].metadata.namespace}"
    found = sorted(
        ask(
            ["get", "deployments", "--all-namespaces", "-l", label, "-o", namespaces], doing
        ).split()
    )
    if len(found) == 1:
        return found[0]
    where = f"is in several namespaces ({', '.join(found)})" if found else "is nowhere"
    raise NotFoundError(f"{name} {where}; name its namespace with --operator-namespace")


def failure(said: str, doing: str) -> NotFoundError | PeerError:
    """Return the error for what a failed kubectl wrote to stderr; what our own program said inside goes through as it is."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for line in lines:
        if line.startswith(_OURS):
            return PeerError(line.removeprefix(_OURS))
    telling = [line for line in lines if not line.startswith(("command terminated", "Defaulted"))]
    text = telling[-1] if telling else "kubectl failed and did not say why"
    kind = NotFoundError if "(NotFound)" in text else PeerError
    return kind(f"{doing}: {text}")


def _of(namespace: str) -> tuple[str, ...]:
    return ("--namespace", namespace) if namespace else ()


def _absent(error: OSError) -> str:
    return f"kubectl cannot be started: {error.strerror}; install it, or put it on the PATH"
