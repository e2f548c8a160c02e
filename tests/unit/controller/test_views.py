import pytest

from ald.controller.views import Reach
from ald.records.event import RunOutcome
from unit.controller import situations as s


def test_nothing_is_known_of_a_gateway_that_does_not_answer():
    reach = Reach()
    assert (reach.driver, reach.progress, reach.active_run) == (None, None, None)


@pytest.mark.parametrize(("outcome", "active"), [(None, True), (RunOutcome.ABORTED, False)])
def test_a_run_is_active_until_it_has_an_outcome(outcome, active):
    reach = s.situation(s.idle(run=s.progress_of(outcome=outcome))).reach
    assert reach.progress is not None
    assert (reach.active_run is not None) is active


@pytest.mark.parametrize(
    ("changes", "current"),
    [({}, True), ({"plant_confirmed": False}, False), ({"plant_digest": "other"}, False)],
)
def test_a_plant_counts_only_when_exactly_it_is_confirmed(changes, current):
    assert s.situation(s.idle(**changes)).is_current is current
