import time

import msgspec
import pytest

from ald.api.parse import parse_machine
from ald.errors import InvalidInputError
from ald.plant.model import AddressRange, Mode, SafeAction, Table, digest
from ald.program.compile.machine import compile_machine
from unit.program.reactors import IDENTITY, MS, PLANT, SECOND, machine, plant_of


def refused(document):
    with pytest.raises(InvalidInputError) as caught:
        plant_of(document)
    return {violation.path: violation for violation in caught.value.violations}


def test_a_machine_becomes_a_plant_with_durations_in_nanoseconds():
    document = machine()
    document["spec"] |= {"scan": {"period": "200ms"}, "maxHold": "5m"}
    document["spec"]["plc"] |= {
        "port": 1502,
        "unit": 17,
        "requestsInFlight": 4,
        "timeout": "250ms",
        "cycle": "2ms",
        "limits": {"maxRegisters": 100, "maxBits": 64, "maxGap": 3},
        "readable": [{"table": "holding", "first": 0, "last": 300}],
    }
    plant = plant_of(document)
    link = plant.link
    assert (plant.identity, plant.generation, plant.mode) == (IDENTITY, 7, Mode.CONTROL)
    assert (link.host, link.port, link.unit, link.requests_in_flight) == ("plc", 1502, 17, 4)
    assert (link.timeout_ns, link.cycle_ns) == (250 * MS, 2 * MS)
    assert (link.max_registers, link.max_bits, link.max_gap) == (100, 64, 3)
    assert link.readable == (AddressRange(table=Table.HOLDING, first=0, last=300),)
    assert (link.shared_registers, link.shared_bits) == (True, True)
    assert (plant.scan_period_ns, plant.max_hold_ns) == (200 * MS, 300 * SECOND)
    assert [v.max_open_ns for v in plant.valves] == [5 * SECOND, 5 * SECOND, SECOND, 60 * SECOND]
    assert plant.groups[0].minimum_purge_ns == 250 * MS
    assert plant.heartbeat is not None
    assert (plant.heartbeat.period_ns, plant.heartbeat.timeout_ns) == (500 * MS, 2 * SECOND)
    assert plant.safe_state.valves[3].action is SafeAction.KEEP
    assert [output.value for output in plant.safe_state.outputs] == [0, 20, None]
    assert not plant.allow_without_watchdog


@pytest.mark.parametrize(
    ("period", "gap", "expected_ns"),
    [("1s", None, 5 * SECOND), ("10s", None, 30 * SECOND), ("1s", "2s", 2 * SECOND)],
)
def test_the_longest_gap_between_scans_is_declared_or_follows_from_their_period(
    period, gap, expected_ns
):
    document = machine()
    document["spec"] |= {"scan": {"period": period}} | ({"maxScanGap": gap} if gap else {})
    assert plant_of(document).max_scan_gap_ns == expected_ns


def test_a_gap_in_which_no_second_scan_can_come_is_refused():
    document = machine()
    document["spec"] |= {"scan": {"period": "1s"}, "maxScanGap": "1900ms"}
    assert "at least 2 scan periods" in refused(document)["spec.maxScanGap"].rule


def test_a_parameter_keeps_what_it_declares():
    speed = next(p for p in PLANT.parameters if p.name == "pump.speed")
    assert (speed.component, speed.unit, speed.scale, speed.offset) == ("pump", "rpm", 0.5, 0.0)
    assert (speed.minimum, speed.maximum, speed.writable) == (0, 1000, True)


def test_the_set_point_of_a_gas_belongs_to_the_gas_and_keeps_its_range():
    setpoint = next(p for p in PLANT.parameters if p.name == "mfc-1.flow-set")
    assert not setpoint.writable
    assert (setpoint.minimum, setpoint.maximum) == (0, 100)


def test_the_digest_follows_the_content():
    other = machine()
    other["spec"]["scan"] = {"period": "2s"}
    assert digest(plant_of(machine())) == digest(PLANT)
    assert digest(plant_of(other)) != digest(PLANT)


def test_every_broken_rule_is_named_at_once():
    document = machine()
    spec = document["spec"]
    spec["parameters"][0]["scale"] = 0
    spec["gases"][0]["setpoint"] = "mfc-9.flow-set"
    spec["safeState"]["valves"].pop()
    spec["heartbeat"]["timeout"] = "600ms"
    found = refused(document)
    assert set(found) == {
        "spec.parameters[0].scale",
        "spec.gases[0].setpoint",
        "spec.safeState.valves",
        "spec.heartbeat.timeout",
    }
    assert found["spec.safeState.valves"].hint == "add {valve: vent, state: Closed}"


def test_a_heartbeat_needs_time_for_two_periods():
    document = machine()
    document["spec"]["heartbeat"] = {"address": 200, "period": "500ms", "timeout": "1s"}
    assert plant_of(document).heartbeat is not None


def test_a_machine_without_a_heartbeat_says_whether_runs_may_do_without():
    document = machine()
    del document["spec"]["heartbeat"]
    document["spec"]["allowWithoutWatchdog"] = True
    plant = plant_of(document)
    assert plant.heartbeat is None
    assert plant.allow_without_watchdog


def test_a_readable_range_does_not_end_before_it_begins():
    document = machine()
    document["spec"]["plc"]["readable"] = [{"table": "input", "first": 9, "last": 3}]
    assert refused(document)["spec.plc.readable[0]"].value == "9 to 3"


def test_a_name_too_long_for_what_the_operator_makes_is_refused():
    identity = msgspec.structs.replace(IDENTITY, name="m" * 51)
    with pytest.raises(InvalidInputError, match="at most 50 characters"):
        compile_machine(parse_machine(machine()).spec, identity, 1)


@pytest.mark.parametrize("name", ["reactor.1", "1-reactor"])
def test_a_name_that_no_service_may_have_is_refused(name):
    identity = msgspec.structs.replace(IDENTITY, name=name)
    with pytest.raises(InvalidInputError, match="begins with a letter and has no dot"):
        compile_machine(parse_machine(machine()).spec, identity, 1)


def test_a_machine_of_1000_parameters_compiles_in_less_than_a_second():
    document = machine()
    document["spec"]["parameters"] += [
        {
            "name": f"rack-{i // 50}.channel-{i}",
            "table": "holding",
            "address": 1000 + 2 * i,
            "type": "float32",
            "minimum": 0,
            "maximum": 1,
            "writable": True,
        }
        for i in range(990)
    ]
    spec = parse_machine(document).spec
    start = time.thread_time()
    compile_machine(spec, IDENTITY, 1)
    assert time.thread_time() - start < 1.0
