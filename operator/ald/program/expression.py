"""The part of the Common Expression Language that conditions may use, read and typed before anything evaluates it.

The library that evaluates conditions finds unknown functions and mismatched types only when it gets there, and `||` and `&&`
hide them. So a condition is read here first, by a grammar in which nothing can fail later:

    ternary  = or ["?" or ":" ternary]            relation = sum {("==" | "!=" | "<" | "<=" | ">" | ">=") sum}
    or       = and {"||" and}                     sum      = product {("+" | "-") product}
    and      = relation {"&&" relation}           product  = unary {("*" | "/") unary}
    unary    = ("!" | "-") unary | atom           atom     = number | text | "true" | "false" | "(" ternary ")" | call
    call     = ("value" | "setpoint" | "quality" | "age") "(" text ")"

Types are number (floating point), integer (a literal such as 200, only compared), text and bool. CEL does not mix integers and
floating point in arithmetic, so arithmetic takes numbers only: `2.0`, not `2`.
"""

import enum
import math
import re
from collections.abc import Callable, Iterator

import msgspec

LENGTH_MAX = 1000
"""Characters in a condition."""

DEPTH_MAX = 32
"""Parentheses, signs and choices inside one another; the evaluating library recurses as deep."""

HELPERS = ("value", "setpoint", "quality", "age")
QUALITIES = ("bad", "stale", "good")
INTEGER_MAX = (1 << 63) - 1

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<number>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)(?![\w.])
      | (?P<integer>[0-9]+)(?![\w.])
      | (?P<text>'[^'"\\\r\n]*'|"[^'"\\\r\n]*")
      | (?P<word>[A-Za-z_]\w*)
      | (?P<sign>\|\||&&|[=!<>]=|[!<>+\-*/()?:])""",
    re.VERBOSE | re.ASCII,
)


class Kind(enum.Enum):
    """What an expression gives."""

    NUMBER = "number"
    INTEGER = "whole number"
    TEXT = "text"
    BOOL = "true or false"


NUMERIC = (Kind.NUMBER, Kind.INTEGER)
_HELPER_KINDS = {
    "value": Kind.NUMBER,
    "setpoint": Kind.NUMBER,
    "age": Kind.NUMBER,
    "quality": Kind.TEXT,
}


class ConditionError(ValueError):
    """The text is no condition; `hint` says what to do."""

    def __init__(self, rule: str, hint: str) -> None:
        super().__init__(rule)
        self.hint = hint


class References(msgspec.Struct, frozen=True):
    """The parameters that a condition names, in order of appearance: all of them, and those whose set point it asks for."""

    reads: tuple[str, ...]
    setpoints: tuple[str, ...]


class _Token(msgspec.Struct, frozen=True):
    kind: str
    text: str
    column: int


def references(text: str) -> References:
    """Return which parameters a condition names.

    Raises:
        ConditionError: the text is no condition in the grammar of this module, or does not give true or false.
    """
    if len(text) > LENGTH_MAX:
        raise ConditionError(
            f"a condition has at most {LENGTH_MAX} characters",
            "split it into several waitFor steps",
        )
    reader = _Reader(text)
    kind = reader.ternary()
    reader.end()
    if kind is not Kind.BOOL:
        raise ConditionError(
            f"a condition gives true or false, and this gives a {kind.value}",
            "compare it, for example with > 198.0",
        )
    if not reader.reads:
        raise ConditionError(
            "a condition that names no parameter never changes",
            "name one, for example value('chamber.temperature') > 198.0",
        )
    return References(tuple(reader.reads), tuple(reader.setpoints))


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ConditionError(
                f"cannot read {text[at : at + 10]!r} at character {at + 1}",
                "conditions use numbers, 'names', ( ) + - * / < <= == != >= > && || ! and ? :",
            )
        if found.lastgroup != "space":
            assert found.lastgroup is not None, "every alternative is named"
            yield _Token(found.lastgroup, found[0], at + 1)
        at = found.end()
    yield _Token("end", "", len(text) + 1)


class _Reader:
    """Reads by recursive descent; each method returns the kind of what it read."""

    def __init__(self, text: str) -> None:
        self._tokens = tuple(_tokens(text))
        self._at = 0
        self._depth = 0
        self.reads: dict[str, None] = {}
        self.setpoints: dict[str, None] = {}

    def ternary(self) -> Kind:
        """Read a whole expression."""
        self._enter()
        kind = self._or()
        if self._take("?"):
            _want(kind, (Kind.BOOL,), "before ?")
            first = self._or()
            self._expect(":")
            second = self.ternary()
            if first is not second:
                raise ConditionError(
                    f"a choice between a {first.value} and a {second.value}",
                    "give both sides of : the same kind, for example 1.0 and 2.0",
                )
            kind = first
        self._depth -= 1
        return kind

    def end(self) -> None:
        """Check that nothing is left."""
        if self._next.kind != "end":
            raise self._unexpected("the end")

    def _or(self) -> Kind:
        return self._logic("||", self._and)

    def _and(self) -> Kind:
        return self._logic("&&", self._relation)

    def _logic(self, sign: str, operand: Callable[[], Kind]) -> Kind:
        kind = operand()
        while self._take(sign):
            _want(kind, (Kind.BOOL,), f"before {sign}")
            kind = operand()
            _want(kind, (Kind.BOOL,), f"after {sign}")
        return kind

    def _relation(self) -> Kind:
        left = self._sum()
        while sign := self._take("==", "!=", "<", "<=", ">", ">="):
            right = self._sum()
            comparable = left is right or (left in NUMERIC and right in NUMERIC)
            ordered = left in NUMERIC or sign in ("==", "!=")
            if not comparable or not ordered:
                raise ConditionError(
                    f"cannot compare a {left.value} and a {right.value} by {sign}",
                    "compare numbers with numbers, and quality() by == with 'good', 'stale' or 'bad'",
                )
            left = Kind.BOOL
        return left

    def _sum(self) -> Kind:
        return self._arithmetic(("+", "-"), self._product)

    def _product(self) -> Kind:
        return self._arithmetic(("*", "/"), self._unary)

    def _arithmetic(self, signs: tuple[str, ...], operand: Callable[[], Kind]) -> Kind:
        kind = operand()
        while sign := self._take(*signs):
            for each in (kind, operand()):
                _want(each, (Kind.NUMBER,), f"beside {sign}")
        return kind

    def _unary(self) -> Kind:
        sign = self._take("!", "-")
        if not sign:
            return self._atom()
        self._enter()
        kind = self._unary()
        _want(kind, (Kind.BOOL,) if sign == "!" else NUMERIC, f"after {sign}")
        self._depth -= 1
        return kind

    def _atom(self) -> Kind:
        token = self._next
        self._at += 1
        if token.kind == "number" and math.isfinite(float(token.text)):
            return Kind.NUMBER
        if token.kind == "integer" and int(token.text) <= INTEGER_MAX:
            return Kind.INTEGER
        if token.kind == "text":
            return _quality(token)
        if token.text in ("true", "false"):
            return Kind.BOOL
        if token.text == "(":
            kind = self.ternary()
            self._expect(")")
            return kind
        if token.kind == "word":
            return self._call(token)
        self._at -= 1
        raise self._unexpected("a value")

    def _call(self, helper: _Token) -> Kind:
        if helper.text not in _HELPER_KINDS:
            raise ConditionError(
                f"conditions know no {helper.text!r} (character {helper.column})",
                "they know value('p'), setpoint('p'), quality('p'), age('p'), true and false",
            )
        self._expect("(")
        name = self._next
        if name.kind != "text":
            raise ConditionError(
                f"{helper.text}() takes the name of one parameter in quotation marks (character {name.column})",
                f"write for example {helper.text}('chamber.temperature')",
            )
        self._at += 1
        self._expect(")")
        parameter = name.text[1:-1]
        self.reads[parameter] = None
        if helper.text == "setpoint":
            self.setpoints[parameter] = None
        return _HELPER_KINDS[helper.text]

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *signs: str) -> str:
        """Return the sign that comes next and pass it, or an empty text where it is none of these."""
        token = self._next
        if token.kind != "sign" or token.text not in signs:
            return ""
        self._at += 1
        return token.text

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise self._unexpected(repr(sign))

    def _unexpected(self, wanted: str) -> ConditionError:
        token = self._next
        found = repr(token.text) if token.text else "the end"
        return ConditionError(
            f"expects {wanted} at character {token.column} and finds {found}",
            "check parentheses and signs",
        )

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise ConditionError(
                f"goes more than {DEPTH_MAX} levels deep", "simplify it, or use several steps"
            )


def _quality(token: _Token) -> Kind:
    if token.text[1:-1] not in QUALITIES:
        raise ConditionError(
            f"{token.text} is no quality (character {token.column})",
            "a text outside value() and the others is 'good', 'stale' or 'bad'",
        )
    return Kind.TEXT


def _want(kind: Kind, wanted: tuple[Kind, ...], where: str) -> None:
    if kind in wanted:
        return
    names = " or a ".join(each.value for each in wanted)
    hint = "compare first, for example value('p') > 1.0"
    if kind is Kind.INTEGER:
        hint = "write whole numbers in arithmetic with a point: 2.0, not 2"
    raise ConditionError(f"needs a {names} {where}, and finds a {kind.value}", hint)
