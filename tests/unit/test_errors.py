"""The error tree."""

from ald import errors
from ald.errors import InvalidInputError, Violation


def test_every_error_says_whether_trying_again_helps() -> None:
    every = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.AldError)
    ]
    undecided = [
        kind
        for kind in every
        if kind is not errors.AldError
        and issubclass(kind, errors.PermanentError) == issubclass(kind, errors.TemporaryError)
    ]
    assert undecided == []


def test_the_docstring_draws_every_error() -> None:
    assert errors.__doc__ is not None
    names = [n for n, k in vars(errors).items() if isinstance(k, type) and n.endswith("Error")]
    assert [n for n in names if n not in errors.__doc__] == []


def test_a_violation_reads_as_one_line_with_path_value_rule_and_hint() -> None:
    one = Violation(
        path="spec.steps[3].open", value="0s", rule="must be positive", hint="write 40ms"
    )
    assert str(InvalidInputError([one])) == (
        "spec.steps[3].open (is 0s): must be positive; write 40ms"
    )
