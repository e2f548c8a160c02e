"""Reading register maps and mapping files."""

import pytest

from ald.cli.register_map import COLUMNS, ROWS_MAX, kebab, read_mapping, read_rows
from ald.errors import InvalidInputError

HEADER = ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Champer Heater", "champer-heater"),
        ("temperature_read", "temperature-read"),
        ("MFC 1", "mfc-1"),
        (" (Gate) ", "gate"),
    ],
)
def test_names_become_lower_kebab_case(written, expected):
    assert kebab(written) == expected


def test_a_row_is_read_with_its_line():
    (row,) = read_rows(HEADER + "MFC 1,flow_set,Holding,2086,FLOAT32,sccm,0,200.5,true\n")
    assert (row.line, row.table, row.address, row.type) == (2, "holding", 2086, "float32")
    assert (row.minimum, row.maximum, row.writable) == (0, 200.5, True)


def test_empty_cells_are_nothing():
    (row,) = read_rows(HEADER + "A,b,,,,,,,\n")
    assert (row.address, row.minimum, row.maximum, row.writable) == (None, None, None, False)


def test_a_missing_column_is_named():
    with pytest.raises(InvalidInputError, match="has no column table, address"):
        read_rows("component,parameter,type,unit,minimum,maximum,writable\n")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("A,b,coil,x1,bool,,,,", "line 2, address .is x1.: is no number"),
        ("A,b,coil,1.5,bool,,,,", "line 2, address .is 1.5.: is no address"),
        ("A,b,holding,1,int16,,low,,", "line 2, minimum"),
        ("A,b,holding,1,int16,,0,inf,", "line 2, maximum"),
    ],
)
def test_a_cell_that_is_no_number_is_named_by_line_and_column(cells, message):
    with pytest.raises(InvalidInputError, match=message):
        read_rows(HEADER + cells + "\n")


def test_a_map_without_end_is_refused():
    with pytest.raises(InvalidInputError, match=f"more than {ROWS_MAX} rows"):
        read_rows(HEADER + "A,b,coil,1,bool,,,,\n" * (ROWS_MAX + 1))


def test_a_mapping_is_read():
    mapping = read_mapping(
        "{name: r, order: CDAB, valves: {valve-1: {name: tma, number: 1, maximumOpen: 5s}}}"
    )
    assert (mapping.name, mapping.order) == ("r", "CDAB")
    assert mapping.valves["valve-1"].maximum_open == "5s"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{name: r, colour: red}", "colour"),
        ("{order: CDAB}", "name"),
        ("{name: [", "is no YAML"),
        ("{name: r, spec: {mode: Control}}", "begins with mode Observe"),
    ],
)
def test_a_mapping_that_is_none_is_refused(text, message):
    with pytest.raises(InvalidInputError, match=message):
        read_mapping(text)
