import pytest

from ald.controller.announce import announce_change
from unit.controller import situations as s


class Kept:
    def __init__(self):
        self.posted = []

    def post(self, document, *, warning, reason, message):
        self.posted.append((warning, reason, message))


def status(value, reason):
    return s.with_condition({}, "Succeeded", value, reason, message="m" * 2000)["status"]


@pytest.mark.parametrize(
    ("value", "reason", "warning"),
    [("Unknown", "Queued", False), ("False", "LinkLost", True), ("True", "Completed", False)],
)
def test_a_change_is_told_once_in_its_own_words(value, reason, warning):
    kept = Kept()
    announce_change(kept, s.RUN, status(value, reason), "Succeeded", frozenset({"Queued"}))
    assert kept.posted == [(warning, reason, "m" * 1000)]
    after = s.edited(s.RUN, "status", status(value, reason))
    announce_change(kept, after, status(value, reason), "Succeeded", frozenset())
    assert len(kept.posted) == 1


def test_a_status_without_the_condition_tells_nothing():
    kept = Kept()
    announce_change(kept, s.RUN, {}, "Succeeded", frozenset())
    assert kept.posted == []
