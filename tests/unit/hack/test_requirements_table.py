"""tests/requirements.md says which tests prove which row, and notices when it is out of date."""

from pathlib import Path

import pytest

import requirements_table

MARKED = """
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.requirement("A-03")]

@pytest.mark.requirement("A-01", "A-02")
async def test_one(): ...

class TestGroup:
    @pytest.mark.parametrize("x", [1, pytest.param(2, marks=pytest.mark.requirement("A-05"))])
    @pytest.mark.requirement("A-01")
    def test_two(self, x): ...

@pytest.mark.requirement("A-01")
def helper(): ...
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tests/unit").mkdir(parents=True)
    (tmp_path / "tests/unit/test_a.py").write_text(MARKED)
    (tmp_path / "tests/requirements.yaml").write_text(
        "A-01: it works\nA-02: it lasts\nA-03: it is true\nA-04: it is fast\n"
    )
    return tmp_path


def test_marks_on_functions_cases_classes_and_modules_count(tree: Path):
    one, two = "unit/test_a.py::test_one", "unit/test_a.py::TestGroup::test_two"
    assert requirements_table.proofs(tree / "tests") == {
        "A-01": [one, two],
        "A-02": [one],
        "A-03": [one, two],
        "A-05": [two],
    }


def test_the_table_shows_rows_without_a_test(tree: Path):
    assert requirements_table.main(tree, []) == 0
    text = (tree / "tests/requirements.md").read_text()
    assert "3 of 4 rows have a test" in text
    assert "| A-02 | it lasts | unit/test_a.py::test_one |" in text
    assert "| A-04 | it is fast | — |" in text


def test_a_stale_table_is_noticed(tree: Path, capsys: pytest.CaptureFixture[str]):
    assert requirements_table.main(tree, ["--check"]) == 1
    requirements_table.main(tree, [])
    assert requirements_table.main(tree, ["--check"]) == 0
    with (tree / "tests/requirements.yaml").open("a") as rows:
        rows.write("A-06: it is new\n")
    assert requirements_table.main(tree, ["--check"]) == 1
    assert "+| A-06 | it is new | — |" in capsys.readouterr().out
