"""Collects every broken rule of an input, so that a user sees all of them at once."""

import difflib
from collections.abc import Collection, Iterable

from ald.errors import InvalidInputError, Violation
from ald.units import parse_duration_ns

VIOLATIONS_MAX = 100
"""Violations reported of one input; the rest are counted."""

SUGGESTIONS_MAX = 20
"""Violations of which the nearest name is looked for: a tenth of a second for each, where a machine has a thousand."""


class Findings:
    """The violations found so far."""

    def __init__(self) -> None:
        self._found: list[Violation] = []

    def __len__(self) -> int:
        """Return how many were found."""
        return len(self._found)

    def add(self, path: str, rule: str, hint: str, *, value: object = "") -> None:
        """Note one broken rule; `value` is shortened to 100 characters."""
        self._found.append(Violation(path=path, value=shown(value), rule=rule, hint=hint))

    def extend(self, violations: Iterable[Violation]) -> None:
        """Note violations found elsewhere."""
        self._found.extend(violations)

    def unknown(self, path: str, kind: str, name: str, known: Collection[str]) -> None:
        """Note a name that does not exist, with the nearest that does where people get to read it."""
        is_near = len(self) < SUGGESTIONS_MAX
        hint = suggestion(kind, name, known if is_near else ())
        self.add(path, f"there is no {kind} of this name", hint, value=name)

    def duration_ns(self, text: str, path: str) -> int | None:
        """Return the duration, or None with its violation noted."""
        try:
            return parse_duration_ns(text, path)
        except InvalidInputError as error:
            self.extend(error.violations)
            return None

    def finish(self) -> None:
        """End the collection.

        Raises:
            InvalidInputError: something was found; at most `VIOLATIONS_MAX` violations and one that counts the others.
        """
        if not self._found:
            return
        kept = self._found[:VIOLATIONS_MAX]
        if len(self._found) > VIOLATIONS_MAX:
            rest = len(self._found) - VIOLATIONS_MAX
            kept.append(
                Violation(
                    path="spec",
                    value="",
                    rule=f"{rest} more rules are broken",
                    hint="correct the ones above first",
                )
            )
        raise InvalidInputError(kept)


def suggestion(kind: str, name: str, known: Collection[str]) -> str:
    """Return what to do about an unknown name: the nearest known one, or the list where it is short."""
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    if 0 < len(known) <= 8:
        return f"choose one of {', '.join(known)}"
    return f"correct the name, or add the {kind} to the machine"


def shown(value: object) -> str:
    """Return a value as written, at most 100 characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 100 else text[:97] + "..."
