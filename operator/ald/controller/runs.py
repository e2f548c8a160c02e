"""The runs of one machine: each decided, written, handed over once, aborted at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from ald.controller import names, pace
from ald.controller.announce import announce_change, announce_resumed
from ald.controller.apply import MACHINE, RECIPE, RUN, Document, key_of
from ald.controller.conditions import rfc3339
from ald.controller.decide_resume import is_to_be_resumed
from ald.controller.decide_run import decide_run
from ald.controller.link import Link
from ald.controller.names import Key
from ald.controller.pace import Written
from ald.controller.parts import Parts
from ald.controller.retry import Retry
from ald.controller.run_decision import (
    Check,
    Compiled,
    End,
    HandOver,
    Nothing,
    Report,
    RunDecision,
    RunFacts,
)
from ald.controller.run_memory import Memory, begun
from ald.controller.run_order import FINAL_REFUSALS, order_of, refusal, rejected
from ald.controller.run_status import VOLATILE
from ald.controller.views import Situation
from ald.controller.world import (
    generation,
    has_ended,
    is_deleting,
    uid,
    waits_in_queue,
    wants_end,
    wants_start,
    was_handed_over,
)
from ald.errors import NotFoundError, PeerError, RefusedError
from ald.kit.log import get_logger
from ald.plant.model import Mode
from ald.wire import AbortOrder, ActionOrder, RunAction, RunProgress, SafeStateOrder

DECISIONS_MAX = 3
"""Decisions about one run in one pass: check, hand over, and what follows."""

ABORT_RETRY_BASE_S = 0.05
ABORT_RETRY_CAP_S = 1.0
CALM = frozenset({"Pending", "Queued", "Paused", "Running", "DryRun", "Completed"})
"""Reasons that are no warning although a run has not succeeded yet."""

log = get_logger()


class Runs:
    """The runs of the machine `key`."""

    def __init__(self, key: Key, parts: Parts, link: Link, changed: Callable[[], None]) -> None:
        self._key = key
        self._parts = parts
        self._link = link
        self._changed = changed
        self._memories: dict[str, Memory] = {}
        self._starting = ""
        self._abort_wake = asyncio.Event()
        self.due_ns = 0

    def look(self) -> None:
        """Look at once whether a run has to be aborted; called on every change."""
        for run in self._runs():
            if wants_end(run) and self._memory(run).abort_seen_ns == 0:
                self._memory(run).abort_seen_ns = self._parts.clock.monotonic_ns()
        self._abort_wake.set()

    @property
    def has_active(self) -> bool:
        """Whether a gateway has one of the runs, or may have, and has not told of its end."""
        # One that has been silent for long may be in need of just what waits for its run.
        may_have = self._link.reach.reason != "GatewayUnreachable"
        return any(
            self._is_taken(run) or (may_have and self._is_in_doubt(run))
            for run in self._runs()
            if not has_ended(run)
        )

    @property
    def is_empty(self) -> bool:
        """Whether no run waits or is active."""
        return not self._runs()

    async def reconcile(self, situation: Situation) -> None:
        """Decide about every run and act; sets `due_ns`, when to look again (monotonic, 0: not before a change).

        Raises:
            PeerError, RefusedError, NotFoundError: the last failure of those that met one; the others are done.
        """
        self.due_ns = 0
        runs = self._runs()
        self._forget_all_but(runs)
        position = 0
        failure: PeerError | RefusedError | NotFoundError | None = None
        interrupted = next((run for run in runs if self._interrupted(run) is not None), None)
        for run in runs:
            if not self._is_taken(run) and waits_in_queue(run):
                position += 1
            others = interrupted if interrupted is not run else None
            resuming = others["metadata"]["name"] if others is not None else ""
            try:
                await self._one(run, situation, max(position, 1), resuming)
            except (PeerError, RefusedError, NotFoundError) as error:
                log.warning("run_not_written", run=run["metadata"]["name"], error=str(error))
                failure = error
        if failure is not None:
            raise failure

    async def abort_forever(self) -> None:
        """Tell the gateway of every abort as soon as it is seen, past everything else, until it has acknowledged."""
        retry = Retry(self._parts.clock, base_s=ABORT_RETRY_BASE_S, cap_s=ABORT_RETRY_CAP_S)
        while True:
            await self._abort_wake.wait()
            self._abort_wake.clear()
            for run in self._to_abort():
                if not await self._abort(run):
                    retry.failed()
            if self._to_abort():
                wait_ns = max(0, retry.due_ns - self._parts.clock.monotonic_ns())
                await asyncio.sleep(wait_ns / 1e9)
                self._abort_wake.set()
            else:
                retry.done()

    def _to_abort(self) -> list[Document]:
        return [
            run
            for run in self._runs()
            if wants_end(run)
            and not has_ended(run)
            and not self._memory(run).abort_taken
            and (self._is_taken(run) or self._starting == uid(run) or self._is_in_doubt(run))
        ]

    async def _abort(self, run: Document) -> bool:
        """Send one abort; return whether that is settled."""
        memory = self._memory(run)
        verb = "deleted" if is_deleting(run) else "action: Abort"
        order = AbortOrder(reason=verb, by="kubernetes")
        try:
            status = await self._link.gateway.abort(uid(run), order)
        except (PeerError, RefusedError) as error:
            # A certificate that is just being renewed is a refusal, too: only the gateway's word settles an abort.
            log.warning("abort_not_sent", run=run["metadata"]["name"], error=str(error))
            return False
        self._link.take(status)
        active = self._link.reach.active_run
        if self._starting == uid(run) and (active is None or active.run.uid != uid(run)):
            # The order to start is still on its way: an abort that overtook it has stopped nothing.
            return False
        memory.abort_taken = True
        took_ns = self._parts.clock.monotonic_ns() - memory.abort_seen_ns
        self._parts.metrics.abort.observe(took_ns / 1e9)
        log.info("abort_sent", run=run["metadata"]["name"], took_ms=round(took_ns / 1e6, 1))
        return True

    async def _one(self, run: Document, situation: Situation, position: int, resuming: str) -> None:
        for _ in range(DECISIONS_MAX):
            # What was done about the runs before may have changed what the gateway says.
            situation = msgspec.structs.replace(situation, reach=self._link.reach)
            facts = self._facts(run, situation, position, resuming)
            decision = decide_run(facts, now=rfc3339(self._parts.clock.wall_ns()))
            if not await self._act(run, decision, situation):
                return
            newer = self._parts.world.find(RUN, key_of(run))
            if newer is None or uid(newer) != uid(run):
                return
            run = newer

    async def _act(self, run: Document, decision: RunDecision, situation: Situation) -> bool:
        """Do what was decided; return whether to decide again at once."""
        match decision:
            case Report(status=status, tell=tell):
                if tell is not None and await self._tell(run, tell):
                    return True
                await self._report(run, status)
            case End(status=status, reason=reason, unsafe=unsafe):
                if not unsafe or await self._make_safe(run, unsafe, situation):
                    await self._end(run, status, reason)
            case Check(interrupted=interrupted):
                await self._check(run, situation, interrupted)
                return True
            case HandOver(compiled=compiled):
                return await self._hand_over(run, compiled)
            case Nothing():
                await self._parts.set_finalizer(run, names.RUN_FINALIZER, present=False)
        return False

    async def _report(self, run: Document, status: Document) -> None:
        memory = self._memory(run)
        last = memory.written
        if last is None and run.get("status") == status:
            memory.written = Written(status=status, at_ns=self._parts.clock.monotonic_ns())
            return
        due = pace.due_at_ns(status, last, volatile=VOLATILE, interval_ns=pace.PROGRESS_INTERVAL_NS)
        if due is None:
            return
        now_ns = self._parts.clock.monotonic_ns()
        if due > now_ns:
            self._look_again(due)
            return
        announce_change(self._parts.announcer, run, status, "Succeeded", CALM)
        await self._parts.write_status(run, status)
        memory.written = Written(status=status, at_ns=now_ns)

    async def _tell(self, run: Document, action: RunAction) -> bool:
        """Tell the gateway what a run is to do from now on; return whether it knows."""
        memory = self._memory(run)
        if not memory.retry.is_due:
            self._look_again(memory.retry.due_ns)
            return False
        order = ActionOrder(action=action, reason=f"action: {action.value}", by="kubernetes")
        try:
            status = await self._link.gateway.direct(uid(run), order)
        except (PeerError, RefusedError) as error:
            memory.retry.failed()
            self._look_again(memory.retry.due_ns)
            log.warning("action_not_told", run=run["metadata"]["name"], error=str(error))
            return False
        memory.retry.done()
        self._link.take(status)
        log.info("action_told", run=run["metadata"]["name"], action=action.value)
        return True

    async def _make_safe(self, run: Document, why: str, situation: Situation) -> bool:
        """Have a machine made safe of which nobody knows what a run has left on; return whether nothing more can be done."""
        try:
            order = SafeStateOrder(by="operator", comment=why)
            self._link.take(await self._link.gateway.make_safe(order))
        except (PeerError, RefusedError) as error:
            log.warning("not_made_safe", run=run["metadata"]["name"], error=str(error))
            self._look_again(self._parts.clock.monotonic_ns() + pace.PROGRESS_INTERVAL_NS)
            is_settled = isinstance(error, RefusedError) and error.reason == "NotControlled"
            return is_settled and (situation.plant is None or situation.plant.mode is Mode.OBSERVE)
        return True

    async def _end(self, run: Document, status: Document, reason: str) -> None:
        """Write the outcome, once: only onto the version that was decided about."""
        await self._parts.write_status(run, status, exactly=True)
        announce_change(self._parts.announcer, run, status, "Succeeded", CALM)
        self._parts.metrics.runs_ended.labels(reason).inc()
        log.info("run_ended", run=run["metadata"]["name"], reason=reason)
        ended = self._parts.world.find(RUN, key_of(run))
        if ended is not None and uid(ended) == uid(run):
            await self._parts.set_finalizer(ended, names.RUN_FINALIZER, present=False)
        self._changed()

    async def _check(
        self, run: Document, situation: Situation, interrupted: RunProgress | None
    ) -> None:
        recipe = self._recipe(run)
        assert recipe is not None, "a run is checked only when its recipe is there"
        assert situation.plant is not None, "a run is checked only against a plant"
        memory = self._memory(run)
        memory.checked = await self._parts.compiler.program(
            recipe, run, situation.plant, interrupted
        )
        attempt = interrupted.attempt if interrupted is not None else 0
        memory.checked_for = (uid(recipe), generation(recipe), situation.digest, attempt)

    async def _hand_over(self, run: Document, compiled: Compiled) -> bool:
        """Give the run to the gateway; return whether anything has changed by that."""
        memory, machine = self._memory(run), self._parts.world.find(MACHINE, self._key)
        if not memory.retry.is_due:
            self._look_again(memory.retry.due_ns)
            return False
        if machine is None:
            return True
        await self._parts.set_finalizer(machine, names.MACHINE_FINALIZER, present=True)
        await self._parts.set_finalizer(run, names.RUN_FINALIZER, present=True)
        newest = self._parts.world.find(RUN, key_of(run))
        recipe = self._recipe(run)
        # A recipe that was edited meanwhile is not what would run, and what goes on record is what runs.
        is_its = recipe is not None and memory.checked_for[:2] == (uid(recipe), generation(recipe))
        if newest is None or recipe is None or not is_its or not wants_start(newest):
            self._look_again(self._parts.clock.monotonic_ns())
            return True
        interrupted = self._interrupted(newest)
        self._starting = uid(run)
        try:
            status = await self._link.gateway.start(order_of(run, recipe, compiled))
        except (PeerError, RefusedError) as error:
            if isinstance(error, RefusedError) and error.reason in FINAL_REFUSALS:
                memory.checked = rejected(error)
                return True
            if isinstance(error, PeerError):
                memory.doubt = self._link.answers
            memory.refusal = refusal(error)
            memory.retry.failed()
            self._look_again(memory.retry.due_ns)
            log.warning("run_not_taken", run=run["metadata"]["name"], error=str(error))
            return True
        finally:
            self._starting = ""
            self._abort_wake.set()
        memory.was_taken, memory.refusal = True, ""
        memory.retry.done()
        self._link.take(status)
        if interrupted is not None:
            announce_resumed(self._parts.announcer, run, interrupted)
        log.info("run_handed_over", run=run["metadata"]["name"], digest=compiled.digest)
        return True

    def _facts(self, run: Document, situation: Situation, position: int, resuming: str) -> RunFacts:
        memory, recipe = self._memory(run), self._recipe(run)
        machine = situation.machine
        interrupted = self._interrupted(run)
        checked_for = ("", 0, "", 0) if recipe is None else (
            uid(recipe), generation(recipe), situation.digest, interrupted.attempt if interrupted else 0
        )  # fmt: skip
        missing = recipe is None or machine is None or is_deleting(machine)
        reach = situation.reach
        lost = self._is_taken(run) and reach.driver is not None and not self._is_at_gateway(run)
        # A refusal counts until the next attempt is due; then the run is offered again.
        why = "" if memory.retry.is_due else memory.refusal
        if why:
            self._look_again(memory.retry.due_ns)
        return RunFacts(
            run=run,
            has_recipe=recipe is not None,
            situation=situation,
            position=position,
            missing_s=self._since(memory, "missing_since_ns", holds=missing),
            lost_s=self._since(memory, "lost_since_ns", holds=lost),
            checked=memory.checked if memory.checked_for == checked_for else None,
            refusal=why,
            was_taken=memory.was_taken,
            in_doubt=self._is_in_doubt(run),
            resuming=resuming,
            unended=self._unended(run),
            interrupted_s=self._since(
                memory, "interrupted_since_ns", holds=interrupted is not None
            ),
        )

    def _interrupted(self, run: Document) -> RunProgress | None:
        """Return how far a run had come when the gateway restarted, where it is to be taken up again; None otherwise."""
        progress = self._link.reach.progress
        if progress is None or progress.run.uid != uid(run) or has_ended(run):
            return None
        return progress if is_to_be_resumed(run, progress) else None

    def _unended(self, run: Document) -> str:
        """Return another run that a gateway has taken and whose end is not written yet, empty for none."""
        others = (each for each in self._runs() if uid(each) != uid(run))
        found = (each for each in others if self._is_taken(each) and not has_ended(each))
        return next((str(each["metadata"]["name"]) for each in found), "")

    def _since(self, memory: Memory, field: str, *, holds: bool) -> float:
        """Return for how many seconds something has held, as seen by this process; look again every few seconds."""
        if not holds:
            setattr(memory, field, 0)
            return 0.0
        now_ns = self._parts.clock.monotonic_ns()
        if getattr(memory, field) == 0:
            setattr(memory, field, now_ns)
        self._look_again(now_ns + pace.PROGRESS_INTERVAL_NS)
        return (now_ns - int(getattr(memory, field))) / 1e9

    def _recipe(self, run: Document) -> Document | None:
        name = run["spec"]["recipeRef"]["name"]
        return self._parts.world.find(RECIPE, Key(self._key.namespace, name))

    def _is_taken(self, run: Document) -> bool:
        return was_handed_over(run) or self._memory(run).was_taken or self._is_at_gateway(run)

    def _is_at_gateway(self, run: Document) -> bool:
        progress = self._link.reach.progress
        return progress is not None and progress.run.uid == uid(run)

    def _is_in_doubt(self, run: Document) -> bool:
        return self._memory(run).is_in_doubt(self._link)

    def _runs(self) -> list[Document]:
        return self._parts.world.of_machine(RUN, self._key)

    def _memory(self, run: Document) -> Memory:
        if uid(run) not in self._memories:
            self._memories[uid(run)] = begun(run, self._parts.clock)
        return self._memories[uid(run)]

    def _forget_all_but(self, runs: list[Document]) -> None:
        kept = {uid(run) for run in runs}
        self._memories = {key: value for key, value in self._memories.items() if key in kept}

    def _look_again(self, at_ns: int) -> None:
        self.due_ns = min(self.due_ns, at_ns) if self.due_ns else at_ns
