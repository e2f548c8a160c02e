"""What to do about one MachineAction now. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ald.controller.apply import Document
from ald.controller.conditions import Fact, bounded, conditions, find
from ald.controller.decide_run import MISSING_S_MAX
from ald.controller.views import Situation
from ald.controller.world import creation_order, generation, has_ended, is_safe_state
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
    action: Document, situation: Situation, *, missing_s: float, now: str, overtaken_by: str = ""
) -> ActionDecision:
    """Return the one thing to do about an action that has not been told to the gateway, or of which that is not known.

    missing_s: for how long its machine has been missing. overtaken_by: the newer action that makes safe, empty for none.
    """
    if has_ended(action):
        return NoAction()
    too_late = _too_late(action, overtaken_by)
    if too_late:
        return end_action(action, "Refused", too_late, now=now)
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
    return is_safe_state(action)


def in_turn(actions: Sequence[Document], safe_asked: tuple[str, str]) -> list[tuple[Document, str]]:
    """Return a machine's actions in the order in which they are told, each with the name of what overtakes it.

    What makes safe is never kept waiting by another one; and none that was asked for before it comes after it.

    Args:
        actions: those that have not ended, in the order in which they were created.
        safe_asked: as of `World.safe_asked`.
    """
    found = [
        (each, "" if is_repeatable(each) or creation_order(each) > safe_asked else safe_asked[1])
        for each in actions
    ]
    return sorted(found, key=lambda each: not is_repeatable(each[0]))


def end_action(action: Document, reason: str, message: str, *, now: str) -> EndAction:
    """Return the end of an action; only `Done` is a success."""
    status = "True" if reason == "Done" else "False"
    return EndAction(status=_status(action, (status, reason, message), now), reason=reason)


def _too_late(action: Document, overtaken_by: str) -> str:
    """Return why the action is not told any more, whatever the gateway says; empty when it may be."""
    if find(action, "Succeeded").get("message") == SENDING and not is_repeatable(action):
        return (
            "The operator was interrupted while telling the gateway; it is not known whether it arrived."
            " Look at the machine's state and apply a new action if it is still needed."
        )
    if overtaken_by:
        return (
            f"Action {overtaken_by} is newer and makes safe, which comes first."
            " Look at the machine's state and apply a new action if this one is still needed."
        )
    return ""


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
