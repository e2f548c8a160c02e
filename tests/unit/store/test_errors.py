import psycopg
import pytest

from ald.errors import RefusedError, StoreError
from ald.store.errors import REASON_CHARACTERS_MAX, plain, reason, translated


def test_a_reason_is_one_line_of_printable_characters_and_short():
    assert reason(ValueError("a\n  b\x00c")) == "a b c"
    assert len(reason(ValueError("x" * 5000))) == REASON_CHARACTERS_MAX
    assert reason(ValueError()) == "ValueError"


def test_what_to_do_is_said_where_it_is_known():
    error = psycopg.OperationalError('password authentication failed for user "ald"')
    assert plain(error).endswith("correct the password in the connection Secret")
    assert plain(ValueError("odd")) == "odd"


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        (psycopg.OperationalError("gone"), StoreError),
        (psycopg.errors.LockNotAvailable("late"), StoreError),
        (psycopg.errors.DiskFull("full"), StoreError),
        (ConnectionResetError("reset"), StoreError),
        (psycopg.errors.UndefinedTable("no scans"), RefusedError),
        (psycopg.errors.UndefinedColumn("no id"), RefusedError),
    ],
)
def test_no_error_of_the_library_gets_out(raised, ours):
    with pytest.raises(ours, match="storing"), translated("storing"):
        raise raised
