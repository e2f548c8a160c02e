"""A small plant for the tests of the simulator."""

import msgspec

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
    SafeState,
    Table,
    Valve,
)
from ald.simulator.trace import Stamp

SECOND = 1_000_000_000
MS = 1_000_000
CYCLE = 10 * MS
WALL = 1_700_000_000 * SECOND


def at(ns: int) -> Stamp:
    """Return the moment `ns` after the PLC was switched on."""
    return Stamp(ns, WALL + ns)


def parameter(name, table, address, kind=DataType.FLOAT32, **more) -> Parameter:
    return Parameter(
        name=name,
        component=name.partition(".")[0],
        point=Point(table=table, address=address, type=kind, order=Order.CDAB),
        unit="",
        **more,
    )


PLANT = Plant(
    identity=Identity(installation="test", namespace="lab", name="reactor", uid=""),
    generation=1,
    link=LinkSettings(host="127.0.0.1", cycle_ns=CYCLE, shared_registers=True, shared_bits=True),
    scan_period_ns=SECOND,
    max_hold_ns=60 * SECOND,
    mode=Mode.CONTROL,
    parameters=(
        parameter(
            "heater.temperature-set", Table.HOLDING, 100, minimum=0, maximum=400, writable=True
        ),
        parameter("heater.temperature-read", Table.INPUT, 102, minimum=0, maximum=400),
        parameter("heater.power-on", Table.COIL, 1, DataType.BOOL, writable=True),
        parameter("mfc.flow-set", Table.HOLDING, 104, minimum=0, maximum=200),
        parameter("mfc.flow-read", Table.INPUT, 106, minimum=0, maximum=200),
        parameter("gauge.pressure-read", Table.INPUT, 108, minimum=0, maximum=100_000),
        parameter(
            "heater.pid-period",
            Table.HOLDING,
            110,
            DataType.INT32,
            minimum=10,
            maximum=5000,
            writable=True,
        ),
        parameter("heater.pid-output", Table.INPUT, 112, DataType.INT32, minimum=0, maximum=100),
    ),
    valves=(
        Valve(name="tma", number=1, coil=15, max_open_ns=SECOND),
        Valve(name="water", number=2, coil=16, max_open_ns=SECOND),
    ),
    gases=(Gas(name="N2", setpoint="mfc.flow-set", feedback="mfc.flow-read"),),
    groups=(
        ExclusionGroup(
            name="precursors",
            valves=("tma", "water"),
            purge_gases=("N2",),
            minimum_purge_ns=250 * MS,
            minimum_flow=15,
        ),
    ),
    safe_state=SafeState(valves=(), outputs=()),
    heartbeat=Heartbeat(address=190, period_ns=500 * MS, timeout_ns=2 * SECOND),
)


def plant(**changes) -> Plant:
    """Return the plant with parts of its link replaced."""
    return msgspec.structs.replace(PLANT, link=msgspec.structs.replace(PLANT.link, **changes))
