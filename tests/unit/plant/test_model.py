"""The frozen description of a machine."""

import msgspec
import pytest

from ald.plant.model import (
    DataType,
    Identity,
    LinkSettings,
    Mode,
    Parameter,
    Plant,
    Point,
    SafeState,
    Table,
    Valve,
    digest,
    signals,
)

PLANT = Plant(
    identity=Identity(installation="i", namespace="n", name="m", uid="u"),
    generation=1,
    link=LinkSettings(host="plc"),
    scan_period_ns=1_000_000_000,
    max_hold_ns=600_000_000_000,
    mode=Mode.OBSERVE,
    parameters=(
        Parameter(
            name="chamber.temperature",
            component="chamber",
            point=Point(table=Table.INPUT, address=4, type=DataType.FLOAT32),
            unit="°C",
        ),
    ),
    valves=(Valve(name="tma", number=1, coil=15, max_open_ns=1),),
    safe_state=SafeState(valves=(), outputs=()),
)


def test_a_scan_holds_the_parameters_and_then_the_coils_of_the_valves() -> None:
    assert [(s.name, s.point.table, s.point.address) for s in signals(PLANT)] == [
        ("chamber.temperature", Table.INPUT, 4),
        ("valve.tma", Table.COIL, 15),
    ]


def test_a_plant_that_travelled_as_json_has_the_same_digest() -> None:
    travelled = msgspec.json.decode(msgspec.json.encode(PLANT), type=Plant)
    assert digest(travelled) == digest(PLANT)


def test_any_change_of_a_plant_changes_its_digest() -> None:
    assert digest(msgspec.structs.replace(PLANT, generation=2)) != digest(PLANT)


@pytest.mark.parametrize(
    ("kind", "words"),
    [(DataType.BOOL, 1), (DataType.INT16, 1), (DataType.FLOAT32, 2), (DataType.UINT64, 4)],
)
def test_a_type_takes_as_many_registers_as_its_bits_need(kind: DataType, words: int) -> None:
    assert kind.words == words
