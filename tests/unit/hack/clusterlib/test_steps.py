"""A plan goes on where it stopped, and says what it does and how long that takes."""

import pytest

from clusterlib.steps import Step, carry_out


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
