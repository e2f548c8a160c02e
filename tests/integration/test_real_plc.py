"""The same look at a real PLC and at the simulator, and a simulator that is made like the PLC.

    ALD_REAL_PLC=plc.example.com:502/1 ALD_REAL_PLC_READ=holding:0+125 \
        .venv/bin/python -m pytest -m requires_real_plc -s tests/integration/test_real_plc.py

Only reads, unless ALD_REAL_PLC_WRITE names what may be written back as it was read, such as holding:100+4. Without a PLC, others
play it: a simulator with limits, and pymodbus' server with a model of its own.
"""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pymodbus import ModbusDeviceIdentification
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock

from ald.plant.model import Table
from fixtures import device
from fixtures.device import Device, Figures, Span, device_of
from fixtures.pymodbus_server import pymodbus_server
from fixtures.simulator import machine

pytestmark = [pytest.mark.integration, pytest.mark.requirement("PLC-HW-01")]

SAVED = Path(__file__).parents[2] / ".cache" / "plc"
WIDE = Span(Table.HOLDING, 3000, 130)
"""Registers of the simulator that hold what is written to them; more than one request reads."""

LIMITS: dict[str, Any] = {
    "max_connections": 5,
    "delay_ms": 20.0,
    "read_registers_max": 60,
    "write_registers_max": 20,
}
BRIEFLY_S = 0.5


@pytest.fixture
def start_wide(start_simulator):
    """Give a function that starts a simulator with registers enough, and where it is."""
    parameters = [
        {
            "name": f"wide.v{number}",
            "table": "holding",
            "address": WIDE.first + 2 * number,
            "type": "float32",
            "order": "CDAB",
            "minimum": 0,
            "maximum": 1000,
            "writable": True,
        }
        for number in range(WIDE.count // 2)
    ]

    def start(**faults):
        simulator = start_simulator(
            machine(parameters=machine()["spec"]["parameters"] + parameters)
        )
        simulator.faults(**faults)
        return simulator, Device(
            host="127.0.0.1", port=simulator.port, readable=WIDE, writable=WIDE
        )

    return start


def modelled(
    start_wide, of: Device, found: Figures, rate_s: float
) -> tuple[Figures, Figures, dict[str, object]]:
    """Return what a simulator does by itself, what it does when it is made like the device, and how that was done."""
    simulator, here = start_wide()
    alone = device.measure(here, rate_s)
    faults = device.profile(of, found, alone)
    simulator.faults(**faults)
    return alone, device.measure(here, rate_s), faults


@pytest.mark.serial
def test_a_simulator_is_made_like_a_plc_with_limits(start_wide):
    _, plc = start_wide(**LIMITS)
    found = device.measure(plc, BRIEFLY_S)
    assert found.connections == LIMITS["max_connections"]
    assert found.reconnects == device.RECONNECTS
    assert (found.largest_read, found.largest_write) == (60, 20)
    assert found.p50_ms >= LIMITS["delay_ms"]
    alone, like, faults = modelled(start_wide, plc, found, BRIEFLY_S)
    assert alone.connections == device.CONNECTIONS_TRIED
    assert (alone.largest_read, alone.largest_write) == (125, 123)
    assert {name: faults[name] for name in LIMITS if name != "delay_ms"} == {
        name: limit for name, limit in LIMITS.items() if name != "delay_ms"
    }
    assert (like.connections, like.largest_read, like.largest_write) == (5, 60, 20)
    assert like.p50_ms > LIMITS["delay_ms"] / 2 > alone.p50_ms
    assert like.reads_per_s < alone.reads_per_s
    shown = device.page({"plc": found, "simulator": alone, "simulator like it": like})
    assert "largest read" in shown


def test_what_may_not_be_written_is_only_read_and_what_may_stays_as_it_was(start_wide):
    simulator, plc = start_wide()
    simulator.force(**{"wide.v0": 12.5})
    simulator.force(**{"wide.v0": None})
    found = device.measure(msgspec.structs.replace(plc, writable=None), BRIEFLY_S)
    assert (found.writes_per_s, found.largest_write) == (0, 0)
    assert not simulator.writes()
    before = simulator.state()["values"]
    written = Span(Table.HOLDING, WIDE.first, 4)
    found = device.measure(msgspec.structs.replace(plc, writable=written), BRIEFLY_S)
    assert found.writes_per_s > 0
    assert found.largest_write == written.count
    after = simulator.state()["values"]
    assert {n: v for n, v in after.items() if n.startswith("wide.")} == {
        n: v for n, v in before.items() if n.startswith("wide.")
    }
    assert {w["address"] for w in simulator.writes()} == {WIDE.first}


def test_a_device_is_asked_for_its_model(simulator):
    model = {"VendorName": "Acme", "ProductCode": "P7", "MajorMinorRevision": "2.1"}
    memory = ModbusDeviceContext(hr=ModbusSequentialDataBlock(1, [7] * 200))
    with pymodbus_server(memory, identity=ModbusDeviceIdentification(info_name=model)) as port:
        found = device.identity(device_of(f"127.0.0.1:{port}/1", "holding:0+10"))
    assert found == {"vendor": "Acme", "product": "P7", "revision": "2.1"}
    # Ours knows no such function.
    assert device.identity(device_of(f"127.0.0.1:{simulator.port}", "holding:0+10")) == {}


def test_a_device_is_named_in_one_word():
    assert device_of("plc.example.com", "coil:8") == Device(
        host="plc.example.com", readable=Span(Table.COIL, 8, 1)
    )
    assert device_of("10.0.0.7:1502/3", "input:0+125", "holding:100+4") == Device(
        host="10.0.0.7",
        port=1502,
        unit=3,
        readable=Span(Table.INPUT, 0, 125),
        writable=Span(Table.HOLDING, 100, 4),
    )


@pytest.mark.requires_real_plc
def test_a_real_plc_beside_the_simulator(start_wide):
    where = os.environ.get("ALD_REAL_PLC", "")
    if not where:
        pytest.skip("no PLC: set ALD_REAL_PLC to HOST[:PORT][/UNIT]")
    plc = device_of(
        where,
        os.environ.get("ALD_REAL_PLC_READ", "holding:0+125"),
        os.environ.get("ALD_REAL_PLC_WRITE", ""),
    )
    found = device.measure(plc)
    alone, like, faults = modelled(start_wide, plc, found, device.MEASURE_S)
    print("\n" + device.page({where: found, "simulator": alone, "simulator like it": like}))  # noqa: T201 -- for the person who asked
    SAVED.mkdir(parents=True, exist_ok=True)
    profile = SAVED / "profile.json"
    profile.write_bytes(msgspec.json.encode(faults))
    print(f"for the simulator's POST /faults: {profile}")  # noqa: T201 -- for the person who asked
    assert found.connections >= 1
    assert found.reconnects == device.RECONNECTS
    assert found.largest_read >= 1
    assert like.connections == found.connections
