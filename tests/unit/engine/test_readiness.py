"""What a run waits for: judged with every scan, asked for at the start of a run, and not any more while it is on."""

import pytest
from msgspec.structs import replace

from ald.engine.inputs import RunGiven
from ald.engine.readiness import SAID_NS, SHOWN_MAX
from ald.engine.status import driver_status
from ald.errors import RefusedError
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.plant.model import Readiness
from ald.records.event import RunOutcome
from unit.engine.programs import MS, PLANT, S, compiled, order, wait
from unit.engine.world import World

WARM = Readiness(name="warm", condition="value('heater.temperature') > 100.0")


def ready(*conditions):
    return World(replace(PLANT, readiness=conditions)).ready()


def heat(world, value):
    world.overrides["heater.temperature"] = value
    return world.run_for(300 * MS)


def start(world):
    program = compiled(wait(300), plant=world.plant)
    world.give(RunGiven(at_ns=world.now, order=order(program)))
    return world


def status(world):
    return driver_status(world.state, NO_LINK, NO_SCAN).readiness


def test_no_run_starts_before_every_condition_is_met_and_one_starts_then():
    world = heat(ready(WARM), 20.0)
    with pytest.raises(RefusedError, match=r"warm is not met.*heater.temperature = 20") as refused:
        start(world)
    assert refused.value.reason == "NotReady"
    assert world.machine == "Idle"
    start(heat(world, 150.0)).run_until_ended()
    assert world.outcome is RunOutcome.COMPLETED


def test_a_run_that_is_on_needs_it_no_more():
    world = start(heat(ready(WARM), 150.0))
    heat(world, 20.0).run_until_ended()
    assert world.outcome is RunOutcome.COMPLETED


@pytest.mark.parametrize("value", [None, 100.0])
def test_a_value_that_is_not_good_meets_no_condition(value):
    with pytest.raises(RefusedError, match="warm"):
        start(heat(ready(WARM), value))


def test_quality_is_judged_outside_the_expression():
    either = replace(WARM, condition=f"{WARM.condition} || value('gauge.pressure') >= 0.0")
    assert status(heat(ready(either), None)).missing == ("warm",)


def test_a_condition_that_cannot_be_read_is_never_met():
    world = ready(replace(WARM, condition="value("))
    assert "no condition" in status(world).message


def test_without_a_scan_for_the_longest_gap_nobody_knows():
    world = heat(ready(WARM), 150.0)
    world.scanning = False
    world.run_for(world.plant.max_scan_gap_ns + 1 * S)
    with pytest.raises(RefusedError, match="nothing has been read"):
        start(world)


def test_the_status_names_all_and_explains_a_few():
    many = [replace(WARM, name=f"c{number}") for number in range(SHOWN_MAX + 2)]
    found = status(heat(ready(*many), 20.0))
    assert found.declared == len(many)
    assert found.missing == tuple(each.name for each in many)
    assert found.message.count("is not met") == SHOWN_MAX
    assert found.message.endswith("and 2 more")


def test_what_is_said_does_not_move_with_the_value_so_that_a_status_is_not_written_for_each_scan():
    world = heat(ready(WARM), 20.0)
    said = status(world)
    assert status(heat(world, 50.0)) == said
    assert "= 50" in status(world.run_for(SAID_NS)).message
    assert status(heat(world, 150.0)).missing == ()


def test_a_lost_connection_says_nothing_about_it():
    world = heat(ready(WARM), 20.0)
    world.disconnect()
    assert status(world).missing == ()
    assert status(world).declared == 1
