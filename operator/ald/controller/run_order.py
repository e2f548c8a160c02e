"""What a gateway is handed to run, and what its final refusal means for the run. Pure."""

from __future__ import annotations

import msgspec

from ald.controller.apply import Document, key_of
from ald.controller.run_decision import Compiled, Rejected
from ald.controller.world import uid
from ald.errors import PeerError, RefusedError, Violation
from ald.program.pulse_limit import ADVICE
from ald.records.event import RunIdentity
from ald.wire import PROTOCOL, RunOrder

FINAL_REFUSALS = frozenset(
    {"BadProgram", "BadUid", "InvalidInput", "NotResumable", "Protocol", "PulseTooShort"}
)
"""The gateway's words for an order that it will never take, whatever the machine does."""


def refusal(error: PeerError | RefusedError) -> str:
    """Return why a run waits that was offered."""
    if isinstance(error, PeerError):
        return f"Nobody knows yet whether the gateway has taken the run: {error}"
    return f"The gateway did not take the run: {error}"


def rejected(error: RefusedError) -> Rejected:
    """Return why the gateway will never take the run."""
    reason, hint = "InvalidRecipe", "upgrade operator and gateway to one version"
    rule = f"the gateway does not take this run ({error.reason}: {error})"
    if error.reason == "PulseTooShort":
        reason, rule, hint = "PulseTooShort", str(error), ADVICE
    violation = Violation(path="spec", value="", rule=rule, hint=f"{hint}, then apply a new run")
    return Rejected(reason=reason, violations=(violation,))


def order_of(run: Document, recipe: Document, compiled: Compiled) -> RunOrder:
    """Return what a gateway is handed."""
    key = key_of(run)
    return RunOrder(
        protocol=PROTOCOL,
        run=RunIdentity(namespace=key.namespace, name=key.name, uid=uid(run)),
        recipe_source=msgspec.json.encode(recipe["spec"]).decode(),
        program=compiled.program,
        program_digest=compiled.digest,
        attempt=compiled.attempt,
    )
