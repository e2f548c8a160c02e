import pytest

from ald.controller.pace import CHANGE_INTERVAL_NS, Written, due_at_ns

LAST = Written(status={"phase": "Running", "percent": 1}, at_ns=1000)


@pytest.mark.parametrize(
    ("wanted", "last", "due"),
    [
        ({"phase": "Running"}, None, 0),
        ({"phase": "Running", "percent": 1}, LAST, None),
        ({"phase": "Running", "percent": 2}, LAST, 1000 + 5_000_000_000),
        ({"phase": "Held", "percent": 2}, LAST, 1000 + CHANGE_INTERVAL_NS),
        ({"phase": "Running"}, LAST, 1000 + 5_000_000_000),
    ],
)
def test_a_change_that_matters_waits_a_second_at_most_and_the_rest_its_interval(wanted, last, due):
    found = due_at_ns(wanted, last, volatile=frozenset({"percent"}), interval_ns=5_000_000_000)
    assert found == due
