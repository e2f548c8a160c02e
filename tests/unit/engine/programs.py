"""One plant with a bit of everything, and programs in few words."""

from __future__ import annotations

from typing import TypeAlias

from msgspec.structs import replace

from ald.plant.model import (
    DataType,
    ExclusionGroup,
    Gas,
    Heartbeat,
    Identity,
    LinkSettings,
    Mode,
    Order,
    Parameter,
    Plant,
    Point,
    SafeAction,
    SafeOutput,
    SafeState,
    SafeValve,
    Table,
    TimedPulse,
    Valve,
    digest,
)
from ald.program import model as program
from ald.program.model import Estimate, Instruction, Program
from ald.records.event import RunIdentity
from ald.wire import PROTOCOL, RunOrder

MS = 1_000_000
S = 1_000_000_000
UID = "0f8fad5b-d9cb-469f-a165-70867728950e"
OTHER_UID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

Nested: TypeAlias = "Instruction | list[int | Nested] | tuple[list[Instruction], ...]"
"""A step, or a loop: its count and its steps, or branches."""


def parameter(name: str, address: int, table: Table = Table.HOLDING, **changes) -> Parameter:
    kind = DataType.BOOL if table.is_bits else DataType.FLOAT32
    point = Point(table=table, address=address, type=kind, order=Order.CDAB)
    fields = {"minimum": 0.0, "maximum": 500.0, "writable": table is Table.HOLDING} | changes
    return Parameter(
        name=name, component=name.split(".", maxsplit=1)[0], point=point, unit="", **fields
    )


PLANT = Plant(
    identity=Identity(installation="i", namespace="n", name="m", uid="u"),
    generation=1,
    link=LinkSettings(host="127.0.0.1", cycle_ns=2 * MS),
    scan_period_ns=100 * MS,
    max_hold_ns=60 * S,
    mode=Mode.CONTROL,
    parameters=(
        parameter("heater.temperature", 0, Table.INPUT),
        parameter("heater.setpoint", 0),
        parameter("heater.power", 0, Table.COIL, minimum=None, maximum=None, writable=True),
        parameter("mfc.flow", 10, Table.INPUT),
        parameter("mfc.setpoint", 10, writable=False),
        parameter("mfc-2.setpoint", 20, writable=False),
    ),
    valves=tuple(
        Valve(name=name, number=i + 1, coil=8 + i, max_open_ns=5 * S)
        for i, name in enumerate(("tma", "water", "spare", "vent"))
    ),
    gases=(
        Gas(name="N2", setpoint="mfc.setpoint", feedback="mfc.flow"),
        Gas(name="Ar", setpoint="mfc-2.setpoint"),
    ),
    groups=(
        ExclusionGroup(
            name="precursors",
            valves=("tma", "water", "spare"),
            purge_gases=("N2", "Ar"),
            minimum_purge_ns=250 * MS,
            minimum_flow=15.0,
        ),
    ),
    unrestricted_valves=("vent",),
    safe_state=SafeState(
        valves=(
            SafeValve(valve="tma", action=SafeAction.CLOSED),
            SafeValve(valve="water", action=SafeAction.CLOSED),
            SafeValve(valve="spare", action=SafeAction.CLOSED),
            SafeValve(valve="vent", action=SafeAction.KEEP),
        ),
        outputs=(
            SafeOutput(parameter="heater.power", value=0.0),
            SafeOutput(gas="N2", value=20.0),
            SafeOutput(parameter="heater.setpoint", value=None),
        ),
    ),
    heartbeat=Heartbeat(address=100, period_ns=500 * MS, timeout_ns=2 * S),
)


def limited(name: str, **limits: float) -> Plant:
    """Return the plant with other limits, `minimum` or `maximum`, of one parameter."""
    parameters = (replace(p, **limits) if p.name == name else p for p in PLANT.parameters)
    return replace(PLANT, parameters=tuple(parameters))


def timed(plant: Plant, *names: str, resolution_ns: int = MS) -> Plant:
    """Return the plant with valves whose pulses the PLC times: registers from 50, triggers from coil 12, done bits from 4 on."""
    valves = tuple(
        replace(
            each,
            timed=TimedPulse(
                duration=Point(table=Table.HOLDING, address=50 + i, type=DataType.UINT16),
                resolution_ns=resolution_ns,
                trigger=12 + i,
                done=Point(table=Table.DISCRETE, address=4 + i, type=DataType.BOOL),
            ),
        )
        if each.name in names
        else each
        for i, each in enumerate(plant.valves)
    )
    return replace(plant, valves=valves)


def valve(name: str, open_ms: float) -> Instruction:
    return program.Pulse(path="p", name=f"dose-{name}", valve=name, open_ns=int(open_ms * MS))


def purge(ms: float, flow: float = 20.0, gas: str = "N2") -> Instruction:
    return program.Purge(path="p", name="purge", gas=gas, flow=flow, duration_ns=int(ms * MS))


def assign(value: float, parameter: str = "heater.setpoint") -> Instruction:
    return program.Set(path="p", name="assign", parameter=parameter, value=value)


def flow(value: float, gas: str = "N2") -> Instruction:
    return program.Set(path="p", name="flow", gas=gas, value=value)


def ramp(to: float, per_second: float) -> Instruction:
    return program.Ramp(
        path="p", name="ramp", parameter="heater.setpoint", to=to, per_second=per_second
    )


def wait(ms: float) -> Instruction:
    return program.Wait(path="p", name="wait", duration_ns=int(ms * MS))


def wait_for(condition: str, reads: tuple[str, ...], stable_ms: float, timeout_ms: float):
    return program.WaitFor(
        path="p",
        name="settle",
        condition=condition,
        reads=reads,
        stable_ns=int(stable_ms * MS),
        timeout_ns=int(timeout_ms * MS),
    )


def prompt(message: str = "crucible in place?", timeout_ms: float = 60_000) -> Instruction:
    return program.Prompt(path="p", name="ask", message=message, timeout_ns=int(timeout_ms * MS))


def loop(count: int, *body: Nested) -> list[int | Nested]:
    """A loop as a nested list, flattened by `compiled`."""
    return [count, *body]


def together(*branches: list[Instruction]) -> tuple[list[Instruction], ...]:
    """Branches side by side, called a, b, c and so on; flattened by `compiled`."""
    return branches


def compiled(*steps, cleanup=(), plant: Plant = PLANT) -> Program:
    instructions: list[Instruction] = []
    leaves = _flatten(steps, instructions, 0)
    start = len(instructions)
    leaves += _flatten(cleanup, instructions, 0)
    return Program(
        recipe="r",
        recipe_uid="x",
        recipe_generation=1,
        plant_digest=digest(plant),
        inputs={},
        instructions=tuple(instructions),
        cleanup=start,
        estimate=Estimate(leaves=leaves, minimum_ns=0, maximum_ns=0, openings={}),
        separations=(),
    )


def _flatten(steps, into: list[Instruction], depth: int) -> int:
    leaves = 0
    for item in steps:
        if isinstance(item, tuple):
            names = tuple("abcdefgh"[: len(item)])
            lengths = tuple(len(branch) for branch in item)
            into.append(program.Together(path="p", name="both", names=names, lengths=lengths))
            leaves += sum(lengths)
            into.extend(leaf for branch in item for leaf in branch)
            continue
        if not isinstance(item, list):
            into.append(item)
            leaves += 1
            continue
        begin = len(into)
        into.append(program.Loop(path="p", name="loop", count=item[0], depth=depth, end=0))
        leaves += item[0] * _flatten(item[1:], into, depth + 1)
        into.append(program.EndLoop(begin=begin))
        into[begin] = program.Loop(
            path="p", name="loop", count=item[0], depth=depth, end=len(into) - 1
        )
    return leaves


def named(given: Program) -> Program:
    """Return the program with a name of its own for each step and loop."""
    made = tuple(
        each if isinstance(each, program.EndLoop) else replace(each, name=f"{each.name}-{index}")
        for index, each in enumerate(given.instructions)
    )
    return replace(given, instructions=made)


def order(given: Program, uid: str = UID, attempt: int = 1) -> RunOrder:
    return RunOrder(
        protocol=PROTOCOL,
        run=RunIdentity(namespace="n", name="run", uid=uid),
        recipe_source="{}",
        program=given,
        program_digest=program.digest(given),
        attempt=attempt,
    )
