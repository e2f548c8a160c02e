import msgspec
import pytest

from ald.plant.model import Table
from ald.simulator.physics import AMBIENT_C, HEATER_TAU_S, Reactor, initial, roles
from unit.simulator.machines import PLANT, parameter

OFF = {"heater.temperature-set": 200.0, "heater.power-on": 0.0, "mfc.flow-set": 0.0}
ON = OFF | {"heater.power-on": 1.0, "mfc.flow-set": 40.0}


def test_roles_come_from_the_machine_alone():
    found = roles(PLANT)
    assert [(h.source, h.output, h.power) for h in found.heaters] == [
        ("heater.temperature-set", "heater.temperature-read", "heater.power-on")
    ]
    assert [(f.source, f.output) for f in found.flows] == [("mfc.flow-set", "mfc.flow-read")]
    assert found.gauges == ("gauge.pressure-read",)


def test_a_heater_without_a_power_switch_is_always_on():
    without = tuple(p for p in PLANT.parameters if p.name != "heater.power-on")
    reactor = Reactor(msgspec.structs.replace(PLANT, parameters=without), seed=1)
    reactor.advance(1000.0, {"heater.temperature-set": 150.0, "mfc.flow-set": 0.0}, 0)
    assert reactor.outputs()["heater.temperature-read"] == pytest.approx(150.0, abs=0.2)


def test_a_heater_warms_only_with_power_and_with_its_time_constant():
    reactor = Reactor(PLANT, seed=1)
    reactor.advance(60.0, OFF, 0)
    assert reactor.outputs()["heater.temperature-read"] == pytest.approx(AMBIENT_C, abs=0.2)
    reactor.advance(HEATER_TAU_S, ON, 0)
    expected = 200 - (200 - AMBIENT_C) / 2.718281828
    assert reactor.outputs()["heater.temperature-read"] == pytest.approx(expected, abs=0.2)
    reactor.advance(60.0, OFF, 0)
    assert reactor.outputs()["heater.temperature-read"] == pytest.approx(AMBIENT_C, abs=0.2)


def test_flow_follows_its_set_point_and_stays_within_its_range():
    reactor = Reactor(PLANT, seed=1)
    reactor.advance(0.01, OFF, 0)
    assert all(reactor.outputs()["mfc.flow-read"] >= 0 for _ in range(50))
    reactor.advance(2.0, ON, 0)
    assert reactor.outputs()["mfc.flow-read"] == pytest.approx(40.0, abs=0.2)


def test_an_open_valve_raises_the_pressure_and_the_pump_brings_it_back():
    reactor = Reactor(PLANT, seed=1)
    reactor.advance(5.0, ON, 0)
    before = reactor.outputs()["gauge.pressure-read"]
    reactor.advance(0.04, ON, 1)
    assert reactor.outputs()["gauge.pressure-read"] > before + 5
    reactor.advance(2.0, ON, 0)
    assert reactor.outputs()["gauge.pressure-read"] == pytest.approx(before, abs=1.0)


def test_many_small_steps_end_where_one_large_one_does():
    small, large = Reactor(PLANT, seed=1), Reactor(PLANT, seed=1)
    for _ in range(300):
        small.advance(0.01, ON, 0)
    large.advance(3.0, ON, 0)
    one, other = small.outputs(), large.outputs()
    assert one["heater.temperature-read"] == pytest.approx(other["heater.temperature-read"])
    assert one["mfc.flow-read"] == pytest.approx(other["mfc.flow-read"])


def test_the_same_seed_gives_the_same_noise():
    assert Reactor(PLANT, seed=3).outputs() == Reactor(PLANT, seed=3).outputs()
    assert Reactor(PLANT, seed=3).outputs() != Reactor(PLANT, seed=4).outputs()


def test_a_plc_begins_with_everything_off_and_constants_within_their_range():
    endless = parameter("x.y", Table.INPUT, 1)
    plant = msgspec.structs.replace(PLANT, parameters=(*PLANT.parameters, endless))
    values = {p.name: value for p, value in initial(plant)}
    assert values["heater.power-on"] == 0
    assert values["heater.temperature-set"] == AMBIENT_C
    assert values["mfc.flow-set"] == 0, "a gas owns it, so it is commanded"
    assert values["heater.pid-period"] == 10, "nought is outside its range"
    assert values["heater.pid-output"] == 10, "a tenth of its range"
    assert values["x.y"] == 0, "no range to lie in"


def test_what_is_commanded_comes_after_its_aliases():
    alias = parameter("mfc.flow-echo", Table.HOLDING, 104, minimum=0, maximum=200)
    plant = msgspec.structs.replace(PLANT, parameters=(*PLANT.parameters, alias))
    names = [p.name for p, _ in initial(plant)]
    assert names.index("mfc.flow-echo") < names.index("mfc.flow-set")
