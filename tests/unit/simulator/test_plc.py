import pytest

from ald.errors import NotFoundError
from ald.plant.model import Table
from ald.simulator.plc import Plc
from ald.simulator.trace import Cause
from unit.simulator.machines import CYCLE, MS, PLANT, SECOND, at

TMA, WATER = 15, 16
HEARTBEAT = 190


def plc():
    return Plc(PLANT, seed=1, start=at(0))


def beat(simulated, ns, value):
    simulated.write_registers(HEARTBEAT, [value], at(ns))


def edges(simulated):
    return simulated.trace.after(0, 1000)


def test_a_write_acts_at_the_next_cycle_boundary_after_its_reception():
    simulated = plc()
    simulated.write_bits(TMA, [True], at(13 * MS))
    simulated.write_bits(TMA, [False], at(50 * MS))
    simulated.advance(SECOND)
    opened, closed = edges(simulated)
    assert (opened.valve, opened.state, opened.cause) == ("tma", True, Cause.WRITE)
    assert (opened.received_ns, opened.effective_ns) == (13 * MS, 20 * MS)
    assert (closed.received_ns, closed.effective_ns) == (50 * MS, 60 * MS)


def test_a_late_reader_changes_no_time():
    """The trace is a function of the stamps: it does not matter when the process got to the bytes."""
    prompt, late = plc(), plc()
    for ns in range(0, 40 * MS, MS):
        prompt.advance(ns)
        if ns == 13 * MS:
            prompt.write_bits(TMA, [True], at(ns))
    late.write_bits(TMA, [True], at(13 * MS))
    assert edges(prompt) == edges(late)


def test_a_write_that_changes_nothing_is_no_edge():
    simulated = plc()
    simulated.write_bits(TMA, [False, False], at(MS))
    assert edges(simulated) == []


def test_a_coil_of_no_valve_is_on_the_trace_too():
    simulated = plc()
    simulated.write_bits(1, [True], at(MS))
    (edge,) = edges(simulated)
    assert (edge.coil, edge.valve) == (1, "")


def test_two_valves_at_once_are_an_overlap_even_within_one_cycle():
    simulated = plc()
    simulated.write_bits(TMA, [True], at(MS))
    simulated.write_bits(WATER, [True], at(2 * MS))
    simulated.write_bits(TMA, [False], at(3 * MS))
    (overlap,) = simulated.trace.overlaps
    assert (overlap.first, overlap.second, overlap.group) == ("tma", "water", "precursors")


def test_sensors_change_only_at_cycle_boundaries():
    simulated = plc()
    simulated.write_registers(104, PLANT_FLOW_40, at(0))
    first = simulated.read(Table.INPUT, 106, 2, at(CYCLE))
    assert simulated.read(Table.INPUT, 106, 2, at(2 * CYCLE - 1)) == first
    assert simulated.read(Table.INPUT, 106, 2, at(2 * CYCLE)) != first


PLANT_FLOW_40 = [0x0000, 0x4220]  # 40.0 as float32, low word first


def test_flow_follows_what_was_written():
    simulated = plc()
    simulated.write_registers(104, PLANT_FLOW_40, at(0))
    simulated.advance(3 * SECOND)
    assert simulated.values()["mfc.flow-set"] == 40.0
    assert simulated.values()["mfc.flow-read"] == pytest.approx(40.0, abs=0.2)


def test_a_pulse_shows_in_the_pressure():
    simulated = plc()
    simulated.advance(SECOND)
    before = simulated.values()["gauge.pressure-read"]
    simulated.write_bits(TMA, [True], at(SECOND))
    simulated.write_bits(TMA, [False], at(SECOND + 40 * MS))
    simulated.advance(SECOND + 50 * MS)
    assert simulated.values()["gauge.pressure-read"] > before + 5


def test_the_watchdog_sleeps_until_the_first_change_of_the_heartbeat():
    simulated = plc()
    simulated.write_bits(TMA, [True], at(0))
    beat(simulated, 0, 0)
    simulated.advance(60 * SECOND)
    assert not simulated.watchdog.armed
    assert simulated.trace.open_valves == ("tma",)


def test_all_valves_close_when_the_heartbeat_stops():
    simulated = plc()
    simulated.write_bits(TMA, [True, True], at(0))
    beat(simulated, 3 * MS, 1)
    simulated.advance(60 * SECOND)
    closing = [e for e in edges(simulated) if not e.state]
    assert {e.valve for e in closing} == {"tma", "water"}
    assert {e.cause for e in closing} == {Cause.WATCHDOG}
    assert {e.effective_ns for e in closing} == {2 * SECOND + CYCLE}
    assert {e.received_ns for e in closing} == {None}
    assert simulated.watchdog.tripped
    assert simulated.values()["valve.tma"] == 0


def test_a_heartbeat_that_keeps_changing_keeps_the_valves_open():
    simulated = plc()
    simulated.write_bits(TMA, [True], at(0))
    for tick in range(1, 20):
        beat(simulated, tick * SECOND, tick)
    assert simulated.trace.open_valves == ("tma",)


def test_writing_the_same_number_again_is_no_heartbeat():
    simulated = plc()
    simulated.write_bits(TMA, [True], at(0))
    beat(simulated, 0, 1)
    beat(simulated, SECOND, 1)
    beat(simulated, 2 * SECOND + SECOND // 2, 1)
    assert simulated.watchdog.tripped


def test_a_tripped_watchdog_keeps_valves_closed_until_the_heartbeat_returns():
    simulated = plc()
    beat(simulated, 0, 1)
    simulated.write_bits(TMA, [True], at(5 * SECOND))
    assert simulated.values()["valve.tma"] == 0
    beat(simulated, 6 * SECOND, 2)
    simulated.write_bits(TMA, [True], at(6 * SECOND))
    assert simulated.values()["valve.tma"] == 1
    assert simulated.watchdog.trips == 1


def test_an_edge_that_waits_when_the_watchdog_trips_comes_before_its_closing():
    simulated = plc()
    beat(simulated, 0, 1)
    simulated.write_bits(TMA, [True], at(2 * SECOND - MS))
    simulated.advance(3 * SECOND)
    opened, closed = edges(simulated)
    assert opened.effective_ns == closed.effective_ns == 2 * SECOND
    assert simulated.trace.open_valves == ()


def test_a_forced_parameter_holds_until_it_is_freed():
    simulated = plc()
    simulated.force("mfc.flow-read", 99.0, at(0))
    simulated.advance(SECOND)
    assert simulated.values()["mfc.flow-read"] == 99.0
    simulated.force("mfc.flow-read", None, at(SECOND))
    simulated.advance(2 * SECOND)
    assert simulated.values()["mfc.flow-read"] == pytest.approx(0.0, abs=0.2)


def test_a_forced_valve_moves_once_and_is_on_the_trace():
    simulated = plc()
    simulated.force("valve.tma", 1, at(0))
    (edge,) = edges(simulated)
    assert (edge.valve, edge.state, edge.cause) == ("tma", True, Cause.ADMIN)


def test_forcing_what_is_not_there_is_refused_by_name():
    with pytest.raises(NotFoundError, match=r"valve\.none"):
        plc().force("valve.none", 1, at(0))


def test_after_a_standstill_the_watchdog_trips_at_once_and_not_in_the_past():
    simulated = plc()
    simulated.write_bits(TMA, [True], at(0))
    beat(simulated, 0, 1)
    simulated.skip(10 * SECOND)
    simulated.advance(10 * SECOND + CYCLE)
    closed = edges(simulated)[-1]
    assert (closed.state, closed.cause) == (False, Cause.WATCHDOG)
    assert closed.effective_ns == 10 * SECOND


def test_a_moment_before_the_latest_counts_as_the_latest():
    simulated = plc()
    simulated.advance(SECOND)
    simulated.write_bits(TMA, [True], at(0))
    assert edges(simulated)[0].effective_ns == SECOND + CYCLE
