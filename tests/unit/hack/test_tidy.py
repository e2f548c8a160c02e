"""hack/tidy.py finds each thing it exists for, and nothing in a clean tree."""

import subprocess
from pathlib import Path

import pytest

import tidy

CLEAN = {
    "pyproject.toml": '[project]\nname = "x"\ndependencies = ["msgspec", "numpy<3"]\n',
    "requirements/runtime.in": "# why\nmsgspec\nnumpy<3\n",
    "operator/ald/engine/step.py": "def advance() -> None:\n    pass\n",
    "tests/unit/engine/test_step.py": "def test_it() -> None:\n    pass\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in CLEAN.items():
        write(tmp_path / name, text)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def found(tree: Path) -> list[str]:
    files = [path.relative_to(tree) for path in tree.rglob("*") if path.is_file()]
    return list(tidy.violations(tree, files))


def function(parameters: str, body_lines: int) -> str:
    return f"def long({parameters}):\n" + "    pass\n" * body_lines


def test_a_clean_tree_passes(tree: Path):
    assert found(tree) == []


def test_a_command_of_a_program_has_as_many_parameters_as_options(tree: Path):
    text = "@app.command()\n" + function("a, b, c, d, e, f, g", 1)
    (tree / "operator/ald/kit/program.py").parent.mkdir(parents=True, exist_ok=True)
    (tree / "operator/ald/kit/program.py").write_text(text)
    assert found(tree) == []


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("operator/__init__.py", "", "hide the standard library"),
        ("operator/ald/kit/long.py", "X = 1\n" * 401, "401 lines, at most 400"),
        ("operator/ald/kit/loop.py", function("", 70), "long has 71 lines, at most 70"),
        ("operator/ald/kit/wide.py", function("a, b, c, d, e, f, *, g", 1), "7 parameters"),
        ("operator/ald/kit/utils.py", "", "says nothing"),
        (
            "operator/ald/plant/table.py",
            "def f():\n    pass\n",
            "write tests/unit/plant/test_table.py",
        ),
        (
            "operator/ald/plant/__init__.py",
            "def f():\n    pass\n",
            "write tests/unit/test_plant.py",
        ),
        ("operator/ald/wire.py", "def f():\n    pass\n", "write tests/unit/test_wire.py"),
        ("hack/a.py", "import os  # noqa\n", "noqa needs a code"),
        ("hack/a.py", "import os  # noqa: F401\n", "noqa needs a code"),
        ("hack/a.py", "x = 1  # type: ignore\n", "type: ignore needs"),
        ("hack/a.py", "x = 1  # type: ignore[misc]\n", "type: ignore needs"),
        ("hack/program", "#!/usr/bin/env python3\nx = 1  # noqa\n", "noqa needs a code"),
        (
            "docs/a.md",
            "wheels from " + "pypi" + ".org/simple\n",
            "belongs to one machine or registry",
        ),
        ("docs/a.md", "see files.python" + "hosted.org\n", "belongs to one machine or registry"),
        ("docs/a.md", "see /" + "work/main\n", "belongs to one machine or registry"),
        ("docs/a.bin", "x" * 500_001, "500001 bytes, at most 500000"),
        ("requirements/runtime.in", "msgspec\n", "does not name the dependency 'numpy<3'"),
    ],
)
def test_a_violation_is_named_with_its_place(tree: Path, name: str, text: str, says: str):
    write(tree / name, text)
    (line,) = found(tree)
    assert says in line
    assert line.startswith(name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "hack/a.py",
            "import os  # noqa: F401 -- a probe\nimport re  # noqa: F401, E402 -- same\n",
        ),
        ("hack/a.py", "x = 1  # type: ignore[misc]  # -- published without types\n"),
        ("operator/ald/engine/__init__.py", '"""Only a sentence."""\n'),
        ("operator/ald/kit/clock.py", "def f():\n    pass\n"),
        ("tests/unit/kit/test_a.py", function("a, b, c, d, e, f, g", 1)),
        ("images/Dockerfile", "WORKDIR /opt/work/ald\n"),
        ("docs/a.md", "https://pypi" + ".organisation.example/\n"),
    ],
)
def test_what_is_allowed_is_not_named(tree: Path, name: str, text: str):
    write(tree / name, text)
    assert found(tree) == []


def test_files_that_git_ignores_are_not_read(tree: Path):
    subprocess.run(["git", "init", "-q", tree], check=True)
    write(tree / ".gitignore", "out/\n")
    write(tree / "out" / "a.py", "x = 1  # noqa\n")
    write(tree / "new.py", "x = 1\n")
    names = tidy.tracked(tree)
    assert Path("new.py") in names
    assert Path("out/a.py") not in names
