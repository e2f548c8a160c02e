from ald.controller.retry import Retry


class Clock:
    def __init__(self):
        self.now_ns = 1_000

    def monotonic_ns(self):
        return self.now_ns

    def wall_ns(self):
        return self.now_ns


def test_each_failure_waits_longer_up_to_a_cap_and_a_success_starts_over():
    clock = Clock()
    retry = Retry(clock, base_s=1, cap_s=4)
    waits = []
    for _ in range(6):
        begin_ns = clock.now_ns
        retry.failed()
        clock.now_ns = retry.due_ns - 1
        assert not retry.is_due
        clock.now_ns = begin_ns
        waits.append((retry.due_ns - clock.now_ns) / 1e9)
        clock.now_ns = retry.due_ns
    assert 0.5 <= waits[0] <= 1
    assert 1 <= waits[1] <= 2
    assert all(2 <= wait <= 4 for wait in waits[2:])
    retry.done()
    assert retry.due_ns == 0
    retry.failed()
    assert (retry.due_ns - clock.now_ns) / 1e9 <= 1


def test_an_attempt_is_due_at_first_and_exactly_when_its_wait_is_over():
    clock = Clock()
    retry = Retry(clock)
    assert retry.is_due
    retry.failed()
    clock.now_ns = retry.due_ns
    assert retry.is_due
