"""Durations and rates as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ald.errors import InvalidInputError
from ald.units import DURATION_NS_MAX, format_duration, parse_duration_ns, parse_rate


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("40ms", 40_000_000),
        ("1.5s", 1_500_000_000),
        ("1h30m", 5_400_000_000_000),
        ("0.5ms", 500_000),
        ("0s", 0),
    ],
)
def test_a_duration_is_read_exactly(text: str, nanoseconds: int) -> None:
    assert parse_duration_ns(text, "spec.x") == nanoseconds


@pytest.mark.parametrize("text", ["", "1d", "PT1S", "200ms5", "-1s", "5", "1 s", "1.5", "٣s"])
def test_what_is_no_duration_is_refused_with_its_path(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^spec\.x") as caught:
        parse_duration_ns(text, "spec.x")
    assert caught.value.violations[0].value == text


def test_a_duration_beyond_thirty_days_is_refused() -> None:
    assert parse_duration_ns("720h", "p") == DURATION_NS_MAX
    with pytest.raises(InvalidInputError, match="at most 720h"):
        parse_duration_ns("720.001h", "p")


@given(st.integers(0, DURATION_NS_MAX // 1000))
def test_a_formatted_duration_reads_back_as_itself(micros: int) -> None:
    assert parse_duration_ns(format_duration(micros * 1000), "p") == micros * 1000


@pytest.mark.parametrize(
    ("text", "unit", "per_second"),
    [("10 °C/min", "°C", 10 / 60), ("1.5 sccm/s", "sccm", 1.5), ("36 /h", "", 0.01)],
)
def test_a_rate_is_in_the_unit_per_second(text: str, unit: str, per_second: float) -> None:
    assert parse_rate(text, unit, "p") == pytest.approx(per_second)


@pytest.mark.parametrize("text", ["10 K/min", "10", "0 °C/min", "-1 °C/s", "10 °C/day"])
def test_a_rate_in_another_unit_or_not_positive_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="positive number with °C/s"):
        parse_rate(text, "°C", "p")
