from msgspec.structs import replace

from ald.api.run import PLAN_ROWS_MAX, Plan
from ald.controller.plan import plan
from unit.controller import situations as s


def table(recipe=s.RECIPE, run=s.RUN):
    assert s.PLANT.plant is not None
    found = plan(s.compiled(run, recipe).program, s.PLANT.plant)
    Plan.model_validate(found)
    return found


def test_loops_are_shown_once_with_how_often_their_steps_run():
    rows = {row["name"]: row for row in table()["steps"]}
    assert rows["deposit/tma"]["repeats"] == 100
    assert rows["deposit/tma"]["kind"] == "valve"
    assert rows["deposit/tma"]["detail"].startswith("tma ")
    assert rows["deposit"]["kind"] == "loop"


def test_the_openings_of_each_valve_and_the_whole_duration_are_told():
    found = table()
    counts = {each["valve"]: each["count"] for each in found["openings"]}
    assert counts["tma"] == counts["water"] == 100
    assert counts["spare"] == 0
    assert found["duration"]


def test_a_long_table_is_cut_and_says_how_much_is_missing():
    steps = [{"name": f"wait-{n}", "wait": {"duration": "1s"}} for n in range(150)]
    found = table(s.edited(s.RECIPE, "spec.steps", steps + s.RECIPE["spec"]["steps"]))
    assert len(found["steps"]) == PLAN_ROWS_MAX
    assert found["omitted"] == 150 + 9 + 2 - PLAN_ROWS_MAX


def test_what_was_proven_for_each_group_is_told():
    (row,) = table()["separations"]
    assert row["group"] == "precursors"
    assert row["valves"] == ["tma", "water", "spare"]
    assert row["required"] == "250ms of N2 >= 15 sccm"
    assert (row["smallest"], row["before"]) == ("300ms", "deposit/water")


def test_a_group_with_many_purge_gases_is_told_in_as_much_as_a_status_takes():
    assert s.PLANT.plant is not None
    (group,) = s.PLANT.plant.groups
    gases = ("N2", *(f"gas-{n}-".ljust(63, "x") for n in range(31)))
    plant = replace(s.PLANT.plant, groups=(replace(group, purge_gases=gases),))
    (row,) = Plan.model_validate(plan(s.compiled().program, plant)).separations
    assert row.required.startswith("250ms of N2 or gas-0-")


def test_a_run_that_starts_at_a_cycle_shows_what_is_restored_and_what_is_left():
    run = s.edited(s.RUN, "spec.startAt", {"step": "deposit", "cycle": 38})
    found = table(run=run)
    rows = {row["name"]: row for row in found["steps"]}
    assert rows["deposit"]["detail"] == "cycles 38 to 100 of 100"
    assert rows["deposit/tma"]["repeats"] == 63
    assert [name for name in rows if name.startswith("restore: ")] == [
        "restore: carrier",
        "restore: setpoint",
        "restore: heater-on",
        "restore: deposit/purge-water",
    ]
    assert {each["valve"]: each["count"] for each in found["openings"]}["tma"] == 63


def test_steps_side_by_side_are_shown():
    branches = [
        {"name": name, "steps": [{"name": "rest", "wait": {"duration": "1s"}}]} for name in "ab"
    ]
    both = {"name": "both", "together": {"branches": branches}}
    found = table(s.edited(s.RECIPE, "spec.steps", [both, *s.RECIPE["spec"]["steps"]]))
    assert found["steps"][0]["kind"] == "together"
