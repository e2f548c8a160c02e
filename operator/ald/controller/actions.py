"""The actions of one machine: each told to the gateway once, and what makes safe until it is taken."""

from __future__ import annotations

from ald.controller.announce import announce_change
from ald.controller.apply import ACTION, Document, key_of
from ald.controller.conditions import rfc3339
from ald.controller.decide_action import (
    EndAction,
    NoAction,
    ReportAction,
    SendAction,
    decide_action,
    end_action,
    in_turn,
    is_repeatable,
)
from ald.controller.gateway import IDENTITY_REFUSED
from ald.controller.link import Link
from ald.controller.names import Key
from ald.controller.pace import PROGRESS_INTERVAL_NS
from ald.controller.parts import Parts
from ald.controller.views import Situation
from ald.controller.world import has_ended, uid
from ald.errors import PeerError, RefusedError
from ald.wire import ClearOrder, ConfirmOrder, GatewayStatus, SafeStateOrder

BY = "kubernetes"
DONE = {
    "Clear": "Cleared.",
    "Confirm": "Confirmed; the run goes on.",
    "SafeState": "The safe state is being written; the machine stays Aborted until it is cleared.",
}
CALM = frozenset({"Pending", "Done"})


class Actions:
    """The actions of the machine `key`."""

    def __init__(self, key: Key, parts: Parts, link: Link) -> None:
        self._key = key
        self._parts = parts
        self._link = link
        self._missing_since_ns = 0
        # Of what has been told and is not written yet, by uid.
        self._outcomes: dict[str, tuple[str, str]] = {}
        self.due_ns = 0

    @property
    def is_empty(self) -> bool:
        """Whether no action waits."""
        return not self._parts.world.of_machine(ACTION, self._key)

    async def reconcile(self, situation: Situation) -> None:
        """Decide about every action and act; sets `due_ns`, when to look again (monotonic, 0: not before a change).

        Raises:
            PeerError, RefusedError, NotFoundError: as the cluster says.
        """
        self.due_ns = 0
        missing_s = self._missing_s(situation)
        world = self._parts.world
        found = [each for each in world.of_machine(ACTION, self._key) if not has_ended(each)]
        actions = in_turn(found, world.safe_asked(self._key))
        self._forget_all_but(found)
        for action, overtaken_by in actions:
            if uid(action) in self._outcomes:
                await self._end(action)
                continue
            now = rfc3339(self._parts.clock.wall_ns())
            match decide_action(
                action, situation, missing_s=missing_s, now=now, overtaken_by=overtaken_by
            ):
                case ReportAction(status=status):
                    if action.get("status") != status:
                        await self._write(action, status)
                case EndAction(status=status):
                    await self._write(action, status)
                case SendAction(status=status):
                    await self._send(action, status)
                case NoAction():
                    pass

    async def _send(self, action: Document, sending: Document) -> None:
        """Tell the gateway; that it is being told is written before, but where that would keep the machine from being made safe."""
        if not is_repeatable(action):
            await self._write(action, sending)
        try:
            self._outcomes[uid(action)] = await self._outcome(action)
        except (PeerError, RefusedError):
            await self._write(action, sending)
            raise
        # The version after our own note that it is being sent.
        newest = self._parts.world.find(ACTION, key_of(action))
        if newest is not None and uid(newest) == uid(action):
            await self._end(newest)

    async def _end(self, action: Document) -> None:
        """Write what the gateway has said; where that fails, the next pass does it."""
        reason, message = self._outcomes[uid(action)]
        now = rfc3339(self._parts.clock.wall_ns())
        await self._write(action, end_action(action, reason, message, now=now).status)

    async def _outcome(self, action: Document) -> tuple[str, str]:
        """Tell the gateway; return reason and message of the end.

        Raises:
            PeerError, RefusedError: it has not taken what is told until it does.
        """
        try:
            self._link.take(await self._told(action["spec"]))
        except RefusedError as error:
            if is_repeatable(action) and error.reason == IDENTITY_REFUSED:
                raise
            return "Refused", str(error)
        except PeerError as error:
            if is_repeatable(action):
                raise
            hint = "Look at the machine's state; apply a new action if still needed."
            return "GatewayUnreachable", f"{error}. {hint}"
        return "Done", DONE[action["spec"]["verb"]]

    async def _told(self, spec: Document) -> GatewayStatus:
        gateway, comment = self._link.gateway, spec.get("comment", "")
        match spec["verb"]:
            case "SafeState":
                return await gateway.make_safe(SafeStateOrder(by=BY, comment=comment))
            case "Confirm":
                order = ConfirmOrder(target=spec["target"], by=BY, comment=comment)
                return await gateway.confirm(order)
            case _:
                return await gateway.clear(ClearOrder(by=BY, comment=comment))

    async def _write(self, action: Document, status: Document) -> None:
        announce_change(self._parts.announcer, action, status, "Succeeded", CALM)
        await self._parts.write_status(action, status, exactly=True)

    def _forget_all_but(self, actions: list[Document]) -> None:
        kept = {uid(action) for action in actions}
        self._outcomes = {key: value for key, value in self._outcomes.items() if key in kept}

    def _missing_s(self, situation: Situation) -> float:
        if situation.machine is not None:
            self._missing_since_ns = 0
            return 0.0
        now_ns = self._parts.clock.monotonic_ns()
        if self._missing_since_ns == 0:
            self._missing_since_ns = now_ns
        self.due_ns = now_ns + PROGRESS_INTERVAL_NS
        return (now_ns - self._missing_since_ns) / 1e9
