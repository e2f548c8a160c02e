"""The driver and the configurations it is given."""

import time

import pytest
from msgspec.structs import replace

from ald.gateway.driver.files import write_plant
from ald.plant.model import digest, signals
from ald.records.scan import Quality
from fixtures.driver_process import plant_of
from fixtures.simulator import MACHINE, machine
from fixtures.wait import eventually
from integration.driver_runs import idle

pytestmark = pytest.mark.integration

MS = 1_000_000


@pytest.mark.requirement("FR-01")
def test_a_plant_that_nobody_can_work_with_is_refused_and_found_on_the_volume_it_is_waited_out(
    simulator, start_driver
):
    driver = start_driver()
    plant = plant_of(simulator.machine_file, simulator.port)
    assert driver.load(plant).error is None
    idle(driver)
    unusable = replace(plant, link=replace(plant.link, port=65536))
    refused = driver.load(unusable).error
    assert refused is not None
    assert refused.violations[0].startswith("link.port (is 65536)")
    assert driver.status().plant_digest == digest(plant), "the one before goes on"
    # As a gateway that did not look would have left it.
    write_plant(driver.directory / "state" / "plant.bin", unusable)
    driver.kill_executor()
    eventually(driver.answers, within_s=10)
    pid = driver.executor_pid
    assert driver.status().plant_digest == ""
    assert "plant_unusable" in {line["event"] for line in driver.log}
    assert driver.load(plant).error is None
    idle(driver)
    assert driver.executor_pid == pid, "no executor died of it"


@pytest.mark.requirement("PLC-PS-03")
def test_of_a_thousand_parameters_a_missing_address_costs_one_and_is_named(
    start_simulator, start_driver
):
    simulator = start_simulator(
        machine(
            parameters=[
                *MACHINE["spec"]["parameters"],
                *(
                    {"name": f"many.p{n}", "table": "input", "address": 3000 + 2 * n}
                    | {"type": "float32", "order": "CDAB"}
                    for n in range(994)
                ),
            ]
        )
    )
    simulator.faults(missing=[{"table": "holding", "first": 3500, "last": 3500}])
    driver = start_driver()
    plant = plant_of(simulator.machine_file, simulator.port)
    assert driver.load(plant).error is None
    eventually(lambda: driver.status().scan.refused == 1, within_s=10)
    idle(driver)
    driver.drain()
    scans = driver.scans
    assert all(scan.ended_ns - scan.started_ns < 2_000 * MS for scan in scans), "in 2 s"
    names = [signal.name for signal in signals(plant)]
    for scan in scans:
        marks = zip(names, scan.qualities, strict=True)
        assert [name for name, mark in marks if mark != Quality.GOOD] == ["many.p250"]
    assert driver.status().scan.refusals == "holding 3500 to 3501 (many.p250)"
    simulator.faults(missing=[])
    eventually(lambda: driver.status().scan.bad_signals == 0, within_s=10)
    assert driver.status().scan.refusals == ""


@pytest.mark.parametrize(
    ("count", "loaded_s", "read_s"),
    [
        pytest.param(
            100,
            2.0,
            0.5,
            marks=[pytest.mark.requirement("PLC-PS-01"), pytest.mark.requirement("PLC-PS-04")],
        ),
        pytest.param(
            500,
            1.0,
            1.0,
            marks=[pytest.mark.requirement("PLC-PS-02"), pytest.mark.requirement("PLC-PS-05")],
        ),
        pytest.param(1000, 4.0, 2.0, marks=pytest.mark.requirement("PLC-PS-03")),
    ],
)
def test_many_parameters_are_loaded_and_read_in_time_although_each_request_takes_its_own(
    start_simulator, start_driver, count, loaded_s, read_s
):
    own = MACHINE["spec"]["parameters"]
    many = [
        {"name": f"many.p{n}", "table": "input", "address": 3000 + 2 * n}
        | {"type": "float32", "order": "CDAB"}
        for n in range(count - len(own))
    ]
    simulator = start_simulator(machine(parameters=[*own, *many]))
    # Slow enough that one request a value, or a few values a request, would take too long by far.
    simulator.faults(delay_ms=20)
    driver = start_driver()
    plant = plant_of(simulator.machine_file, simulator.port)
    times = []
    # The best of several: a computer that is busy says nothing about the driver.
    for generation in range(1, 6):
        changed, before = replace(plant, generation=generation), len(driver.drain().scans)
        began_ns = time.monotonic_ns()
        assert driver.load(changed).error is None
        loaded_ns = time.monotonic_ns()
        driver.has_scanned(before + 1, within_s=10)
        scan = driver.scans[before]
        assert scan.plant_digest == digest(changed)
        assert set(scan.qualities) == {Quality.GOOD}
        times.append(
            (loaded_ns - began_ns, scan.ended_ns - began_ns, scan.ended_ns - scan.started_ns)
        )
    loaded, loaded_and_read, read = (min(each) / 1e9 for each in zip(*times, strict=True))
    assert loaded < loaded_s
    assert read < read_s
    assert loaded_and_read < loaded_s
