"""A Machine from a register map."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ald.api.parse import parse_machine
from ald.cli.from_csv import Options, machine_from_csv
from ald.cli.register_map import COLUMNS, MappedValve, Mapping, Rename, read_mapping
from ald.plant.model import Identity
from ald.program.compile.machine import compile_machine

MACHINES = Path(__file__).parents[3] / "examples" / "machines"
MAP = (MACHINES / "reactor-map.csv").read_text()
MAPPING = read_mapping((MACHINES / "reactor-1.mapping.yaml").read_text())
PLAIN = Mapping(name="m", spec={"plc": {"host": "plc"}})
GROUPED = Mapping(name="m", spec={"plc": {"host": "plc"}, "unrestrictedValves": ["valve-7"]})


def convert(*rows: str, mapping: Mapping = PLAIN) -> tuple[dict[str, Any], tuple[str, ...]]:
    text, notes = machine_from_csv(
        "\n".join([",".join(COLUMNS), *rows]), Options(source="map.csv", mapping=mapping)
    )
    return yaml.safe_load(text)["spec"], notes


def test_the_example_is_exactly_what_the_converter_prints():
    text, _ = machine_from_csv(MAP, Options(source="reactor-map.csv", mapping=MAPPING))
    assert (MACHINES / "reactor-1.yaml").read_text() == text


def test_the_example_is_accepted_whole_and_only_watches():
    text, notes = machine_from_csv(MAP, Options(source="reactor-map.csv", mapping=MAPPING))
    machine = parse_machine(yaml.safe_load(text))
    identity = Identity(installation="i", namespace="n", name="reactor-1", uid="u")
    plant = compile_machine(machine.spec, identity, 1)
    assert machine.spec.mode == "Observe"
    # 137 rows: 27 without an address, 6 valves.
    assert (len(plant.parameters), len(plant.valves)) == (104, 6)
    assert not [note for note in notes if note.startswith("to do")]


def test_every_row_of_the_example_is_either_there_or_named_as_dropped():
    text, notes = machine_from_csv(MAP, Options(source="reactor-map.csv", mapping=MAPPING))
    spec = yaml.safe_load(text)["spec"]
    (dropped,) = [note for note in notes if note.startswith("dropped, has no address: ")]
    assert len(dropped.split(", ")) - 1 == 27
    assert len(spec["parameters"]) + len(spec["valves"]) + 27 == len(MAP.splitlines()) - 1


def test_the_notes_stand_in_the_output_too():
    text, notes = machine_from_csv(MAP, Options(source="reactor-map.csv", mapping=MAPPING))
    head = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    assert all(note in head for note in notes)


def test_a_parameter_is_one_row_with_what_the_map_says():
    spec, _ = convert("MFC 1,flow_set,holding,2086,float32,sccm,0,200.5,true")
    assert spec["parameters"] == [
        {
            "name": "mfc-1.flow-set",
            "table": "holding",
            "address": 2086,
            "type": "float32",
            "unit": "sccm",
            "minimum": 0,
            "maximum": 200.5,
            "writable": True,
        }
    ]


def test_the_order_of_words_is_written_only_where_there_are_several():
    mapping = Mapping(name="m", order="CDAB", spec=PLAIN.spec)
    spec, _ = convert(
        "A,x,holding,1,int16,,0,1,false", "A,y,holding,2,int32,,0,1,false", mapping=mapping
    )
    assert [p.get("order") for p in spec["parameters"]] == [None, "CDAB"]


@pytest.mark.parametrize(
    ("row", "note", "field"),
    [
        ("A,x,coil,1,bool,boolean,0,1,true", 'unit "boolean" cleared, it is none: a.x', "unit"),
        ("A,x,coil,1,bool,Pa,0,1,true", "unit of a single bit cleared: a.x (Pa)", "unit"),
        (
            "A,x,coil,1,bool,,0,200,true",
            "range of a single bit cleared: a.x (0 to 200)",
            "maximum",
        ),
        (
            "A,x,input,1,int16,,0,1,true",
            "not writable, its table cannot be written: a.x",
            "writable",
        ),
        ("A,x,holding,1,int16,,,,true", "not writable, has no range: a.x", "writable"),
    ],
)
def test_what_is_changed_is_said(row, note, field):
    spec, notes = convert(row)
    assert note in notes
    assert field not in spec["parameters"][0]


def test_only_the_mapping_renames_and_the_note_says_from_what():
    mapping = Mapping(
        name="m",
        rename=Rename(components={"champer": "chamber"}, parameters={"b.x": "b.y"}),
        spec=PLAIN.spec,
    )
    spec, notes = convert(
        "Champer,x,coil,1,bool,,,,", "B,x,coil,2,bool,,,,", "C,x,coil,3,bool,,,,", mapping=mapping
    )
    assert [p["name"] for p in spec["parameters"]] == ["chamber.x", "b.y", "c.x"]
    assert "renamed from champer: chamber.x" in notes
    assert "renamed from b.x: b.y" in notes


def test_a_valve_is_moved_and_said_so():
    spec, notes = convert("Valve 7,valve_state,coil,15,bool,boolean,0,1,true", mapping=GROUPED)
    assert spec["valves"] == [{"name": "valve-7", "number": 7, "coil": 15, "maximumOpen": "1s"}]
    assert spec["parameters"] == []
    assert spec["safeState"] == {"valves": [{"valve": "valve-7", "state": "Closed"}]}
    assert "moved to valves: valve-7.valve-state as valve-7" in notes


def test_the_mapping_says_what_a_valve_is():
    mapping = Mapping(
        name="m",
        valves={"gate": MappedValve(name="tma", number=2, maximum_open="5s")},
        spec=PLAIN.spec,
    )
    spec, _ = convert("Gate,state,coil,15,bool,,,,true", mapping=mapping)
    assert spec["valves"] == [{"name": "tma", "number": 2, "coil": 15, "maximumOpen": "5s"}]


def test_a_valve_that_the_map_does_not_have_is_said():
    mapping = Mapping(
        name="m",
        valves={"gate": MappedValve(name="tma", number=2, maximum_open="5s")},
        spec=PLAIN.spec,
    )
    _, notes = convert("A,x,coil,1,bool,,,,", mapping=mapping)
    assert "to do: the mapping names a valve that the map does not have: gate" in notes


def test_what_the_operator_would_refuse_is_said_as_to_do():
    _, notes = convert("Valve 7,valve_state,coil,15,bool,boolean,0,1,true")
    assert any(n.startswith("to do: ") and "valve-7" in n for n in notes)


def test_without_a_host_the_output_says_so():
    spec, notes = convert("A,x,coil,1,bool,,,,", mapping=Mapping(name="m"))
    assert spec["mode"] == "Observe"
    assert "to do: write the host of the PLC into spec.plc.host" in notes
