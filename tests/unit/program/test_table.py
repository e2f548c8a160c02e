import pytest

from ald.program.start_at import start_at
from ald.program.start_place import Start
from ald.program.table import DETAIL_LENGTH_MAX, Row, duration_text, step_table
from unit.program.reactors import CLEAR, MS, PLANT, SECOND, program_of, recipe


def rows(*steps, cleanup=()):
    return step_table(program_of(recipe(list(steps), cleanup=list(cleanup))), PLANT)


def test_every_kind_of_step_is_a_row_in_plain_words():
    found = rows(
        {"name": "flow", "set": {"gas": "N2", "value": 20}},
        {"name": "on", "set": {"parameter": "heater.power", "value": True}},
        {"name": "heat", "ramp": {"parameter": "chamber.setpoint", "to": 200, "rate": "10 °C/min"}},
        {
            "name": "settle",
            "waitFor": {
                "condition": "value('chamber.temperature') > 198.0",
                "stableFor": "1m",
                "timeout": "30m",
            },
        },
        {"name": "ask", "prompt": {"message": "in place?", "timeout": "5m"}},
        {"name": "rest", "wait": {"duration": "90s"}},
        CLEAR,
        {"name": "dose", "valve": {"valve": "tma", "open": "40ms"}},
    )
    assert [(row.kind, row.detail, row.duration) for row in found] == [
        ("set", "N2 to 20 sccm", "0s"),
        ("set", "heater.power to 1", "0s"),
        ("ramp", "chamber.setpoint to 200 °C at 10 °C/min", "0s..20m"),
        ("waitFor", "value('chamber.temperature') > 198.0 for 1m, at most 30m", "1m..30m"),
        ("prompt", "in place?, at most 5m", "0s..5m"),
        ("wait", "1m30s", "1m30s"),
        ("purge", "N2 20 sccm for 1s", "1s"),
        ("valve", "tma 40ms", "40ms"),
    ]
    assert all(row.count == 1 for row in found)


def test_a_loop_stands_before_its_steps_with_the_time_of_all_its_iterations():
    inner = {"name": "inner", "loop": {"count": 3, "steps": [CLEAR]}}
    outer = {"name": "outer", "loop": {"count": 2, "steps": [inner, {**CLEAR, "name": "end"}]}}
    assert rows(outer, {**CLEAR, "name": "last"}) == (
        Row(name="outer", kind="loop", detail="2 times", count=1, duration="8s"),
        Row(name="outer/inner", kind="loop", detail="3 times", count=2, duration="3s"),
        Row(
            name="outer/inner/clear",
            kind="purge",
            detail="N2 20 sccm for 1s",
            count=6,
            duration="1s",
        ),
        Row(name="outer/end", kind="purge", detail="N2 20 sccm for 1s", count=2, duration="1s"),
        Row(name="last", kind="purge", detail="N2 20 sccm for 1s", count=1, duration="1s"),
    )


def test_a_program_begun_in_the_middle_says_which_cycles_and_marks_what_it_restores():
    inner = {"name": "inner", "loop": {"count": 3, "steps": [CLEAR]}}
    outer = {"name": "outer", "loop": {"count": 4, "steps": [inner]}}
    flow = {"name": "flow", "set": {"gas": "N2", "value": 20}}
    whole = program_of(recipe([flow, outer]))
    start = Start(step="outer/inner", cycle=2, outer_cycles=(2,))
    assert [
        (row.name, row.detail, row.count, row.duration)
        for row in step_table(start_at(whole, start, PLANT), PLANT)
    ] == [
        ("restore: flow", "N2 to 20 sccm", 1, "0s"),
        ("outer", "cycle 2 of 4", 1, "2s"),
        ("outer/inner", "cycles 2 to 3 of 3", 1, "2s"),
        ("outer/inner/clear", "N2 20 sccm for 1s", 2, "1s"),
        ("outer", "cycles 3 to 4 of 4", 1, "6s"),
        ("outer/inner", "3 times", 2, "3s"),
        ("outer/inner/clear", "N2 20 sccm for 1s", 6, "1s"),
    ]


def test_cleanup_steps_are_marked():
    assert [row.name for row in rows(CLEAR, cleanup=[CLEAR])] == ["clear", "cleanup: clear"]


def test_a_long_condition_is_cut_and_its_time_kept():
    condition = " && ".join(["value('chamber.temperature') > 198.0"] * 10)
    (row,) = rows({"name": "settle", "waitFor": {"condition": condition, "timeout": "30m"}})
    assert len(row.detail) == DETAIL_LENGTH_MAX
    assert row.detail.endswith("..., at most 30m")


@pytest.mark.parametrize(
    ("minimum_ns", "maximum_ns", "text"),
    [
        (0, 0, "0s"),
        (40 * MS, 40 * MS, "40ms"),
        (24_770 * MS, 24_770 * MS, "24.77s"),
        (1306_500 * MS, 1306_500 * MS, "21m46s"),
        (13 * 60 * SECOND, 45 * 60 * SECOND, "13m..45m"),
    ],
)
def test_durations_read_as_people_say_them(minimum_ns, maximum_ns, text):
    assert duration_text(minimum_ns, maximum_ns) == text


def test_branches_are_shown_under_the_step_that_holds_them():
    rest = {"name": "rest", "wait": {"duration": "3s"}}
    both = {
        "name": "both",
        "together": {
            "branches": [{"name": "lines", "steps": [CLEAR]}, {"name": "idle", "steps": [rest]}]
        },
    }
    assert rows({"name": "l", "loop": {"count": 2, "steps": [both]}}) == (
        Row(name="l", kind="loop", detail="2 times", count=1, duration="6s"),
        Row(name="l/both", kind="together", detail="lines, idle", count=2, duration="3s"),
        Row(
            name="l/both/lines/clear",
            kind="purge",
            detail="N2 20 sccm for 1s",
            count=2,
            duration="1s",
        ),
        Row(name="l/both/idle/rest", kind="wait", detail="3s", count=2, duration="3s"),
    )
