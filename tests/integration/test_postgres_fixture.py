"""The PostgreSQL that tests run against is real, separate for each test, and leaves nothing."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from fixtures.postgres import PostgresServer, run_server
from fixtures.processes import snapshot_of
from fixtures.wait import eventually

pytestmark = pytest.mark.integration

HOLD_A_SERVER = """
import sys
sys.path.insert(0, sys.argv[1])
from fixtures.postgres import run_server
with run_server() as server:
    print(server.directory, server.dsn(), flush=True)
    sys.stdin.read()
"""


def test_each_database_starts_empty_and_is_seen_by_no_other(postgres: PostgresServer):
    first, second = postgres.create_database(), postgres.create_database()
    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE only_here (id int)")
    with psycopg.connect(second) as connection:
        rows = connection.execute("SELECT to_regclass('only_here')").fetchall()
    assert rows == [(None,)]


def test_all_statements_of_a_snapshot_see_one_moment(database: str):
    with psycopg.connect(database, autocommit=True) as writer:
        writer.execute("CREATE TABLE feed (position int)")
        writer.execute("INSERT INTO feed VALUES (1)")
        with snapshot_of(database) as history:
            assert history.count("SELECT max(position) FROM feed") == 1
            writer.execute("INSERT INTO feed VALUES (2)")
            assert history.sql("SELECT count(*), max(position) FROM feed") == [(1, 1)]
    with snapshot_of(database) as history:
        assert history.count("SELECT count(*) FROM feed") == 2


def test_a_wrong_password_is_refused(postgres: PostgresServer):
    wrong = postgres.dsn().replace(":only-on-loopback@", ":wrong@")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_an_orderly_stop_leaves_no_server_and_no_file():
    with run_server() as server:
        address = server.dsn()
    assert not server.directory.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address, connect_timeout=2)


@pytest.mark.requirement("HARN-01")
def test_the_server_ends_and_cleans_up_when_its_test_is_killed():
    victim = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLD_A_SERVER,
            str(Path(__file__).parent.parent),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with victim:
        assert victim.stdout is not None
        directory, address = victim.stdout.readline().split()
        postmaster = int((Path(directory) / "data" / "postmaster.pid").read_text().split()[0])
        victim.kill()
    eventually(lambda: not Path(f"/proc/{postmaster}").exists(), within_s=15)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address, connect_timeout=2)
    eventually(lambda: not Path(directory).exists(), within_s=5)
