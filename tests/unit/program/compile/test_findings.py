import pytest

from ald.errors import InvalidInputError
from ald.program.compile.findings import (
    SUGGESTIONS_MAX,
    VIOLATIONS_MAX,
    Findings,
    shown,
    suggestion,
)


def test_nothing_found_ends_quietly():
    Findings().finish()


def test_everything_found_is_raised_in_the_order_it_was_found():
    findings = Findings()
    findings.add("a", "rule", "hint", value=1.5)
    findings.unknown("b", "valve", "tna", ["tma", "water"])
    with pytest.raises(InvalidInputError) as caught:
        findings.finish()
    assert [v.path for v in caught.value.violations] == ["a", "b"]
    assert str(caught.value.violations[0]) == "a (is 1.5): rule; hint"


def test_a_flood_of_violations_is_cut_and_counted():
    findings = Findings()
    for index in range(VIOLATIONS_MAX + 7):
        findings.add(f"[{index}]", "rule", "hint")
    with pytest.raises(InvalidInputError) as caught:
        findings.finish()
    assert len(caught.value.violations) == VIOLATIONS_MAX + 1
    assert caught.value.violations[-1].rule == "7 more rules are broken"


def test_the_nearest_name_is_looked_for_as_often_as_people_get_to_read_it():
    findings = Findings()
    for index in range(SUGGESTIONS_MAX + 1):
        findings.unknown(f"[{index}]", "valve", "tna", ["tma"])
    with pytest.raises(InvalidInputError) as caught:
        findings.finish()
    *first, last = (violation.hint for violation in caught.value.violations)
    assert set(first) == {"did you mean tma?"}
    assert last == "correct the name, or add the valve to the machine"


def test_a_faulty_duration_is_noted_and_gives_none():
    findings = Findings()
    assert findings.duration_ns("5 parsecs", "p") is None
    assert findings.duration_ns("5s", "p") == 5_000_000_000
    assert len(findings) == 1


def test_an_unknown_name_gets_the_nearest_or_all_or_what_to_do():
    assert suggestion("valve", "tna", ["tma", "water"]) == "did you mean tma?"
    assert suggestion("valve", "xyz", ["tma", "water"]) == "choose one of tma, water"
    assert "add the valve to the machine" in suggestion("valve", "xyz", [])


def test_values_are_shown_as_written_and_short():
    assert [shown(each) for each in (True, False, 20.0, 7, "x")] == [
        "true",
        "false",
        "20",
        "7",
        "x",
    ]
    assert len(shown("x" * 500)) == 100
