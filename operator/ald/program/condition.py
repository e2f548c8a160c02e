"""Evaluates conditions: quality first, outside the expression; then the expression.

`||` and `&&` hide the failure of one side (`value('gone') > 1.0 || true` is true), so a condition whose parameters are not all
good is false before the library is asked. The helpers themselves never fail: the library prints failures to stderr.
"""

from collections.abc import Mapping

import cel

from ald.errors import InvalidInputError, Violation
from ald.program.expression import QUALITIES, ConditionError, References, references

GOOD = QUALITIES.index("good")
"""Qualities are numbers: 0 bad, 1 stale, 2 good."""

_NONE: Mapping[str, float] = {}
_NO_QUALITY: Mapping[str, int] = {}


class _Given:
    """What one evaluation is about."""

    __slots__ = ("ages", "qualities", "setpoints", "values")

    def __init__(self) -> None:
        self.values = self.setpoints = self.ages = _NONE
        self.qualities = _NO_QUALITY


class Condition:
    """One condition, compiled once; an evaluation takes a few microseconds.

    Attributes:
        reads: every parameter that it names.
        setpoints: those of them whose set point it asks for.
    """

    def __init__(self, text: str, path: str = "") -> None:
        """Compile `text`.

        Raises:
            InvalidInputError: it is no condition; the violation carries `path`.
        """
        names = _references(text, path)
        self.reads = names.reads
        self.setpoints = names.setpoints
        # The functions know this and not the condition: the library's context hides from the garbage collection what it holds,
        # and a condition that it leads back to would stay for good.
        self._given = given = _Given()
        # One context for all evaluations: making one costs more than a hundred of them.
        self._context = cel.Context(
            functions={
                "value": lambda name: float(given.values[name]),
                "setpoint": lambda name: float(given.setpoints[name]),
                "quality": lambda name: QUALITIES[given.qualities[name]],
                "age": lambda name: float(given.ages[name]),
            }
        )
        try:
            self._program = cel.compile(text)
        except ValueError as error:
            raise _invalid(text, path, f"is no CEL: {error}", "correct it") from error

    def evaluate(
        self,
        values: Mapping[str, float],
        setpoints: Mapping[str, float],
        qualities: Mapping[str, int],
        ages: Mapping[str, float],
    ) -> bool:
        """Return whether the condition holds. False where a parameter that it names is not good or not there.

        Args:
            values: by parameter, in its unit.
            setpoints: what was last commanded, by parameter, in its unit.
            qualities: by parameter, 0 bad, 1 stale, 2 good, as in `ald.records.scan.Quality`.
            ages: seconds since the value was read, by parameter.
        """
        for name in self.reads:
            if qualities.get(name) != GOOD or name not in values or name not in ages:
                return False
        for name in self.setpoints:
            if name not in setpoints:
                return False
        given = self._given
        given.values, given.setpoints = values, setpoints
        given.qualities, given.ages = qualities, ages
        try:
            return self._program.execute(self._context) is True
        except (RuntimeError, TypeError, ValueError):
            return False


def _references(text: str, path: str) -> References:
    try:
        return references(text)
    except ConditionError as error:
        raise _invalid(text, path, str(error), error.hint) from error


def _invalid(text: str, path: str, rule: str, hint: str) -> InvalidInputError:
    return InvalidInputError([Violation(path=path, value=text[:100], rule=rule, hint=hint)])
