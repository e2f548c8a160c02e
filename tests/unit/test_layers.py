"""The import contracts hold, and each of them fails when it is broken on purpose."""

import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent.parent
NOT_IN_THE_DRIVER = {"aiohttp", "ssl", "sqlite3", "json", "pydantic", "structlog", "psycopg"}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(
        ROOT / "operator/ald", tmp_path / "ald", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path


def lint_imports(place: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            Path(sys.executable).with_name("lint-imports"),
            "--no-logo",
            "--no-cache",
            f"--config={ROOT / 'pyproject.toml'}",
        ],
        cwd=place,
        env={"PYTHONPATH": str(place), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_package_keeps_every_contract(copy: Path):
    done = lint_imports(copy)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "statement", "says"),
    [
        ("errors.py", "import ald.units", "ald.errors -> ald.units"),
        ("api/__init__.py", "import ald.program", "ald.api -> ald.program"),
        ("logger/__init__.py", "import ald.gateway", "ald.logger -> ald.gateway"),
        ("units.py", "import time", "ald.units -> time"),
        ("engine/__init__.py", "import ald.kit", "ald.engine -> ald.kit"),
        ("plant/__init__.py", "import ald.api", "ald.plant -> ald.api"),
        ("gateway/driver/__init__.py", "import json", "ald.gateway.driver -> json"),
        ("simulator/__init__.py", "import ald.plc", "ald.simulator -> ald.plc"),
        ("logger/__init__.py", "import pymodbus", "ald.logger -> pymodbus"),
        ("logger/__init__.py", "import psycopg", "ald.logger -> psycopg"),
        ("cli/__init__.py", "import kopf", "ald.cli -> kopf"),
        ("unplaced.py", "", "unplaced"),
    ],
)
def test_a_forbidden_import_fails_and_is_named(copy: Path, module: str, statement: str, says: str):
    with (copy / "ald" / module).open("a") as source:
        source.write(f"\n{statement}\n")
    done = lint_imports(copy)
    assert done.returncode != 0
    assert says in done.stdout


def test_the_driver_reaches_no_heavy_library_even_through_the_init_of_a_package():
    """The contract sees imports as written; Python also runs each parent package's __init__."""
    graph = grimp.build_graph("ald", include_external_packages=True, cache_dir=None)
    reached: set[str] = set()
    waiting = {"ald.gateway.driver", *graph.find_descendants("ald.gateway.driver")}
    while waiting:
        module = waiting.pop()
        if module in reached or not module.startswith("ald"):
            continue
        reached.add(module)
        waiting |= graph.find_modules_directly_imported_by(module)
        waiting |= {module.rpartition(".")[0]} - {""}
    heavy = {
        f"{module} -> {imported}"
        for module in reached
        for imported in graph.find_modules_directly_imported_by(module)
        if imported in NOT_IN_THE_DRIVER or imported.startswith(("ald.api", "ald.store"))
    }
    assert heavy == set()
