"""The condition ReadyForRun, and what a waiting run says of it."""

import pytest

from ald.controller.readiness import ready_for_run
from ald.controller.run_obstacle import obstacle_to_a_run
from ald.standing import ReadinessStatus
from unit.controller import situations as s
from unit.controller.test_decide_machine import link

MISSING = ReadinessStatus(
    declared=2, missing=("warm",), message="warm is not met: value('t') > 100.0 (t = 20 °C)"
)


@pytest.mark.parametrize(
    ("driver", "status", "reason"),
    [
        (None, "Unknown", "Pending"),
        (s.idle(), "True", "NoConditions"),
        (s.idle(readiness=ReadinessStatus(declared=2)), "True", "ConditionsMet"),
        (s.idle(readiness=MISSING), "False", "ConditionsNotMet"),
        (s.idle(readiness=MISSING, link=link(connected=False)), "Unknown", "Disconnected"),
    ],
)
def test_the_condition_has_a_reason_for_each_case(driver, status, reason):
    fact = ready_for_run(driver)
    assert (fact.status, fact.reason) == (status, reason)


def test_condition_and_waiting_run_name_what_is_not_ready_with_its_value():
    driver = s.idle(readiness=MISSING)
    for said in (ready_for_run(driver).message, obstacle_to_a_run(s.situation(driver))):
        assert "warm is not met" in said
        assert "t = 20 °C" in said
