"""docs/failures.md names a test for every failure, and all of them exist; those of the earlier system are ten."""

import re
from pathlib import Path

import pytest

from unit.test_fields import functions

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "failures.md"
NAMED = re.compile(r"`([\w/]+\.py)(?:::(test_\w+))?`")


def rows(head: str) -> list[str]:
    """Return the rows of the table that begins with these columns."""
    _, _, table = PAGE.read_text().partition(head + "\n")
    lines = table.partition("\n\n")[0].splitlines()
    return [line for line in lines if not line.startswith("| ---")]


FOUND = rows("| date | impact | symptom | cause | prevention | test |")
EARLIER = rows("| impact | symptom | cause | test |")


def named(row: str) -> list[tuple[str, str]]:
    """Return the file, below `tests/`, and the test of each that a row names."""
    cell = row.rstrip(" |").rpartition(" | ")[2]
    return [
        (file.removeprefix("tests/") if file.startswith("tests/") else f"unit/{file}", test)
        for file, test in NAMED.findall(cell)
    ]


@pytest.mark.requirement("FR-05")
def test_every_failure_names_a_test() -> None:
    assert len(FOUND) > 40
    assert len(EARLIER) == 10
    assert [row for row in FOUND + EARLIER if not named(row)] == []


def test_every_test_that_is_named_exists() -> None:
    everything = [each for row in FOUND + EARLIER for each in named(row)]
    assert [
        f"{file}::{test}"
        for file, test in everything
        if not functions(file) or (test and test not in functions(file))
    ] == []
