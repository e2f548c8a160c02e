"""From psycopg's errors to ours, in words that say what to do."""

import contextlib
from collections.abc import Iterator

import psycopg
from psycopg import errors

from ald.errors import RefusedError, StoreError

REASON_CHARACTERS_MAX = 500
"""Longest reason passed on; the first lines of PostgreSQL's messages say it all."""

SCHEMA_DAMAGED = "SchemaDamaged"
SCHEMA_NEWER = "SchemaNewer"
SCHEMA_CHANGED = "SchemaChanged"
FEED_TAKEN = "FeedTaken"
BATCH_REJECTED = "BatchRejected"
ADDRESS_INVALID = "AddressInvalid"

REJECTIONS = (psycopg.DataError, psycopg.IntegrityError)
"""The row is at fault: sending it again will fail again."""

_PLAIN = (
    ("password authentication failed", "correct the password in the connection Secret"),
    ("no password supplied", "put a password into the connection Secret"),
    ("does not exist", "create it, or correct the connection Secret"),
    ("too many clients", "raise max_connections of the server, or lower the pool"),
    ("remaining connection slots", "raise max_connections of the server, or lower the pool"),
    ("pg_hba.conf", "allow this client in the server's pg_hba.conf"),
)


def reason(error: BaseException) -> str:
    """Return an error's message as one line without control characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
    return text[:REASON_CHARACTERS_MAX] or type(error).__name__


def plain(error: BaseException) -> str:
    """Return an error's message with what to do, where that is known."""
    text = reason(error)
    return next((f"{text}; {hint}" for sign, hint in _PLAIN if sign in text), text)


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Let no library error out.

    Raises:
        StoreError: the database is away, slow, full or refuses for now.
        RefusedError: a table or column is not there; reason `SchemaDamaged`.
    """
    try:
        yield
    except (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction) as error:
        raise RefusedError(
            SCHEMA_DAMAGED,
            f"the history's schema is damaged while {doing}: {reason(error)}; restore what is named from a backup",
        ) from error
    except (psycopg.Error, OSError) as error:
        raise StoreError(f"the database does not serve while {doing}: {plain(error)}") from error
