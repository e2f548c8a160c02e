"""A plan goes on where it stopped, and says what it does and how long that takes."""

import threading

import pytest

from clusterlib.steps import Step, carry_out, together


class Work:
    """A step's work that fails as often as it is told to."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.is_done = False

    def do(self) -> None:
        if self.failures:
            self.failures -= 1
            raise InterruptedError
        self.is_done = True

    def step(self, title: str) -> Step:
        return Step(title=title, usually="1 min", is_done=lambda: self.is_done, do=self.do)


def test_a_plan_goes_on_where_it_stopped(capsys: pytest.CaptureFixture[str]):
    first, second = Work(failures=0), Work(failures=1)
    plan = [first.step("first"), second.step("second")]
    with pytest.raises(InterruptedError):
        carry_out(plan)
    assert (first.is_done, second.is_done) == (True, False)
    capsys.readouterr()
    carry_out(plan)
    assert second.is_done
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "step 1/2  first: done before"
    assert said[1] == "step 2/2  second, usually 1 min …"


def test_works_side_by_side_are_all_done_before_the_failure_of_one_is_told():
    meeting = threading.Barrier(2, timeout=10)
    after_failure = Work(failures=0)

    def fail() -> None:
        meeting.wait()
        raise InterruptedError

    def go_on() -> None:
        meeting.wait()
        after_failure.do()

    with pytest.raises(InterruptedError):
        together(fail, go_on)()
    assert after_failure.is_done
    together()()
