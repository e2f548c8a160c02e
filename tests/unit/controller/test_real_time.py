import pytest

from ald.controller.real_time import real_time
from ald.standing import RealTime, RealTimeStatus
from unit.controller import situations as s


def fact(state, message="", wake_p99_ns=90_000):
    told = RealTimeStatus(state=state, message=message, wake_p99_ns=wake_p99_ns)
    return real_time(s.idle(real_time=told))


def test_what_was_granted_is_told_with_the_jitter_and_what_is_missing():
    found = fact(RealTime.GRANTED, "no locked memory: limited to 64 KiB")
    assert (found.type, found.status, found.reason) == ("RealTime", "True", "Granted")
    assert "at most 0.125 ms late" in found.message
    assert "But no locked memory: limited to 64 KiB." in found.message


def test_a_refusal_is_told_with_its_reason():
    found = fact(RealTime.REFUSED, "no SCHED_FIFO: Operation not permitted")
    assert (found.status, found.reason) == ("False", "Refused")
    assert "Operation not permitted" in found.message


def test_not_asked_for_is_no_fault_and_says_by_which_value():
    found = fact(RealTime.OFF)
    assert (found.status, found.reason) == ("False", "Off")
    assert "gateway.realTime" in found.message


@pytest.mark.parametrize(
    ("ns", "told"), [(0, "0.125"), (125_001, "0.25"), (900_000, "1 "), (3_000_000, "4 ")]
)
def test_the_jitter_is_told_in_steps_so_that_the_status_stands_still(ns, told):
    assert f"at most {told.strip()} ms late" in fact(RealTime.OFF, wake_p99_ns=ns).message


def test_without_a_driver_nothing_is_known():
    assert real_time(None).status == "Unknown"
