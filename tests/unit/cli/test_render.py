import datetime
import json

import pytest
from rich.console import Console

from ald.cli.render import (
    columns,
    count,
    milliseconds,
    moment,
    number,
    show_json,
    span,
    sparkline,
)
from ald.cli.survey import Refused
from ald.plant.model import Table


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0"), (25.0, "25"), (1 / 3, "0.3333333"), (1e12, "1e+12")],
)
def test_a_number_has_the_digits_of_a_float32(value, text):
    assert number(value) == text


def test_times_are_shown_in_the_unit_that_fits():
    shown = [span(s) for s in (None, 0.0123, 12.34, 59.99, 61, 1306, 7500)]
    assert shown == ["-", "12 ms", "12.3 s", "60.0 s", "1m01s", "21m46s", "2h05m"]
    assert milliseconds(1_234_567) == "1.235"
    assert milliseconds(None) == "-"


def test_moments_are_in_utc_wherever_they_come_from():
    zone = datetime.timezone(datetime.timedelta(hours=2))
    when = datetime.datetime(2025, 1, 1, 1, 30, tzinfo=zone)
    assert moment(when) == "2024-12-31 23:30:00 UTC"
    assert moment(None) == "-"


def test_amounts_agree_with_their_word():
    assert [count(n, "scan") for n in (0, 1, 1234)] == ["0 scans", "1 scan", "1,234 scans"]


@pytest.mark.parametrize(
    ("points", "line"),
    [
        ((), ""),
        ((None, None), "  "),
        ((5.0, 5.0, None), "▄▄ "),
        ((0.0, 7.0, None, 3.5), "▁█ ▅"),
        ((-1.7e308, 1.7e308), "▁█"),
        (tuple(range(8)), "▁▂▃▄▅▆▇█"),
    ],
)
def test_a_sparkline_has_one_character_a_point(points, line):
    assert sparkline(points) == line


def test_a_table_keeps_numbers_whole_and_to_the_right():
    table = columns("T", "name", ">value")
    table.add_row("a", "1")
    table.add_row("bb", "1000")
    console = Console(width=40)
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert lines == ["T", "name  value", "a         1", "bb     1000"]


def test_json_is_for_programs(capsys):
    show_json(Refused(table=Table.COIL, first=1, count=2, why="no"))
    document = json.loads(capsys.readouterr().out)
    assert document == {"table": "coil", "first": 1, "count": 2, "why": "no"}
