"""The one error tree of ald. The first split says what the caller may do next: try again, or not.

    AldError
    ├── PermanentError             the same request will fail again: somebody has to change something
    │   ├── InvalidInputError      the input breaks one or more rules; carries every `Violation`
    │   ├── NotFoundError          the named object does not exist
    │   ├── RefusedError           well formed, but not allowed in the present state; carries a reason word
    │   ├── SafetyError            a safety rule would be broken: nothing was written
    │   └── CorruptRecordError     bytes read back are not the bytes written; never guessed at
    └── TemporaryError             the same request may succeed later
        ├── LinkError              the connection to the PLC
        │   ├── LinkDownError      no connection now
        │   ├── LinkTimeoutError   no answer in time; the outcome of a write is unknown
        │   ├── LinkHeldBackError  not sent: the PLC has failed at such requests for a while
        │   ├── LinkDesyncError    an answer that does not belong to its request; the connection is dropped
        │   └── ModbusExceptionError  the PLC answered with an exception code
        ├── RingFullError          the reader of the ring between driver and front is too far behind
        ├── PeerError              another process of ald is away or not ready
        └── StoreError             the database is away, slow or refuses for now

Messages say what is wrong, with which object, and what to do. Adapters chain the library's error with `from`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Sequence


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One broken rule in an input.

    Attributes:
        path: where, in the user's own words: `spec.steps[3].loop.steps[0].valve.open`.
        value: the offending value as written, shortened to 100 characters; empty where something is missing.
        rule: the rule it breaks, in plain language.
        hint: what to do about it.
    """

    path: str
    value: str
    rule: str
    hint: str

    @override
    def __str__(self) -> str:
        """One line for a person: path, value, rule, hint."""
        shown = f" (is {self.value})" if self.value else ""
        return f"{self.path}{shown}: {self.rule}; {self.hint}"


class AldError(Exception):
    """Base of every error that ald raises on purpose."""


class PermanentError(AldError):
    """Trying again does not help."""


class TemporaryError(AldError):
    """Trying again later may help."""


class InvalidInputError(PermanentError):
    """An input breaks rules; `violations` holds at least one, in the order of the document."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        assert violations, "an InvalidInputError names at least one violation"
        self.violations = tuple(violations)
        super().__init__("; ".join(str(v) for v in self.violations))


class NotFoundError(PermanentError):
    """The named object does not exist."""


class RefusedError(PermanentError):
    """Well formed but not allowed now. `reason` is one CamelCase word of a closed list."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class SafetyError(PermanentError):
    """A safety rule would be broken; nothing was written."""


class CorruptRecordError(PermanentError):
    """Stored bytes fail their check; the message names the file and the record."""


class LinkError(TemporaryError):
    """The connection to the PLC does not serve now."""


class LinkDownError(LinkError):
    """There is no connection."""


class LinkTimeoutError(LinkError):
    """No answer in time: of a write it is unknown whether it took effect."""


class LinkHeldBackError(LinkError):
    """The request was not sent: the PLC has failed at requests of its kind too often in a row."""


class LinkDesyncError(LinkError):
    """An answer did not belong to its request; the connection was dropped."""


class ModbusExceptionError(LinkError):
    """The PLC answered with an exception (Modbus Application Protocol V1.1b3, 7)."""

    def __init__(self, function: int, code: int, message: str) -> None:
        self.function = function
        self.code = code
        super().__init__(message)


class RingFullError(TemporaryError):
    """The ring between driver and front has no room: its reader is too far behind."""


class PeerError(TemporaryError):
    """Another process of ald is away or not ready."""


class StoreError(TemporaryError):
    """The database is away, slow, or refuses for now."""
