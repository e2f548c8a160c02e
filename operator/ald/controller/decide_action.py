"""What to do about one MachineAction now. Pure."""

from __future__ import annotations

import msgspec

from ald.controller.apply import Document
from ald.controller.conditions import Fact, bounded, conditions, find
from ald.controller.decide_run import MISSING_S_MAX
from ald.controller.views import Situation
from ald.controller.world import generation, has_ended
from ald.records.event import MachineState
from ald.wire import DriverStatus

SENDING = "Being told to the gateway."
"""The message of an action that is on its way. Found after a restart it means: may or may not have arrived."""


class ReportAction(msgspec.Struct, frozen=True, kw_only=True):
    """Say how the action stands."""

    status: Document


class EndAction(msgspec.Struct, frozen=True, kw_only=True):
    """The action is over: write this status once."""

    status: Document
    reason: str


class SendAction(msgspec.Struct, frozen=True, kw_only=True):
    """Write this status, then tell the gateway, once; what is repeatable until it has taken it."""

    status: Document


class NoAction(msgspec.Struct, frozen=True, kw_only=True):
    """The action is over and says so."""


ActionDecision = ReportAction | EndAction | SendAction | NoAction


def decide_action(
    action: Document, situation: Situation, *, missing_s: float, now: str
) -> ActionDecision:
    """Return the one thing to do about an action; `missing_s` is how long its machine has been missing."""
    if has_ended(action):
        return NoAction()
    if find(action, "Succeeded").get("message") == SENDING and not is_repeatable(action):
        message = (
            "The operator was interrupted while telling the gateway; it is not known whether it arrived."
            " Look at the machine's state and apply a new action if it is still needed."
        )
        return end_action(action, "Refused", message, now=now)
    if situation.machine is None:
        return _missing(action, missing_s, now)
    driver = situation.reach.driver
    if driver is None:
        message = f"Waits for the gateway: {situation.reach.message or 'its driver starts'}."
        return ReportAction(status=_status(action, ("Unknown", "GatewayUnreachable", message), now))
    refusal = _refusal(action["spec"], driver)
    if refusal:
        return end_action(action, "Refused", refusal, now=now)
    return SendAction(status=_status(action, ("Unknown", "Pending", SENDING), now))


def is_repeatable(action: Document) -> bool:
    """Return whether an action is told until the gateway has taken it: made safe twice is made safe."""
    return bool(action["spec"]["verb"] == "SafeState")


def end_action(action: Document, reason: str, message: str, *, now: str) -> EndAction:
    """Return the end of an action; only `Done` is a success."""
    status = "True" if reason == "Done" else "False"
    return EndAction(status=_status(action, (status, reason, message), now), reason=reason)


def _refusal(spec: Document, driver: DriverStatus) -> str:
    """Return why the gateway need not even be asked; empty when it is."""
    if spec["verb"] == "Clear" and driver.state is not MachineState.ABORTED:
        return f"There is nothing to clear: the machine is {driver.state.value}."
    waiting = driver.run.prompt_id if driver.run is not None else ""
    if spec["verb"] == "Confirm" and spec["target"] != waiting:
        which = f"the prompt that waits is {waiting}" if waiting else "no prompt waits"
        return f"There is no prompt {spec['target']} to confirm: {which}."
    return ""


def _missing(action: Document, missing_s: float, now: str) -> ActionDecision:
    name = action["spec"]["machineRef"]["name"]
    message = f"Machine {name} does not exist in namespace {action['metadata']['namespace']}."
    if missing_s >= MISSING_S_MAX:
        return end_action(action, "MachineNotFound", message, now=now)
    return ReportAction(status=_status(action, ("Unknown", "Pending", message), now))


def _status(action: Document, fact: tuple[str, str, str], now: str) -> Document:
    old = action.get("status", {}).get("conditions", [])
    succeeded = Fact(type="Succeeded", status=fact[0], reason=fact[1], message=fact[2])
    return {
        "observedGeneration": generation(action),
        "message": bounded(fact[2]),
        "conditions": conditions([succeeded], old, now=now, generation=generation(action)),
    }
