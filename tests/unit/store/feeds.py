"""A gateway's feed, made by hand."""

import msgspec
import numpy as np

from ald.plant.model import (
    DataType,
    Identity,
    LinkSettings,
    Mode,
    Parameter,
    Plant,
    Point,
    SafeState,
    Table,
    Valve,
    digest,
)
from ald.program.model import Estimate, Program
from ald.records.event import (
    PlantLoaded,
    PulseTiming,
    RunEnded,
    RunIdentity,
    RunOutcome,
    RunStarted,
    encode_event,
)
from ald.records.scan import Scan, encode_scan
from ald.store.model import Batch, Item

SECOND = 1_000_000_000
WALL = 1_700_000_000 * SECOND  # 2023-11-14 22:13:20 UTC
RUN = "11111111-2222-4333-8444-555555555555"
SESSION = "session-1"
MACHINE = Identity(installation="test", namespace="lab", name="reactor", uid="uid-1")


def _parameter(name, address):
    return Parameter(
        name=name,
        component=name.partition(".")[0],
        point=Point(table=Table.INPUT, address=address, type=DataType.FLOAT32),
        unit="°C",
        minimum=0.0,
        maximum=100.0,
    )


PLANT = Plant(
    identity=MACHINE,
    generation=1,
    link=LinkSettings(host="plc"),
    scan_period_ns=SECOND,
    max_hold_ns=SECOND,
    mode=Mode.CONTROL,
    parameters=(_parameter("heater.temperature-read", 0), _parameter("mfc.flow-read", 2)),
    valves=(Valve(name="tma", number=1, coil=15, max_open_ns=SECOND),),
    safe_state=SafeState(valves=(), outputs=()),
)


PROGRAM = Program(
    recipe="recipe",
    recipe_uid="uid",
    recipe_generation=1,
    plant_digest=digest(PLANT),
    inputs={},
    instructions=(),
    cleanup=0,
    estimate=Estimate(leaves=0, minimum_ns=0, maximum_ns=0, openings={}),
    separations=(),
)


def scan(**changes) -> Scan:
    """Return a scan of `PLANT`; `values` and `qualities` are lists."""
    values = changes.pop("values", [1.0, 2.0, 0.0])
    qualities = changes.pop("qualities", [2] * len(values))
    made = Scan(
        sequence=1,
        started_ns=0,
        ended_ns=5_000_000,
        wall_ns=WALL,
        late_ns=0,
        plant_digest=digest(PLANT),
        run="",
        values=np.array(values, "<f8").tobytes(),
        qualities=bytes(qualities),
    )
    return msgspec.structs.replace(made, **changes)


class Feed:
    """Builds batches: add records, then take them with `batch()`; positions go on."""

    def __init__(self, name) -> None:
        self.name = name
        self.position = 0
        self.sequence = 0
        self._after = 0
        self._items: list[Item] = []

    def add(self, kind, body, content) -> None:
        self.position += 1
        self._items.append(
            Item(position=self.position, session=SESSION, kind=kind, body=body, content=content)
        )

    def event(self, event) -> None:
        self.add("event", encode_event(event), event)

    def load(self, plant) -> None:
        wall_ns = WALL + self.position * SECOND
        self.event(PlantLoaded(at_ns=0, wall_ns=wall_ns, plant_digest=digest(plant), plant=plant))

    def scan(self, **changes) -> None:
        self.sequence += 1
        changes = {"sequence": self.sequence, "wall_ns": WALL + self.sequence * SECOND} | changes
        made = scan(**changes)
        self.add("scan", encode_scan(made), made)

    def skip(self, count) -> None:
        """Let the gateway lose `count` records."""
        self.position += count

    def batch(self) -> Batch:
        batch = Batch(machine=MACHINE, feed=self.name, after=self._after, items=tuple(self._items))
        self._after, self._items = self.position, []
        return batch


def started():
    return RunStarted(
        at_ns=0,
        wall_ns=WALL,
        run=RunIdentity(namespace="lab", name="first", uid=RUN),
        recipe_source='{"steps": []}',
        program_digest="d",
        program=PROGRAM,
    )


def ended(outcome=RunOutcome.COMPLETED):
    return RunEnded(
        at_ns=0,
        wall_ns=WALL + 10**9,
        run=RUN,
        outcome=outcome,
        message="",
        by="",
        leaves_done=3,
        pulses=2,
        worst_error_ns=1000,
        timing=PulseTiming(whole=2, p50_error_ns=400, p99_error_ns=900, worst_relative_error=0.25),
    )
