import pytest

from ald.errors import RefusedError
from ald.store.migrate import Applied, Migration, migrations, pending

KNOWN = tuple(Migration(version=n, name=f"m{n}", sql=f"SELECT {n}") for n in (1, 2, 3))


def applied(*versions):
    return [
        Applied(version=m.version, name=m.name, checksum=m.checksum)
        for m in KNOWN
        if m.version in versions
    ]


def test_migrations_are_numbered_from_one_and_not_empty():
    found = migrations()
    assert [m.version for m in found] == list(range(1, len(found) + 1))
    assert all(m.sql.strip() for m in found)


def test_what_was_applied_is_not_pending():
    assert [m.version for m in pending(KNOWN, applied(1))] == [2, 3]
    assert pending(KNOWN, applied(1, 2, 3)) == ()


def test_a_newer_schema_is_refused():
    with pytest.raises(RefusedError, match=r"version 3 \(m3\), this program knows up to 2"):
        pending(KNOWN[:2], applied(1, 2, 3))


def test_another_migration_of_the_same_number_is_refused():
    other = (Migration(version=1, name="m1", sql="SELECT 9"),)
    with pytest.raises(RefusedError, match="different builds"):
        pending(other, applied(1))
