"""Orders as the operator sends them, and waiting for what becomes of them."""

import asyncio
import time

import msgspec

from ald.plant.model import digest
from ald.program import model as program_model
from ald.program.model import Estimate, Program, Pulse
from ald.records.event import RunIdentity
from ald.wire import (
    PROTOCOL,
    AbortOrder,
    ActionOrder,
    ConfirmOrder,
    ErrorReply,
    PlantPush,
    RunAction,
    RunOrder,
    SafeStateOrder,
)
from fixtures.plants import small_plant
from fixtures.wait import POLL_INTERVAL_S

PLANT = small_plant()
PUSH = PlantPush(protocol=PROTOCOL, plant=PLANT, digest=digest(PLANT))
PROGRAM = Program(
    recipe="al2o3",
    recipe_uid="recipe-uid",
    recipe_generation=1,
    plant_digest=digest(PLANT),
    inputs={"cycles": 3, "scale": 2.0, "dose": "40ms", "fast": True},
    instructions=(Pulse(path="spec.steps[0]", name="tma", valve="tma", open_ns=40_000_000),),
    cleanup=1,
    estimate=Estimate(leaves=1, minimum_ns=40_000_000, maximum_ns=40_000_000, openings={"tma": 1}),
    separations=(),
)
RUN = RunOrder(
    protocol=PROTOCOL,
    run=RunIdentity(namespace="lab", name="run-1", uid="uid-1"),
    recipe_source="{}",
    program=PROGRAM,
    program_digest=program_model.digest(PROGRAM),
)
ABORT = AbortOrder(reason="looks wrong", by="me")
SAFE = SafeStateOrder(by="me", comment="smells")
CONFIRM = ConfirmOrder(target="0f8fad5b-3", by="me", comment="seen")
STOP = ActionOrder(action=RunAction.STOP, reason="enough", by="me")


def refusal(body):
    return msgspec.json.decode(body, type=ErrorReply)


async def until(fact, within_s=10.0):
    deadline = time.monotonic() + within_s
    while not await fact():
        assert time.monotonic() < deadline, f"still not so after {within_s} s: {fact}"
        await asyncio.sleep(POLL_INTERVAL_S)


async def journal_is_ok(client):
    return (await client.status()).journal_ok


async def driver_is(client, *, up):
    return ((await client.status()).driver is not None) == up
