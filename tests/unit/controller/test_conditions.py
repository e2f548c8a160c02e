import pytest

from ald.controller.conditions import (
    MESSAGE_LENGTH_MAX,
    Fact,
    bounded,
    conditions,
    find,
    listed,
    rfc3339,
    wall_ns,
)

READY = Fact(type="Ready", status="True", reason="Ready", message="fine")
OLD = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}


def test_the_transition_time_stays_while_the_status_stays():
    (found,) = conditions([READY], [OLD], now="2026-01-02T00:00:00Z", generation=3)
    assert found == {
        "type": "Ready",
        "status": "True",
        "reason": "Ready",
        "message": "fine",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 3,
    }


@pytest.mark.parametrize("old", [[], [OLD | {"status": "False"}], [OLD | {"type": "Other"}]])
def test_a_new_or_changed_status_takes_the_present_time(old):
    (found,) = conditions([READY], old, now="2026-01-02T00:00:00Z", generation=1)
    assert found["lastTransitionTime"] == "2026-01-02T00:00:00Z"


def test_a_message_never_exceeds_what_the_schema_takes():
    assert bounded("x" * MESSAGE_LENGTH_MAX) == "x" * MESSAGE_LENGTH_MAX
    assert len(bounded("x" * 10_000)) == MESSAGE_LENGTH_MAX
    assert bounded("x" * 10_000).endswith(" …")


def test_violations_are_listed_up_to_a_number_and_the_others_counted():
    assert listed(["a", "b"]) == "a; b"
    assert listed(["a", "b", "c"], 2) == "a; b; and 1 more"


def test_a_condition_is_found_by_its_type():
    assert find({"status": {"conditions": [OLD]}}, "Ready") == OLD
    assert find({}, "Ready") == {}


@pytest.mark.parametrize(
    ("stamp", "ns"),
    [("1970-01-01T00:00:01Z", 10**9), ("2026-01-02T03:04:05Z", 1_767_323_045 * 10**9)],
)
def test_times_are_written_to_the_second_and_read_back(stamp, ns):
    assert wall_ns(stamp) == ns
    assert rfc3339(ns) == stamp
