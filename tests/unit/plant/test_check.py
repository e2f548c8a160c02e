"""Plants that only look like plants."""

import math

import pytest
from msgspec.structs import replace

from ald.errors import InvalidInputError
from ald.plant.check import check_plant
from ald.plant.model import (
    AddressRange,
    DataType,
    Gas,
    Point,
    SafeAction,
    SafeOutput,
    SafeState,
    SafeValve,
    Table,
)
from unit.engine.programs import PLANT, timed

DAY_NS = 86_400 * 10**9


def linked(**changes):
    return replace(PLANT, link=replace(PLANT.link, **changes))


def first_parameter(**changes):
    return replace(
        PLANT, parameters=(replace(PLANT.parameters[0], **changes), *PLANT.parameters[1:])
    )


def first_point(**changes):
    return first_parameter(point=replace(PLANT.parameters[0].point, **changes))


def first_valve(**changes):
    return replace(PLANT, valves=(replace(PLANT.valves[0], **changes), *PLANT.valves[1:]))


def first_group(**changes):
    return replace(PLANT, groups=(replace(PLANT.groups[0], **changes),))


def safe(*outputs, valves=PLANT.safe_state.valves):
    return replace(PLANT, safe_state=SafeState(valves=valves, outputs=outputs))


def beating(**changes):
    assert PLANT.heartbeat is not None
    return replace(PLANT, heartbeat=replace(PLANT.heartbeat, **changes))


UNUSABLE = {
    "link.port": [linked(port=65536), linked(port=0), linked(port=-1)],
    "link.unit": [linked(unit=256)],
    "link.host": [
        linked(host=""),
        linked(host="a b"),
        linked(host="a\0"),
        linked(host="fe80::1%x"),
    ],
    "link.timeout_ns": [linked(timeout_ns=0), linked(timeout_ns=DAY_NS + 1)],
    "link.requests_in_flight": [linked(requests_in_flight=0), linked(requests_in_flight=17)],
    "link.max_registers": [linked(max_registers=126), linked(max_registers=0)],
    "link.max_bits": [linked(max_bits=2001)],
    "link.max_gap": [linked(max_gap=-1)],
    "link.cycle_ns": [linked(cycle_ns=0)],
    "link.readable[0].last": [
        linked(readable=(AddressRange(table=Table.HOLDING, first=9, last=8),)),
        linked(readable=(AddressRange(table=Table.HOLDING, first=0, last=65536),)),
    ],
    "scan_period_ns": [replace(PLANT, scan_period_ns=0), replace(PLANT, scan_period_ns=-1)],
    "max_hold_ns": [replace(PLANT, max_hold_ns=-1)],
    "heartbeat.address": [beating(address=65536)],
    "heartbeat.period_ns": [beating(period_ns=0)],
    "heartbeat.timeout_ns": [beating(timeout_ns=0)],
    "valves.tma.coil": [first_valve(coil=65536), first_valve(coil=-1)],
    "valves.tma.max_open_ns": [first_valve(max_open_ns=0)],
    "parameters.heater.temperature.address": [first_point(address=65535), first_point(address=-1)],
    "parameters.heater.temperature.type": [first_point(type=DataType.BOOL)],
    "parameters.heater.temperature.scale": [
        first_parameter(scale=0.0),
        first_parameter(scale=math.nan),
    ],
    "parameters.heater.temperature.offset": [first_parameter(offset=math.inf)],
    "parameters.heater.setpoint": [first_parameter(name="heater.setpoint")],
    "groups.precursors.minimum_purge_ns": [first_group(minimum_purge_ns=-1)],
    "groups.precursors.minimum_flow": [first_group(minimum_flow=math.nan)],
    "groups.precursors.valves": [first_group(valves=("nobody",))],
    "groups.precursors.purge_gases": [first_group(purge_gases=("nothing",))],
    "gases.N2.setpoint": [
        replace(PLANT, gases=(Gas(name="N2", setpoint="nowhere"), PLANT.gases[1])),
        replace(PLANT, gases=(Gas(name="N2", setpoint="mfc.flow"), PLANT.gases[1])),
    ],
    "gases.N2.feedback": [
        replace(PLANT, gases=(replace(PLANT.gases[0], feedback="nowhere"), PLANT.gases[1]))
    ],
    "unrestricted_valves": [replace(PLANT, unrestricted_valves=("nobody",))],
    "safe_state.valves": [
        safe(valves=(*PLANT.safe_state.valves, SafeValve(valve="nobody", action=SafeAction.CLOSED)))
    ],
    "valves": [safe(valves=PLANT.safe_state.valves[1:])],
    "safe_state.outputs[0]": [
        safe(SafeOutput(parameter="nobody", value=0.0)),
        safe(SafeOutput(gas="nothing", value=0.0)),
        safe(SafeOutput(parameter="heater.temperature", value=0.0)),
        safe(SafeOutput(parameter="heater.setpoint", value=math.nan)),
        safe(SafeOutput(gas="N2", value=1e9)),
    ],
}


@pytest.mark.parametrize(
    ("path", "plant"), [(path, plant) for path, plants in UNUSABLE.items() for plant in plants]
)
def test_what_nobody_can_work_with_is_refused_at_its_place(path, plant):
    with pytest.raises(InvalidInputError) as refused:
        check_plant(plant)
    assert path in [violation.path for violation in refused.value.violations]


def test_every_broken_rule_is_named_at_once():
    with pytest.raises(InvalidInputError) as refused:
        check_plant(replace(linked(port=0, max_bits=0), scan_period_ns=0))
    assert len(refused.value.violations) == 3


def test_a_sound_plant_passes():
    check_plant(PLANT)


def test_one_bit_of_a_register_can_be_read_and_never_written():
    first = PLANT.parameters[0]
    bit = replace(first.point, table=Table.HOLDING, type=DataType.BOOL, bit=15)
    unused = replace(first, name="a.bit", point=bit, writable=False)
    check_plant(replace(PLANT, parameters=(*PLANT.parameters, unused)))
    broken = (
        replace(unused, writable=True),
        replace(unused, point=replace(bit, bit=16)),
        replace(unused, point=replace(bit, bit=-1)),
        replace(unused, point=replace(bit, type=DataType.UINT16)),
        replace(unused, point=replace(bit, table=Table.COIL, bit=3)),
    )
    for one in broken:
        with pytest.raises(InvalidInputError, match=r"a\.bit"):
            check_plant(replace(PLANT, parameters=(*PLANT.parameters, one)))
    written = SafeOutput(parameter="a.bit", value=1.0)
    with pytest.raises(InvalidInputError, match="can be written"):
        check_plant(
            replace(
                PLANT,
                parameters=(*PLANT.parameters, unused),
                safe_state=replace(PLANT.safe_state, outputs=(written,)),
            )
        )


def timed_by(**changes):
    """Return the plant with a timer of its second valve, of which something is changed."""
    plant = timed(PLANT, "water", "tma")
    valve = plant.valves[1]
    assert valve.timed is not None
    changed = replace(valve, timed=replace(valve.timed, **changes))
    return replace(plant, valves=(plant.valves[0], changed, *plant.valves[2:]))


def test_a_plant_with_timers_passes():
    check_plant(timed_by())


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"trigger": -1}, "trigger"),
        ({"trigger": 8}, "trigger"),  # the coil of the valve before
        ({"trigger": 12}, "trigger"),  # the trigger of the valve before
        ({"resolution_ns": 0}, "resolution_ns"),
        ({"duration": Point(table=Table.INPUT, address=1, type=DataType.UINT16)}, "duration"),
        ({"duration": Point(table=Table.HOLDING, address=1, type=DataType.FLOAT32)}, "duration"),
        (
            {"duration": Point(table=Table.HOLDING, address=65535, type=DataType.UINT32)},
            "duration.address",
        ),
        ({"done": Point(table=Table.HOLDING, address=1, type=DataType.UINT16)}, "done"),
        ({"done": Point(table=Table.COIL, address=65536, type=DataType.BOOL)}, "done.address"),
    ],
)
def test_a_timer_that_nobody_can_work_with_is_refused(changes, path):
    with pytest.raises(InvalidInputError) as refused:
        check_plant(timed_by(**changes))
    assert f"valves.water.timed.{path}" in [each.path for each in refused.value.violations]
