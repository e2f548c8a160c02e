import msgspec
import pytest

from ald.program.estimate import (
    MAXIMUM_NS_MAX,
    estimate,
    leaf_duration_ns,
    size_violations,
    targets,
)
from ald.program.model import INSTRUCTIONS_MAX, LEAVES_EXECUTED_MAX, Ramp, Wait
from ald.units import DURATION_NS_MAX
from unit.program.reactors import CLEAR, MS, PLANT, SECOND, program_of, recipe

PURGE = {"name": "purge", "purge": {"gas": "N2", "flow": 20, "duration": "1s"}}
TMA = {"name": "tma", "valve": {"valve": "tma", "open": "40ms"}}
WATER = {"name": "water", "valve": {"valve": "water", "open": "25ms"}}
AGAIN = {**PURGE, "name": "again"}


def looped(name, count, *steps):
    return {"name": name, "loop": {"count": count, "steps": list(steps)}}


def estimated(*steps, cleanup=()):
    return program_of(recipe(list(steps), cleanup=list(cleanup))).estimate


@pytest.mark.requirement("REC-02")
def test_the_reference_recipe_has_48_leaves():
    found = estimated(
        {"name": "flow", "set": {"gas": "N2", "value": 20}},
        looped("deposit", 10, PURGE, TMA, AGAIN, WATER),
        looped("finish", 3, PURGE, TMA),
        {"name": "rest", "wait": {"duration": "1s"}},
    )
    assert found.leaves == 1 + 10 * 4 + 3 * 2 + 1 == 48
    assert found.openings == {"tma": 13, "water": 10, "ozone": 0, "vent": 0}
    assert found.minimum_ns == found.maximum_ns == 10 * 2065 * MS + 3 * 1040 * MS + SECOND


@pytest.mark.requirement("REC-02")
@pytest.mark.parametrize(
    ("steps", "leaves"),
    [
        ([{**CLEAR, "name": f"s-{i}"} for i in range(10)], 10),
        ([looped("l", 5, PURGE, TMA, AGAIN)], 15),
        ([CLEAR, looped("l", 5, PURGE), AGAIN], 7),
        ([looped("a", 3, PURGE, looped("b", 4, PURGE, looped("c", 5, PURGE)), AGAIN)], 3 * 26),
    ],
)
def test_leaves_are_counted_with_every_loop_multiplied_out(steps, leaves):
    assert estimated(*steps).leaves == leaves


def test_the_cleanup_counts_too():
    found = estimated(CLEAR, cleanup=[PURGE, TMA])
    assert found.leaves == 3
    assert found.openings["tma"] == 1
    assert found.maximum_ns == 2 * SECOND + 40 * MS


def test_a_step_that_waits_on_the_plant_makes_a_range():
    found = estimated(
        {"name": "heat", "ramp": {"parameter": "chamber.setpoint", "to": 100, "rate": "10 °C/min"}},
        {
            "name": "settle",
            "waitFor": {
                "condition": "value('chamber.temperature') > 98.0",
                "stableFor": "10s",
                "timeout": "30m",
            },
        },
    )
    assert found.minimum_ns == 10 * SECOND
    assert found.maximum_ns == (30 + 30) * 60 * SECOND


def test_a_ramp_of_a_gas_lasts_at_most_as_long_as_its_range():
    ramp = Ramp(path="p", name="p", to=90.0, per_second=2.0, gas="N2")
    assert leaf_duration_ns(ramp, targets(PLANT)) == (0, 45 * SECOND)


def test_a_ramp_however_slow_over_whatever_range_has_a_bound():
    endless = Ramp(path="p", name="p", to=1e300, per_second=1e-35, gas="N2")
    assert leaf_duration_ns(endless, targets(PLANT)) == (0, MAXIMUM_NS_MAX)


def test_an_upper_bound_that_no_64_bits_hold_is_cut():
    steps = [
        {
            "name": "settle",
            "waitFor": {"condition": "value('chamber.temperature') > 1", "timeout": "720h"},
        }
    ]
    assert estimated(looped("l", 1_000_000, *steps)).maximum_ns == MAXIMUM_NS_MAX


def test_a_program_that_exceeds_a_bound_is_refused_with_the_number():
    wait = Wait(path="p", name="p", duration_ns=1)
    found = estimate([wait], PLANT)
    assert list(size_violations([wait] * INSTRUCTIONS_MAX, found)) == []
    (violation,) = size_violations([wait] * (INSTRUCTIONS_MAX + 1), found)
    assert violation.value == str(INSTRUCTIONS_MAX + 1)
    fits = msgspec.structs.replace(found, leaves=LEAVES_EXECUTED_MAX, minimum_ns=DURATION_NS_MAX)
    assert list(size_violations([wait], fits)) == []
    (violation,) = size_violations([wait], msgspec.structs.replace(found, leaves=50_000_001))
    assert "at most 50000000" in violation.rule
    (violation,) = size_violations(
        [wait], msgspec.structs.replace(found, minimum_ns=DURATION_NS_MAX + 1)
    )
    assert violation.rule == "a run lasts at most 720h"


def test_branches_last_as_long_as_the_longest_and_all_their_leaves_count():
    rest = {"name": "rest", "wait": {"duration": "3s"}}
    ask = {"name": "ask", "prompt": {"message": "?", "timeout": "10s"}}
    dose = {"name": "vent", "valve": {"valve": "vent", "open": "1s"}}
    branches = [
        {"name": "a", "steps": [rest]},
        {"name": "b", "steps": [ask, dose]},
    ]
    found = estimated(looped("l", 2, {"name": "both", "together": {"branches": branches}}))
    assert (found.leaves, found.openings["vent"]) == (6, 2)
    assert (found.minimum_ns, found.maximum_ns) == (6 * SECOND, 22 * SECOND)
