"""docs/safety.md promises nothing without a test: each row of its tables names some, and all of them exist."""

import re
from pathlib import Path

from unit.test_fields import functions

PAGE = Path(__file__).parents[2] / "docs" / "safety.md"
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def rows() -> list[str]:
    """Return the rows of all tables, without their heads."""
    lines = PAGE.read_text().splitlines()
    heads = {i for i, line in enumerate(lines) if line.startswith("| ---")}
    return [
        line
        for i, line in enumerate(lines)
        if line.startswith("|") and i not in heads and i + 1 not in heads
    ]


def test_every_row_names_a_test() -> None:
    assert len(rows()) > 20
    assert [row for row in rows() if not NAMED.search(row.rpartition(" | ")[2])] == []


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(PAGE.read_text())
    assert [f"{file}::{name}" for file, name in named if name not in functions(file)] == []


def test_the_page_says_that_an_emergency_stop_is_hardware_and_is_found() -> None:
    assert "no emergency stop: that is hardware" in PAGE.read_text()
    assert "docs/safety.md" in (PAGE.parents[1] / "README.md").read_text()
