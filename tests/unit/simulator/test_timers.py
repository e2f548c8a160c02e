"""The simulated PLC keeps its side of the handshake, in its cycles of 10 ms."""

import pytest
from msgspec.structs import replace

from ald.plant.model import DataType, Point, Table, TimedPulse
from ald.simulator.plc import Plc
from ald.simulator.trace import Cause
from unit.simulator.machines import MS, PLANT, SECOND, at

TMA, TRIGGER, WIDTH, DONE, HEARTBEAT = 15, 40, 300, 60, 190
TIMED = replace(
    PLANT.valves[0],
    timed=TimedPulse(
        duration=Point(table=Table.HOLDING, address=WIDTH, type=DataType.UINT16),
        resolution_ns=MS,
        trigger=TRIGGER,
        done=Point(table=Table.DISCRETE, address=DONE, type=DataType.BOOL),
    ),
)


@pytest.fixture
def plc():
    simulated = Plc(replace(PLANT, valves=(TIMED, PLANT.valves[1])), seed=1, start=at(0))
    simulated.write_registers(WIDTH, [45], at(0))
    return simulated


def edges(plc):
    return [(e.effective_ns // MS, e.state, e.cause) for e in plc.trace.after(0, 1000) if e.valve]


def bits(plc, ms):
    """Return trigger, coil and done bit as somebody reads them then."""
    plc.advance(ms * MS)
    return (
        plc.memory.read(Table.COIL, TRIGGER, 1)[0],
        plc.memory.read(Table.COIL, TMA, 1)[0],
        plc.memory.read(Table.DISCRETE, DONE, 1)[0],
    )


def test_a_pulse_begins_and_ends_at_boundaries_and_says_so_with_trigger_and_done(plc):
    plc.write_bits(TRIGGER, [True], at(13 * MS))
    assert bits(plc, 19) == (1, 0, 0)
    assert bits(plc, 20) == (1, 1, 0)
    assert bits(plc, 69) == (1, 1, 0)
    assert bits(plc, 70) == (0, 0, 1)
    assert edges(plc) == [(20, True, Cause.TIMER), (70, False, Cause.TIMER)]
    opened = next(e for e in plc.trace.after(0, 10) if e.valve)
    assert opened.received_ns == 13 * MS


def test_done_is_cleared_when_the_next_pulse_begins_and_a_trigger_that_is_set_again_begins_none(
    plc,
):
    plc.write_bits(TRIGGER, [True], at(0))
    plc.write_bits(TRIGGER, [True], at(30 * MS))
    assert bits(plc, 100) == (0, 0, 1)
    plc.write_bits(TRIGGER, [True], at(105 * MS))
    assert bits(plc, 110) == (1, 1, 0)
    assert len(edges(plc)) == 3


@pytest.mark.parametrize("coil", [TMA, TRIGGER])
def test_what_is_cleared_before_its_time_ends_the_pulse_and_nothing_is_done(plc, coil):
    plc.write_bits(TRIGGER, [True], at(13 * MS))
    plc.write_bits(coil, [False], at(33 * MS))
    assert bits(plc, 1000) == (0, 0, 0)
    assert edges(plc) == [(20, True, Cause.TIMER), (40, False, Cause.WRITE)]


def test_a_trigger_cleared_before_the_cycle_sees_it_opens_nothing_but_a_coil_does_not_help(plc):
    plc.write_bits(TRIGGER, [True], at(13 * MS))
    plc.write_bits(TRIGGER, [False], at(15 * MS))
    assert bits(plc, 200) == (0, 0, 0)
    assert edges(plc) == []
    plc.write_bits(TRIGGER, [True], at(213 * MS))
    plc.write_bits(TMA, [False], at(215 * MS))
    assert bits(plc, 220) == (1, 1, 0)


def test_the_width_is_taken_when_the_pulse_begins(plc):
    plc.write_bits(TRIGGER, [True], at(3 * MS))
    plc.write_registers(WIDTH, [500], at(14 * MS))
    assert bits(plc, 60) == (0, 0, 1)


def test_the_watchdog_ends_a_pulse_and_lets_no_other_begin(plc):
    plc.write_registers(WIDTH, [5000], at(0))
    plc.write_registers(HEARTBEAT, [1], at(MS))
    plc.write_bits(TRIGGER, [True], at(13 * MS))
    assert bits(plc, 2500) == (0, 0, 0)
    assert edges(plc)[1][1:] == (False, Cause.WATCHDOG)
    plc.write_bits(TRIGGER, [True], at(3 * SECOND))
    assert bits(plc, 3500) == (1, 0, 0)


def test_a_deaf_timer_sees_no_trigger_and_a_stuck_one_ends_no_pulse(plc):
    plc.timers.is_deaf = True
    plc.write_bits(TRIGGER, [True], at(13 * MS))
    assert bits(plc, 500) == (1, 0, 0)
    plc.write_bits(TRIGGER, [False], at(501 * MS))
    plc.timers.is_deaf, plc.timers.is_stuck = False, True
    plc.write_bits(TRIGGER, [True], at(513 * MS))
    assert bits(plc, 2000) == (1, 1, 0)
    plc.write_bits(TMA, [False], at(2013 * MS))
    assert bits(plc, 2020) == (0, 0, 0)
