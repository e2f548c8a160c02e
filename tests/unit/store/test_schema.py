import re

from ald.store.migrate import migrations
from ald.store.schema import COLUMNS, missing


def columns_of(table):
    """Return the columns that the migrations give a table."""
    text = "\n".join(m.sql for m in migrations())
    body = re.search(rf"CREATE TABLE {table} \((.*?)\n\)", text, re.DOTALL)
    assert body, table
    made = {line.split()[0] for line in body[1].splitlines() if re.match(r"    [a-z0-9_]+ ", line)}
    for more in re.findall(rf"ALTER TABLE {table}\n(.*?);", text, re.DOTALL):
        made |= set(re.findall(r"ADD COLUMN ([a-z0-9_]+)", more))
    return made


def test_the_migrations_make_everything_that_is_looked_for():
    assert list(missing({table: columns_of(table) for table in COLUMNS})) == []


def test_a_missing_table_is_named_once_and_a_missing_column_with_its_table():
    present = {table: columns_of(table) for table in COLUMNS}
    del present["scans"]
    present["feeds"].discard("position")
    assert list(missing(present)) == ["column feeds.position", "table scans"]
