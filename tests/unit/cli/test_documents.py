from pathlib import Path

import pytest

from ald.cli.documents import documents_in, plant_of
from ald.errors import InvalidInputError

ROOT = Path(__file__).parents[3]


def test_a_machines_file_becomes_its_plant():
    (document,) = documents_in(ROOT / "examples/machines/demo-reactor.yaml")
    assert plant_of(document).identity.name == "demo-reactor"


def test_what_is_no_yaml_is_said_in_one_line(tmp_path):
    file = tmp_path / "machine.yaml"
    file.write_text("spec: {plc: [\n---\nkind: }")
    with pytest.raises(InvalidInputError) as refused:
        documents_in(file)
    assert f"{file}: is no YAML" in str(refused.value)
    assert "\n" not in str(refused.value)
