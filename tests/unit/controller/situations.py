"""A cluster in memory, machines, recipes and runs to decide about."""

import copy
import itertools
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import yaml

from ald.controller.apply import CONFLICT, Document, Kind, key_of, kind_of
from ald.controller.compiler import compile_plant, compile_program
from ald.controller.names import Key
from ald.controller.run_decision import Compiled
from ald.controller.views import Reach, Situation
from ald.errors import NotFoundError, PeerError, RefusedError
from ald.records.event import MachineState, RunIdentity
from ald.wire import DriverStatus, RunOrder, RunProgress
from fixtures.played_gateway import driver_status, gateway_status, progress

EXAMPLES = Path(__file__).parents[3] / "examples"
NOW = "2026-01-02T03:04:05Z"
EARLIER = "2026-01-02T03:00:00Z"
SPACE = "plant-1"


def load(path: str, **metadata: Any) -> Document:
    document: Document = yaml.safe_load((EXAMPLES / path).read_text())
    document["metadata"] |= {
        "namespace": SPACE,
        "uid": f"00000000-0000-4000-8000-{zlib.crc32(path.encode()):012d}",
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": EARLIER,
    } | metadata
    return document


MACHINE = load("machines/demo-reactor.yaml")
RECIPE = load("recipes/al2o3-demo.yaml")
RUN = load("runs/al2o3-demo.yaml")
ACTION = load("actions/clear.yaml")
PLANT = compile_plant(MACHINE, "ald")
UID = RUN["metadata"]["uid"]


def compiled(run: Document = RUN, recipe: Document = RECIPE) -> Compiled:
    assert PLANT.plant is not None
    found = compile_program(recipe, run, PLANT.plant)
    assert isinstance(found, Compiled), found
    return found


def idle(**changes: Any) -> DriverStatus:
    """Return a driver that has confirmed the plant and waits for a run."""
    return driver_status(
        **({
            "state": MachineState.IDLE,
            "message": "",
            "plant_digest": PLANT.digest,
            "plant_generation": 1,
            "plant_confirmed": True,
        } | changes)
    )  # fmt: skip


def order(uid: str = UID) -> RunOrder:
    found = compiled()
    return RunOrder(
        protocol=1,
        run=RunIdentity(namespace=SPACE, name="some-run", uid=uid),
        recipe_source="{}",
        program=found.program,
        program_digest=found.digest,
    )


def progress_of(uid: str = UID, **changes: Any) -> RunProgress:
    return progress(order(uid), **changes)


def situation(driver: DriverStatus | None = None, **changes: Any) -> Situation:
    """Return a machine whose gateway answers; `driver` is an idle one by default."""
    base = Situation(
        machine=MACHINE,
        plant=PLANT.plant,
        digest=PLANT.digest,
        reach=Reach(status=gateway_status(driver or idle()), reason="", message=""),
    )
    return msgspec.structs.replace(base, **changes)


def without_gateway(reason: str = "GatewayUnreachable") -> Situation:
    return situation(reach=Reach(status=None, reason=reason, message="connection refused"))


def edited(document: Document, where: str, value: object) -> Document:
    """Return a copy with the field at `where` (a.0.b) set, or removed where the value is ..."""
    result = copy.deepcopy(document)
    found: Any = result
    *way, last = where.split(".")
    for part in way:
        found = found[int(part)] if part.isdigit() else found.setdefault(part, {})
    if value is ...:
        del found[last]
    else:
        found[last] = value
    return result


def with_condition(document: Document, kind: str, status: str, reason: str, **more: Any):
    condition = {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": EARLIER,
    } | more
    return edited(document, "status.conditions", [condition])


class MemoryCluster:
    """An API server that keeps objects, versions and refusals as a real one does, as far as the operator sees."""

    def __init__(self, *documents: Document) -> None:
        self.objects: dict[tuple[str, Key], Document] = {}
        self.writes: list[tuple[str, str, str]] = []
        self.away = False
        self.after: dict[str, Callable[[], object]] = {}
        self._versions = itertools.count(100)
        for document in documents:
            self._store(copy.deepcopy(document))

    def read(self, kind: str, name: str, namespace: str = SPACE) -> Document:
        return self.objects[kind, Key(namespace, name)]

    def hold(self, document: Document) -> Document:
        """Take in an object as somebody else has written it."""
        return self._store(copy.deepcopy(document))

    async def apply(self, document: Document, *, subresource: str = "") -> Document:
        found = self._check("apply", document, subresource)
        old = found or {}
        new = old | {name: value for name, value in document.items() if name != "metadata"}
        new["metadata"] = old.get("metadata", {"uid": "made-here"}) | document["metadata"]
        stored = self._store(copy.deepcopy(new))
        self._tell("apply", stored)
        return stored

    async def create(self, document: Document) -> Document:
        if "before create" in self.after:
            await cast("Callable[[], Awaitable[None]]", self.after.pop("before create"))()
        if self._check("create", document):
            raise RefusedError(CONFLICT, "it exists already")
        return self._store(copy.deepcopy(document))

    async def get(self, kind: Kind, key: Key) -> Document:
        if self.away:
            raise PeerError("the API server does not answer")
        if (kind.kind, key) not in self.objects:
            raise NotFoundError(f"{kind.kind} {key.name} not found")
        return copy.deepcopy(self.objects[kind.kind, key])

    async def merge(self, kind: Kind, key: Key, change: Document) -> Document:
        target = {"apiVersion": kind.api_version, "kind": kind.kind}
        meta = {"name": key.name, "namespace": key.namespace, **change["metadata"]}
        found = self._check("merge", target | {"metadata": meta})
        if found is None:
            raise NotFoundError("no such object")
        merged = copy.deepcopy(found)
        for name, part in change.items():
            new = merged.get(name, {}) | part
            merged[name] = {key: value for key, value in new.items() if value is not None}
        stored = self._store(merged)
        self._tell("merge", stored)
        return stored

    def _check(self, verb: str, document: Document, subresource: str = "") -> Document | None:
        if self.away:
            raise PeerError("the API server does not answer")
        key = key_of(document)
        self.writes.append(
            (verb, document["kind"] + "/" * bool(subresource) + subresource, key.name)
        )
        found = self.objects.get((kind_of(document).kind, key))
        version = document["metadata"].get("resourceVersion")
        if found and version and version != found["metadata"]["resourceVersion"]:
            raise RefusedError(CONFLICT, "the object has been modified")
        if subresource and found is None:
            raise NotFoundError("no such object")
        return found

    def _tell(self, verb: str, stored: Document) -> None:
        act = self.after.pop(f"{verb} {stored['kind']}", None)
        if act is not None:
            act()

    def _store(self, document: Document) -> Document:
        document["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[document["kind"], key_of(document)] = document
        return copy.deepcopy(document)
