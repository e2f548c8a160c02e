"""Being told to end before there is a loop."""

import os
import signal

import pytest

from ald.kit.ending import end_when_told

TOLD = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture
def as_before():
    before = {number: signal.getsignal(number) for number in TOLD}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", TOLD)
def test_who_is_told_to_end_before_there_is_a_loop_ends_in_good_order(as_before, number):
    end_when_told()
    with pytest.raises(SystemExit) as ended:
        os.kill(os.getpid(), number)
    assert ended.value.code == 0
