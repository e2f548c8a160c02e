import pytest

from ald.cli.convert import adjusted, text_of
from ald.cli.register_map import Mapping
from ald.errors import NotFoundError


def test_the_command_line_wins_over_the_mapping_and_leaves_the_rest():
    mapping = Mapping(name="a", spec={"plc": {"host": "x", "port": 503}, "maxHold": "1m"})
    found = adjusted(mapping, name="b", host="y")
    assert found.name == "b"
    assert found.spec == {"plc": {"host": "y", "port": 503}, "maxHold": "1m"}
    assert adjusted(mapping, name="", host="") == mapping


def test_a_file_from_a_spreadsheet_has_no_mark_at_its_beginning(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfcomponent\n")
    assert text_of(tmp_path / "a.csv") == "component\n"


def test_a_file_that_is_no_text_is_said_plainly(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NotFoundError, match="is no text in UTF-8"):
        text_of(tmp_path / "a.csv")
