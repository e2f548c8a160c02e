from ald.plc.breaker import CLOSED, FAILURES_MAX, HOLD_BASE_NS, HOLD_CAP_NS


def failed(times, now_ns=0):
    breaker = CLOSED
    for _ in range(times):
        breaker = breaker.failed(now_ns)
    return breaker


def test_a_few_failures_hold_nothing_back():
    breaker = failed(FAILURES_MAX - 1)
    assert breaker.is_closed
    assert not breaker.holds_back(0)


def test_failures_in_a_row_hold_back_for_a_while():
    breaker = failed(FAILURES_MAX, now_ns=7)
    assert breaker.holds_back(7 + HOLD_BASE_NS - 1)
    assert not breaker.holds_back(7 + HOLD_BASE_NS)
    assert not breaker.is_closed


def test_an_answer_in_between_begins_the_count_anew():
    assert failed(FAILURES_MAX - 1).answered().failed(0).is_closed


def test_each_further_failure_doubles_the_hold_up_to_the_cap():
    holds = [failed(FAILURES_MAX + n).until_ns for n in range(5)]
    assert holds[:3] == [HOLD_BASE_NS, 2 * HOLD_BASE_NS, 4 * HOLD_BASE_NS]
    assert holds[3:] == [HOLD_CAP_NS] * 2
    assert failed(10_000).until_ns == HOLD_CAP_NS


def test_one_answer_closes_it():
    assert failed(100).answered() == CLOSED
