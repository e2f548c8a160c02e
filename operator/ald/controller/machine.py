"""One machine, supervised: a pass whenever something has changed, its gateway followed, its aborts sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ald.controller import names, pace
from ald.controller.actions import Actions
from ald.controller.announce import announce_change
from ald.controller.apply import MACHINE, RUN, Document, key_of
from ald.controller.children import Children
from ald.controller.compiler import PlantResult
from ald.controller.conditions import rfc3339
from ald.controller.decide_machine import VOLATILE, decide_machine
from ald.controller.drain import LOOK_INTERVAL_NS, Drain
from ald.controller.link import Link
from ald.controller.names import Key
from ald.controller.pace import Written
from ald.controller.parts import Parts
from ald.controller.retry import Retry
from ald.controller.rivals import rivalry
from ald.controller.runs import Runs
from ald.controller.views import Situation
from ald.controller.world import finalizers, is_deleting, uid
from ald.errors import NotFoundError, PeerError, RefusedError
from ald.kit.log import get_logger
from ald.wire import PROTOCOL, PlantPush

PASS_INTERVAL_S_MIN = 0.02
"""However fast things change, passes over one machine are not closer than this."""

CALM = frozenset({"Pending", "Observing", "GatewayStarting", "Terminating", "Stopped"})
log = get_logger()


class Machine:
    """Everything about the machine `key`; lives as long as the Machine, or anything that names it, is there."""

    def __init__(self, key: Key, parts: Parts) -> None:
        self._key = key
        self._parts = parts
        self._wake = asyncio.Event()
        self._link = Link(parts.gateway(key), parts.clock, self.look)
        self._children = Children(key, parts)
        self._runs = Runs(key, parts, self._link, self.look)
        self._actions = Actions(key, parts, self._link)
        self._written: Written | None = None
        self._written_for = ""
        self._push_problem = ""
        self._drain: Drain | None = None
        self._retries = {
            step: Retry(parts.clock)
            for step in ("children", "push", "runs", "actions", "status", "drain")
        }
        self._due_ns: list[int] = []
        self._reachable = parts.metrics.gateways_reachable.labels(key.namespace, key.name)
        self._open = parts.metrics.runs_open.labels(key.namespace, key.name)

    def look(self) -> None:
        """Look at the machine soon, and at its aborts at once."""
        self._runs.look()
        self._wake.set()

    def suspect_children(self) -> None:
        """Look at the machine soon: an object of its gateway has been changed or deleted."""
        self._children.suspect()
        self._wake.set()

    async def supervise(self) -> None:
        """Serve the machine until nothing of it is left."""
        try:
            await self._serve()
        finally:
            await self._link.gateway.close()
            self._parts.metrics.gateways_reachable.remove(*self._key)
            self._parts.metrics.runs_open.remove(*self._key)

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            name = f"{self._key.namespace}/{self._key.name}"
            tasks = [
                group.create_task(self._link.follow(), name=f"follow {name}"),
                group.create_task(self._runs.abort_forever(), name=f"abort {name}"),
            ]
            self._wake.set()
            while not self._is_over():
                await self._wait()
                await self._pass()
                await asyncio.sleep(PASS_INTERVAL_S_MIN)
            for task in tasks:
                task.cancel()

    def _is_over(self) -> bool:
        gone = self._parts.world.find(MACHINE, self._key) is None
        return gone and self._runs.is_empty and self._actions.is_empty

    async def _wait(self) -> None:
        """Wait for a change, or for the earliest time at which something is due."""
        now_ns = self._parts.clock.monotonic_ns()
        due = [each for each in self._due_ns if each]
        timeout_s = max(0, min(due) - now_ns) / 1e9 if due else None
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _pass(self) -> None:
        """Go over everything once; a step that fails does not keep the others."""
        self._due_ns = []
        self._reachable.set(1 if self._link.reach.status else 0)
        steps: dict[str, Callable[[], Awaitable[None]]] = {}
        machine = self._parts.world.find(MACHINE, self._key)
        is_asked = not self._link.reach.is_unasked
        if is_asked:
            # First, since what makes safe is among them, and waits for no API server.
            steps["actions"] = self._reconcile_actions
        if machine is not None:
            steps["children"] = lambda: self._reconcile_children(machine)
            steps["push"] = lambda: self._push(machine)
        # A moment ago another operator may have known more; what it wrote stands until the gateway was asked.
        if is_asked:
            steps["runs"] = self._reconcile_runs
            steps["status"] = self._report
            if machine is not None and is_deleting(machine):
                steps["drain"] = lambda: self._let_go(machine)
        done = [await self._try(step, act) for step, act in steps.items()]
        self._open.set(len(self._parts.world.of_machine(RUN, self._key)))
        outcome = "done" if all(done) else "error"
        self._parts.metrics.reconciles.labels("Machine", outcome).inc()

    async def _try(self, step: str, act: Callable[[], Awaitable[None]]) -> bool:
        """Do one step unless its last failure is too fresh; return False where it fails."""
        retry = self._retries[step]
        if not retry.is_due:
            self._due_ns.append(retry.due_ns)
            return True
        try:
            await act()
        except NotFoundError as error:
            # Deleted meanwhile: the watch tells what follows.
            log.info("object_gone", step=step, machine=self._key.name, error=str(error))
        except (PeerError, RefusedError) as error:
            retry.failed()
            self._due_ns.append(retry.due_ns)
            log.warning("step_failed", step=step, machine=self._key.name, error=str(error))
            return False
        retry.done()
        return True

    async def _reconcile_children(self, machine: Document) -> None:
        if is_deleting(machine):
            return
        self._drain = None
        # Before there is a gateway that could record anything.
        await self._parts.set_finalizer(machine, names.MACHINE_FINALIZER, present=True)
        await self._children.reconcile(machine, is_busy=self._runs.has_active)
        self._due_ns.append(self._children.due_ns)

    async def _push(self, machine: Document) -> None:
        situation = await self._situation(machine)
        if is_deleting(machine) or not decide_machine(situation, now="").push:
            return
        assert situation.plant is not None, "there is a plant to push"
        push = PlantPush(protocol=PROTOCOL, plant=situation.plant, digest=situation.digest)
        try:
            status = await self._link.gateway.push_plant(push)
        except (PeerError, RefusedError) as error:
            self._push_problem = f"the gateway did not take the configuration: {error}"
            raise
        self._push_problem = ""
        self._link.take(status)
        log.info("plant_pushed", machine=self._key.name, digest=situation.digest)

    async def _reconcile_runs(self) -> None:
        machine = self._parts.world.find(MACHINE, self._key)
        await self._runs.reconcile(await self._situation(machine))
        self._due_ns.append(self._runs.due_ns)

    async def _let_go(self, machine: Document) -> None:
        """Let a Machine that is being deleted go once no run is active and the history has its records.

        Everything of its gateway goes with it, the volume with the journal too.
        """
        if self._runs.has_active or names.MACHINE_FINALIZER not in finalizers(machine):
            return
        drain = self._drain = self._drain or Drain(self._parts.clock)
        try:
            # What is committed changes too often for long polls to tell of it.
            drain.see(await self._link.gateway.status(seen=0, wait_s=0))
        except (PeerError, RefusedError) as error:
            log.info("drain_not_seen", machine=self._key.name, error=str(error))
            drain.see(None)
        if not drain.is_drained and not drain.is_given_up:
            self._due_ns.append(self._parts.clock.monotonic_ns() + LOOK_INTERVAL_NS)
            return
        if not drain.is_drained:
            log.warning(
                "machine_goes_undrained",
                machine=self._key.name,
                records=drain.left,
                reason="the logger takes no records" if drain.left else "the gateway is silent",
            )
        await self._parts.set_finalizer(machine, names.MACHINE_FINALIZER, present=False)

    async def _reconcile_actions(self) -> None:
        machine = self._parts.world.find(MACHINE, self._key)
        await self._actions.reconcile(await self._situation(machine))
        self._due_ns.append(self._actions.due_ns)

    async def _report(self) -> None:
        machine = self._parts.world.find(MACHINE, self._key)
        if machine is None:
            self._parts.compiler.forget(self._key)
            return
        if self._written_for != uid(machine):
            # Another Machine of the same name.
            self._written, self._written_for = None, uid(machine)
        situation = await self._situation(machine)
        now_ns = self._parts.clock.monotonic_ns()
        status = decide_machine(situation, now=rfc3339(self._parts.clock.wall_ns())).status
        busy = situation.reach.active_run is not None
        interval_ns = pace.PROGRESS_INTERVAL_NS if busy else pace.IDLE_INTERVAL_NS
        if self._written is None and machine.get("status") == status:
            self._written = Written(status=status, at_ns=now_ns)
        due = pace.due_at_ns(status, self._written, volatile=VOLATILE, interval_ns=interval_ns)
        if due is None:
            return
        if due > now_ns:
            self._due_ns.append(due)
            return
        announce_change(self._parts.announcer, machine, status, "Ready", CALM)
        await self._parts.write_status(machine, status)
        self._written = Written(status=status, at_ns=now_ns)

    async def _plant(self, machine: Document) -> PlantResult:
        """Return the plant, or why there is none; there is none for either of two Machines that write the same outputs."""
        compiler = self._parts.compiler
        result = await compiler.plant(machine)
        if result.plant is None:
            return result
        machines = [m for m in self._parts.world.all(MACHINE) if key_of(m) != self._key]
        plants = [(await compiler.plant(each)).plant for each in machines]
        found = rivalry(result.plant, (plant for plant in plants if plant is not None))
        return result if found is None else PlantResult(violations=(found,))

    async def _situation(self, machine: Document | None) -> Situation:
        if machine is None:
            return Situation(machine=None, reach=self._link.reach)
        result = await self._plant(machine)
        return Situation(
            machine=machine,
            plant=result.plant,
            digest=result.digest,
            violations=result.violations,
            reach=self._link.reach,
            push_problem=self._push_problem,
            template_waits=self._children.template_waits,
            is_busy=self._runs.has_active,
            undrained=self._drain.left if self._drain else None,
        )
