import subprocess
import sys

from ald.cli import app

# What a software stop may not have to load: database, HTTP, models of resources.
HEAVY = ("psycopg", "aiohttp", "ald.api", "numpy", "yaml", "cel", "kubernetes")


def test_a_stop_loads_nothing_that_it_does_not_need():
    code = (
        "import sys; from ald.cli import app; sys.argv = ['ald', 'stop', '--run-dir', '/nowhere']; app.main(); "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
    assert "no driver answers" in done.stderr


def test_every_command_is_where_the_table_says():
    for module in (*app.TOP.values(), *app.MACHINE.values(), *app.RUN.values()):
        __import__(module)
        assert hasattr(sys.modules[module], "app")
