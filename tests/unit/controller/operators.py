"""The operator's parts around a cluster in memory, a clock that stands still, and a gateway that does as a test says."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from typing_extensions import override

from ald.controller.apply import Document, key_of, kind_of
from ald.controller.compiler import (
    Compiler,
    PlantResult,
    compile_plant,
    compile_program,
    compile_rest,
)
from ald.controller.keeper import Keeper
from ald.controller.metrics import Metrics
from ald.controller.names import Key
from ald.controller.parts import Parts
from ald.controller.run_decision import Compiled, Rejected
from ald.controller.settings import Settings, gateway_resources
from ald.controller.world import World
from ald.errors import AldError
from ald.plant.model import Plant
from ald.records.event import MachineState, RunOutcome
from ald.wire import (
    AbortOrder,
    ActionOrder,
    ClearOrder,
    ConfirmOrder,
    DriverStatus,
    GatewayStatus,
    PlantPush,
    RunAction,
    RunOrder,
    RunProgress,
    SafeStateOrder,
)
from fixtures.played_gateway import gateway_status, progress
from unit.controller import situations as s

MACHINE_KEY = Key(s.SPACE, "demo-reactor")
WALL_NS = 1_767_323_045 * 10**9


class StillClock:
    """Time that moves only when told."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return WALL_NS + self.now_ns - 1_000_000_000_000

    def pass_s(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


class LoopClock(StillClock):
    """Follows the loop's virtual time."""

    @override
    def monotonic_ns(self) -> int:
        return 10**15 + int(asyncio.get_running_loop().time() * 1e9)


class DirectCompiler(Compiler):
    """Compiles where it is called: virtual time does not wait for threads."""

    @override
    async def plant(self, machine: Document) -> PlantResult:
        return compile_plant(machine, "ald")

    @override
    async def program(
        self, recipe: Document, run: Document, plant: Plant, interrupted: RunProgress | None
    ) -> Compiled | Rejected:
        if interrupted is None:
            return compile_program(recipe, run, plant)
        return compile_rest(recipe, run, plant, interrupted)


class ScriptedGateway:
    """Obeys like a gateway; `fail` maps a call to the error it ends with, `before` to what happens first."""

    def __init__(self) -> None:
        self.driver: DriverStatus | None = s.idle()
        self.calls: list[tuple[str, str]] = []
        self.orders: list[RunOrder] = []
        self.fail: dict[str, AldError] = {}
        self.before: dict[str, Callable[[], Any]] = {}
        self.revision = 1
        self.is_closed = False
        self.answer: GatewayStatus | None = None

    def now(self) -> GatewayStatus:
        return self.answer or gateway_status(self.driver, revision=self.revision)

    def change(self, **changes: Any) -> GatewayStatus:
        assert self.driver is not None
        self.driver = msgspec.structs.replace(self.driver, **changes)
        self.revision += 1
        return self.now()

    async def close(self) -> None:
        self.is_closed = True

    async def status(self, *, seen: int, wait_s: float) -> GatewayStatus:
        await self._call("status", "")
        if seen >= self.revision:
            await asyncio.sleep(wait_s)
        return self.now()

    async def push_plant(self, push: PlantPush) -> GatewayStatus:
        await self._call("push", push.digest)
        return self.change(plant_digest=push.digest, plant_confirmed=True, state=MachineState.IDLE)

    async def start(self, order: RunOrder) -> GatewayStatus:
        await self._call("start", order.run.name)
        self.orders.append(order)
        return self.change(run=progress(order), state=MachineState.EXECUTE)

    async def abort(self, uid: str, order: AbortOrder) -> GatewayStatus:
        await self._call("abort", uid)
        assert self.driver is not None
        run = self.driver.run
        if run is None or run.run.uid != uid:
            return self.now()
        ended = msgspec.structs.replace(run, outcome=RunOutcome.ABORTED, message="aborted")
        return self.change(run=ended, state=MachineState.IDLE)

    async def direct(self, uid: str, order: ActionOrder) -> GatewayStatus:
        await self._call("direct", order.action.value)
        assert self.driver is not None
        run = self.driver.run
        if run is None or run.run.uid != uid or run.action is RunAction.STOP:
            return self.now()
        return self.change(run=msgspec.structs.replace(run, action=order.action))

    async def clear(self, order: ClearOrder) -> GatewayStatus:
        await self._call("clear", order.comment)
        return self.change(state=MachineState.STOPPED)

    async def confirm(self, order: ConfirmOrder) -> GatewayStatus:
        await self._call("confirm", order.target)
        return self.now()

    async def make_safe(self, order: SafeStateOrder) -> GatewayStatus:
        await self._call("safe-state", order.comment)
        return self.change(state=MachineState.ABORTED)

    def sent(self, call: str) -> list[str]:
        return [about for name, about in self.calls if name == call]

    async def _call(self, name: str, about: str) -> None:
        self.calls.append((name, about))
        await asyncio.sleep(0)
        if name in self.before:
            await self.before.pop(name)()
        if name in self.fail:
            raise self.fail[name]


class Events:
    """Events as they were posted."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str]] = []

    def post(self, document: Document, *, warning: bool, reason: str, message: str) -> None:
        self.posted.append((document["kind"], reason))

    def reasons(self, kind: str) -> list[str]:
        return [reason for of, reason in self.posted if of == kind]


class Bench:
    """All of it together. `put` brings objects into cluster and world; `sync` shows the world what the cluster has."""

    def __init__(self, *documents: Document, clock: StillClock | None = None) -> None:
        self.cluster = s.MemoryCluster()
        self.clock = clock or StillClock()
        self.gateway = ScriptedGateway()
        self.events = Events()
        self.metrics = Metrics()
        settings = Settings(operator_namespace=s.SPACE, gateway_image="ald/gateway:1")
        self.keeper = Keeper(self.cluster, settings, self.clock)
        self.parts = Parts(
            settings=settings,
            resources=gateway_resources(settings),
            cluster=self.cluster,
            world=World(),
            compiler=DirectCompiler("ald"),
            keeper=self.keeper,
            announcer=self.events,
            metrics=self.metrics,
            clock=self.clock,
            gateway=lambda machine: self.gateway,
        )
        self.put(*documents)

    def put(self, *documents: Document) -> None:
        for document in documents:
            self.parts.world.put(self.cluster.hold(document))

    def change(self, document: Document) -> None:
        """Change an object as a user would: in the cluster, and seen through the watch."""
        self.put(document)

    def read(self, kind: str, name: str) -> Document:
        return self.cluster.read(kind, name)

    def reason(self, document: Document) -> str:
        """Return the reason of the first condition that an object has now."""
        now = self.read(document["kind"], document["metadata"]["name"])
        return str(now["status"]["conditions"][0]["reason"])

    def status_writes(self, kind: str) -> int:
        return sum(1 for _, what, _ in self.cluster.writes if what == f"{kind}/status")

    def forget(self, document: Document) -> None:
        """Delete an object for good."""
        del self.cluster.objects[kind_of(document).kind, key_of(document)]
        self.parts.world.remove(document)
