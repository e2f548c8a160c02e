import errno

from ald.gateway.driver.realtime import Jitter, obtain
from ald.standing import RealTime, RealTimeMode


def granted() -> None:
    return


def refused() -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def asked(*answers):
    names = ("SCHED_FIFO", "locked memory")
    return obtain(RealTimeMode.TRY, tuple(zip(names, answers, strict=True)))


def test_nothing_is_asked_for_unless_wanted():
    state, message = obtain(RealTimeMode.OFF, (("SCHED_FIFO", refused),))
    assert (state, message) == (RealTime.OFF, "")


def test_what_is_refused_is_named_with_its_reason():
    assert asked(granted, granted) == (RealTime.GRANTED, "")
    assert asked(granted, refused) == (
        RealTime.GRANTED,
        "no locked memory: Operation not permitted",
    )
    state, message = asked(refused, granted)
    assert state is RealTime.REFUSED
    assert message == "no SCHED_FIFO: Operation not permitted"


def test_the_jitter_is_that_of_all_but_the_worst_of_a_hundred_wake_ups():
    jitter = Jitter((RealTime.OFF, ""))
    assert jitter.status().wake_p99_ns == 0
    for late_ns in [-5] + [1000] * 98 + [9_000_000]:
        jitter.woke(late_ns)
    assert jitter.status().wake_p99_ns == 1000
