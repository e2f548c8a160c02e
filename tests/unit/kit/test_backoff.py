"""Waiting before a retry."""

from hypothesis import given
from hypothesis import strategies as st

from ald.kit.backoff import delay_s


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_the_wait_lies_between_half_the_first_delay_and_the_cap(attempt: int, unit: float) -> None:
    assert 0.05 <= delay_s(attempt, base_s=0.1, cap_s=1.0, unit_random=unit) <= 1.0


def test_the_wait_doubles_until_the_cap() -> None:
    waits = [delay_s(n, base_s=0.1, cap_s=1.0, unit_random=0.0) for n in range(1, 7)]
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5]
