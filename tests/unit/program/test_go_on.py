import pytest

from ald.program.go_on import go_on


@pytest.mark.parametrize(
    ("step", "iterations", "said"),
    [
        ("clear", (), ""),
        (
            "deposit/tma",
            ((37, 100),),
            "cycle 37 of 100 of deposit was begun; a new run goes on behind it with startAt: {step: deposit, cycle: 38}",
        ),
        (
            "deposit/both/a/tma",
            ((100, 100),),
            "cycle 100 of 100 of deposit was begun; a new run does it once more with startAt: {step: deposit, cycle: 100}",
        ),
        (
            "stack/pair/first/tma",
            ((2, 2), (3, 10), (49, 50)),
            (
                "cycle 49 of 50 of stack/pair/first was begun; a new run goes on behind it with startAt:"
                " {step: stack/pair/first, cycle: 50, outerCycles: [2, 3]}"
            ),
        ),
    ],
)
def test_the_place_is_said_as_a_run_wants_it(step, iterations, said):
    assert go_on(step, iterations) == said


def test_after_a_loss_of_power_it_is_the_last_one_that_may_have_begun():
    found = go_on("deposit/tma", ((37, 100),), is_certain=False)
    assert found == (
        "cycle 37 of 100 of deposit may have begun, and all before it;"
        " a new run goes on behind it with startAt: {step: deposit, cycle: 38}"
    )
