"""Two Machines on one PLC: neither may write what the other writes."""

import msgspec
import pytest

from ald.controller.rivals import rivalry
from ald.plant.model import (
    DataType,
    Gas,
    Heartbeat,
    Mode,
    Point,
    Table,
    TimedPulse,
)
from fixtures.plants import parameter, plant

WIDTH = Point(table=Table.HOLDING, address=40, type=DataType.UINT32)
DONE = Point(table=Table.DISCRETE, address=40, type=DataType.BOOL)


def changed(found, **fields):
    return msgspec.structs.replace(found, **fields)


def timed(found):
    timer = TimedPulse(duration=WIDTH, resolution_ns=1_000_000, trigger=50, done=DONE)
    return changed(found, valves=tuple(changed(valve, timed=timer) for valve in found.valves))


OURS = timed(
    changed(
        plant(
            parameter("heater", Table.HOLDING, 10, writable=True),
            parameter("pump", Table.COIL, 30, DataType.BOOL, writable=True),
            parameter("flow.set", Table.HOLDING, 20),
            parameter("flow.read", Table.HOLDING, 60),
            valves=[("tma", 1)],
            host="10.0.0.7",
        ),
        gases=(Gas(name="N2", setpoint="flow.set"),),
        heartbeat=Heartbeat(address=80, period_ns=1, timeout_ns=2),
    )
)


def other(*parameters, name="another", host="10.0.0.7", **fields):
    return plant(*parameters, name=name, host=host, **fields)


@pytest.mark.parametrize(
    ("theirs", "what"),
    [
        (other(valves=[("any", 1)]), "coil 1 "),
        (other(valves=[("any", 50)]), "coil 50 "),
        (other(valves=[("any", 30)]), "coil 30 "),
        (other(parameter("any", Table.COIL, 1, DataType.BOOL, writable=True)), "coil 1 "),
        (other(parameter("any", Table.HOLDING, 11, writable=True)), "holding 11 "),
        (other(parameter("any", Table.HOLDING, 19, writable=True)), "holding 20 "),
        (other(parameter("any", Table.HOLDING, 41, writable=True)), "holding 41 "),
        (other(parameter("any", Table.HOLDING, 79, writable=True)), "holding 80 "),
        (other(valves=[("any", 1)], host="10.0.0.7."), "coil 1 "),
    ],
)
def test_neither_of_two_machines_that_write_the_same_output_of_a_plc_is_taken(theirs, what):
    for one, another in ((OURS, theirs), (theirs, OURS)):
        found = rivalry(one, [another])
        assert found is not None
        assert f"Machine lab/{another.identity.name} writes {what}" in found.rule
        assert found.path == "spec.plc.host"


@pytest.mark.parametrize(
    "theirs",
    [
        other(valves=[("any", 2)]),
        other(parameter("any", Table.HOLDING, 60, writable=True)),
        other(parameter("any", Table.HOLDING, 10)),
        other(valves=[("any", 1)], host="10.0.0.8"),
        other(valves=[("any", 1)], port=503),
        other(valves=[("any", 1)], unit=2),
        changed(other(valves=[("any", 1)]), mode=Mode.OBSERVE),
    ],
)
def test_machines_that_write_nothing_in_common_may_share_a_plc(theirs):
    assert rivalry(OURS, [theirs]) is None
    assert rivalry(theirs, [OURS]) is None


def test_a_host_without_a_domain_is_another_one_in_each_namespace():
    here = other(valves=[("any", 1)], host="simulator")
    there = changed(here, identity=changed(here.identity, namespace="elsewhere"))
    assert rivalry(here, [there]) is None
    assert rivalry(here, [changed(here, identity=changed(here.identity, name="twin"))]) is not None
