import pytest

from ald.errors import InvalidInputError
from ald.plant.model import Interlock, InterlockAction, Readiness
from unit.program.reactors import MS, machine, plant_of

GOOD = {
    "name": "too-hot",
    "permissive": "value('chamber.temperature') < 320.0",
    "for": "500ms",
    "action": "Abort",
}


def with_interlocks(*interlocks):
    document = machine()
    document["spec"]["interlocks"] = list(interlocks)
    return document


def refused(*interlocks):
    with pytest.raises(InvalidInputError) as caught:
        plant_of(with_interlocks(*interlocks))
    return {v.path: v for v in caught.value.violations}


def test_an_interlock_becomes_part_of_the_plant():
    plant = plant_of(with_interlocks(GOOD, {**GOOD, "name": "b", "for": "0s", "action": "Hold"}))
    assert plant.interlocks == (
        Interlock(
            name="too-hot",
            permissive=GOOD["permissive"],
            for_ns=500 * MS,
            action=InterlockAction.ABORT,
        ),
        Interlock(name="b", permissive=GOOD["permissive"], for_ns=0, action=InterlockAction.HOLD),
    )


def test_without_for_it_trips_at_the_first_scan():
    short = {name: value for name, value in GOOD.items() if name != "for"}
    assert plant_of(with_interlocks(short)).interlocks[0].for_ns == 0


@pytest.mark.parametrize(
    ("permissive", "rule"),
    [
        ("value('chamber.temprature') < 320.0", "no parameter of this name"),
        ("value('chamber.temperature')", "gives true or false"),
        ("value('chamber.temperature') <", "expects a value"),
        ("value(chamber.temperature) < 320.0", "cannot read"),
        ("value('chamber.' + 'temperature') < 320.0", "expects ')'"),
        ("1.0 < 2.0", "names no parameter"),
        ("setpoint('chamber.temperature') < 320.0", "has no set point"),
        ("max('chamber.temperature') < 320.0", "know no 'max'"),
    ],
)
def test_a_permissive_that_could_not_be_judged_is_refused_with_its_path(permissive, rule):
    found = refused(GOOD, {**GOOD, "name": "b", "permissive": permissive})
    assert rule in found["spec.interlocks[1].permissive"].rule


def test_the_set_point_of_a_gas_may_be_asked_for():
    setpoint = "value('mfc-1.flow-read') > setpoint('mfc-1.flow-set') - 5.0"
    assert plant_of(with_interlocks({**GOOD, "permissive": setpoint})).interlocks


def test_two_of_one_name_are_refused():
    assert "twice" in refused(GOOD, GOOD)["spec.interlocks[1].name"].rule


@pytest.mark.parametrize(
    ("field", "value"), [("action", "Stop"), ("for", "2h"), ("for", "1"), ("permissive", "")]
)
def test_what_no_interlock_can_be_is_refused_with_its_path(field, value):
    assert f"spec.interlocks[0].{field}" in refused({**GOOD, field: value})


WARM = {"name": "warm", "condition": "value('chamber.temperature') > 100.0"}


def with_readiness(*conditions):
    document = machine()
    document["spec"]["readiness"] = list(conditions)
    return document


def test_what_a_run_waits_for_becomes_part_of_the_plant():
    assert plant_of(with_readiness(WARM)).readiness == (Readiness(**WARM),)


@pytest.mark.parametrize(
    ("second", "path"),
    [
        (WARM, "spec.readiness[1].name"),
        (
            {**WARM, "name": "b", "condition": "value('nothing') > 1.0"},
            "spec.readiness[1].condition",
        ),
        ({**WARM, "name": "b", "condition": "1.0 < 2.0"}, "spec.readiness[1].condition"),
    ],
)
def test_a_condition_that_no_machine_could_meet_is_refused_with_its_path(second, path):
    with pytest.raises(InvalidInputError) as caught:
        plant_of(with_readiness(WARM, second))
    assert path in {v.path for v in caught.value.violations}
